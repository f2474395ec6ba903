import { csv, fraction, jsonl, type ColumnTable, type FileSpec } from "@volary/core/data";
import { describe, expect, test } from "vitest";
import { readableData, type FitData, type FitDataOptions } from "./fit-data.ts";

async function readable(data: FitData, options: FitDataOptions = {}, where: "local" | "remote" = "local") {
  let hosted: readonly ColumnTable[] = [];
  const host = async (tables: readonly ColumnTable[]) => {
    hosted = tables;
    return { files: tables.map((_, i): FileSpec => ({ kind: "file", path: `${i}` })), close: async () => {} };
  };
  const { spec } = await readableData({ data, options, inputs: ["a"], seed: 7, where, host });
  return { spec, hosted };
}

const source = csv("train.csv", { fields: { a: "a" }, label: "y" });

describe("readableData()", () => {
  test("refuses what does not go together", async () => {
    const arrays = { x: [1, 2], y: [0, 1] };
    const cases: [FitData, FitDataOptions, string][] = [
      [arrays, { validationData: arrays, validationSplit: 0.1 }, "two ways to hold rows out"],
      [arrays, { validationSplit: 1 }, "validationSplit is 1; give a share between 0 and 1"],
      [{ x: [1], y: [0] }, { validationSplit: 0.1 }, "leaves none to train on"],
      [arrays, { validationData: source }, "validationData must be arrays too"],
      [source, { validationData: arrays }, "validationData must be, too: csv(…)"],
      [source, { validationData: jsonl("v.jsonl", { fields: { a: "a" } }) }, "they must be of one format"],
      [source, { sampleWeight: [1, 2] }, 'name the weight in the data, as weight: "importance"'],
      [
        csv("t.csv", { fields: { a: "a" }, test: fraction(0.1) }),
        { validationSplit: 0.1 },
        "holds rows out by its test already",
      ],
    ];
    for (const [data, options, message] of cases) await expect(readable(data, options)).rejects.toThrow(message);
    const dataset = { iterator: async () => ({ next: async () => ({ done: true, value: undefined }) }) };
    await expect(readable(dataset, {}, "remote")).rejects.toThrow("by a local cluster only");
  });

  test("holds the last rows of arrays out, as tfjs does", async () => {
    const { spec, hosted } = await readable({ x: [1, 2, 3, 4], y: [0, 1, 0, 1] }, { validationSplit: 0.25 });
    expect(hosted.map(({ rows }) => rows)).toEqual([3, 1]);
    expect(spec).toMatchObject({
      format: { kind: "table" },
      files: [{ path: "0" }],
      test: { kind: "files", files: [{ path: "1" }] },
      fields: { a: { kind: "column", column: "a" } },
      label: { kind: "column", column: "labels (y)" },
    });
  });

  test("holds files of a source out, or a share of it", async () => {
    const { spec } = await readable(source, { validationData: csv("test.csv", { fields: { a: "a" }, label: "y" }) });
    expect(spec.test).toEqual({ kind: "files", files: [{ kind: "file", path: "test.csv" }] });
    expect((await readable(source, { validationSplit: 0.2 })).spec.test).toEqual({
      kind: "fraction",
      fraction: 0.2,
      seed: 7,
    });
    expect((await readable(source)).spec).toBe(source);
  });

  test("weighs rows by sampleWeight, of the data or of the options", async () => {
    for (const [data, options] of [
      [{ x: [1, 2], y: [0, 1], sampleWeight: [1, 3] }, {}],
      [{ x: [1, 2], y: [0, 1] }, { sampleWeight: [1, 3] }],
    ] as const) {
      const { spec } = await readable(data, options);
      expect(spec.weight).toEqual({ kind: "column", column: "weights (sampleWeight)" });
      expect(spec.label).toEqual({ kind: "column", column: "labels (y)" });
    }
  });
});
