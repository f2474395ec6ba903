import { adam, cosineDecay, ftrl } from "@volary/core/optimizer";
import { describe, expect, test } from "vitest";
import { tableSpecsOf, type PlainTableOptions } from "./tables.ts";

describe("cluster.tables() refuses", () => {
  test.each([
    [{}, /give at least one table/],
    [{ close: { dim: 1, update: "sum" } }, /table "close": this name is taken/],
    [{ t: { dim: 1 } }, /table "t": give an optimizer, as ftrl\(\), or an update/],
    [{ t: { dim: 1, update: "sum", optimizer: "adam" } }, /; not both/],
    [
      { t: { dim: 1, update: "summ" } },
      /table "t": unknown optimizer "summ".*; updates are "sum", "count", "max", "set"/,
    ],
    [{ t: { dim: 0, update: "sum" } }, /table "t": dim: /],
    [
      { t: { dim: 1, optimizer: adam({ learningRate: cosineDecay({ initialLearningRate: 1, decaySteps: 9 }) }) } },
      /table "t": its learning rate has a schedule, and a table by itself has no steps/,
    ],
  ])("%j", (tables, message) => {
    expect(() => tableSpecsOf(tables as unknown as Record<string, PlainTableOptions>)).toThrow(message);
  });
});

test("tables are numbered from 1 and begin at zero", () => {
  expect(tableSpecsOf({ counts: { dim: 4, update: "count" }, weights: { dim: 1, optimizer: ftrl() } })).toEqual([
    { id: 1, name: "counts", dim: 4, initializer: { kind: "zeros" }, optimizer: { kind: "count" } },
    { id: 2, name: "weights", dim: 1, initializer: { kind: "zeros" }, optimizer: ftrl() },
  ]);
});
