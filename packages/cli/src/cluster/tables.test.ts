import { afterUpdates, leastFrequent, leastRecent } from "@volary/core";
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
      { t: { dim: 1, update: "sum", dtype: "float16" } },
      /table "t": dtype: .*expected one of "float32"\|"bfloat16"\|"int8"/,
    ],
    [{ t: { dim: 1, update: "sum", admit: 3 } }, /table "t": admit is 3; make it with afterUpdates\(3\)/],
    [
      { t: { dim: 1, update: "sum", evict: 9 } },
      /table "t": evict is 9; make it with leastFrequent\(\{ rowsMax: 1e6 }/,
    ],
    [
      { t: { dim: 1, update: "sum", evict: leastRecent({ rowsMax: 9 }) } },
      /table "t": evict is .*, which goes by steps, and a table by itself has none; use leastFrequent/,
    ],
    [{ t: { dim: 1, update: "sum", evict: leastFrequent({ rowsMax: 9, expireSteps: 9 }) } }, /which goes by steps/],
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

test("tables have the dtype and the care that their author asks for", () => {
  const [admit, evict] = [afterUpdates(2), leastFrequent({ rowsMax: 100 })];
  expect(tableSpecsOf({ t: { dim: 8, optimizer: ftrl(), dtype: "int8", admit, evict } })).toEqual([
    {
      id: 1,
      name: "t",
      dim: 8,
      dtype: "int8",
      initializer: { kind: "zeros" },
      optimizer: ftrl(),
      admission: admit,
      eviction: evict,
    },
  ]);
});
