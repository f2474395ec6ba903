import { manifestOf } from "@volary/core/model";
import { expect, test } from "vitest";
import baseline from "./baseline.ts";
import { fields } from "./fields.ts";
import net from "./job.ts";

test("the net has a table of 16 floats a row for each field", async () => {
  const { manifest, warnings } = await manifestOf(net, { workersMin: 2 });
  expect(manifest.tables.map(({ name }) => name)).toEqual(Object.keys(fields).toSorted());
  expect(manifest.tables.every(({ dim }) => dim === 16)).toBe(true);
  expect(warnings).toEqual([]);
});

test("the baseline has one table of single floats, in which no two fields meet", async () => {
  const { manifest, denseWeights } = await manifestOf(baseline, { workersMin: 2 });
  expect(manifest.tables).toMatchObject([{ name: "linear", dim: 1, initializer: { kind: "zeros" } }]);
  expect(manifest.model.embeddings).toHaveLength(Object.keys(fields).length);
  expect(Object.values(manifest.data.fields).every(({ kind }) => kind === "hash")).toBe(true);
  expect(denseWeights).toHaveLength(0);
});

test("both are measured on the same rows", () => {
  expect(baseline.data.test).toEqual(net.data.test);
  expect(baseline.data.label).toEqual(net.data.label);
});
