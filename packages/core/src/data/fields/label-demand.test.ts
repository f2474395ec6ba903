import { describe, expect, it } from "vitest";
import type { Column, ColumnTable } from "../spec/dataset.ts";
import { file } from "../builders/file-builders.ts";
import { classes, columns as labelColumns, fraction } from "../builders/label-builders.ts";
import type { LabelDemand } from "./label-demand.ts";
import { openDataset } from "../open-dataset.ts";
import { parquet } from "../builders/source-builders.ts";
import { tableWith } from "./test-flights.ts";

const ZERO_OR_ONE = { kind: "one-of", values: [0, 1] } as const;
const ROWS = Uint32Array.of(0, 1, 2, 3, 4);

const numbers = (...values: number[]): Extract<Column, { kind: "number" }> => ({
  kind: "number",
  values: Float64Array.from(values),
});

function opened(o: {
  table: ColumnTable;
  demand: LabelDemand;
  options?: Omit<Parameters<typeof parquet>[1], "fields">;
}) {
  const spec = parquet(file("f"), { fields: { origin: "origin" }, label: "y", ...o.options });
  return openDataset({ spec, table: o.table, demands: [], labelDemands: () => [o.demand] });
}

describe("a label that is out of range", () => {
  it.each<[LabelDemand["numbers"], number[], string]>([
    [
      ZERO_OR_ONE,
      [0, 1, 2, 1, 0],
      'column "y" is 2; loss "l" expects 0 or 1, as atLeast(…) and equals(…) make of a column',
    ],
    [
      { kind: "between", min: 0, max: 1 },
      [0, 1, 0.5, 1.1, 0],
      'column "y" is 1.1; loss "l" expects 0 to 1, as atLeast(…) and equals(…) make of a column',
    ],
    [{ kind: "between", min: 0, max: Infinity }, [0, -2, 5, 5, 1], 'column "y" is -2; loss "l" expects 0 or more'],
    [
      { kind: "class", count: 3 },
      [0, 1, 2, 3, 1],
      'column "y" is 3; loss "l" expects the number of a class, 0 to 2, as classes(…) makes of a column; a model with more classes ends in more units',
    ],
    [{ kind: "class", count: 3 }, [0, 1, 1.5, 1, 1], 'column "y" is 1.5'],
  ])("%o makes a bad row, told by its place", (wanted, values, fault) => {
    const table: ColumnTable = { ...tableWith({ y: numbers(...values) }), placeOf: (row) => `train.csv:${row + 2}` };
    const demand: LabelDemand = { wantedBy: 'loss "l"', rows: "all", numbers: wanted };
    const row = values.findIndex((value) => fault.includes(`is ${value};`) || fault.endsWith(`is ${value}`));
    expect(() => opened({ table, demand })).toThrow(`train.csv:${row + 2}: label: ${fault}`);
    const { weight } = opened({ table, demand, options: { badRowsMax: 1 } }).read("train", ROWS);
    expect(weight!.indexOf(0)).toBe(row);
    expect(weight!.filter((each) => each === 1)).toHaveLength(4);
  });

  it("is named by its column, the element of its list, or the column of its class", () => {
    const table = tableWith({
      y: numbers(0, 0, 0, 0, 0),
      z: numbers(0, 0, 7, 0, 0),
      pair: {
        kind: "list",
        offsets: Uint32Array.of(0, 2, 4, 6, 8, 10),
        elements: numbers(0, 0, 0, 5, 0, 0, 0, 0, 0, 0),
      },
    });
    const demand: LabelDemand = { wantedBy: "it", rows: "all", numbers: ZERO_OR_ONE };
    expect(() => opened({ table, demand, options: { label: labelColumns("y", "z") } })).toThrow(
      'row 2: label: column "z" is 7;',
    );
    expect(() => opened({ table, demand, options: { label: "pair" } })).toThrow(
      'row 1: label: column "pair", element 1 of its list is 5;',
    );
    expect(() => opened({ table, demand, options: { label: classes("origin", ["ATL", "SEA", "SFO"]) } })).toThrow(
      'row 3: label: the class of column "origin" is 2;',
    );
  });

  it("of a row that weighs nothing, or that a metric never reads, is none", () => {
    const y = numbers(0, 1, -1, 1, 0);
    const demand: LabelDemand = { wantedBy: "it", rows: "all", numbers: ZERO_OR_ONE };
    const weighed = tableWith({ y, w: numbers(1, 1, 0, 1, 1) });
    expect(opened({ table: weighed, demand, options: { weight: "w" } }).badRows().count).toBe(0);
    const ofMetric: LabelDemand = { ...demand, rows: "test" };
    expect(opened({ table: tableWith({ y }), demand: ofMetric }).badRows().count).toBe(0);
    const allOdd = tableWith({ y: numbers(7, 7, 7, 7, 7) });
    const held = opened({
      table: allOdd,
      demand: ofMetric,
      options: { test: fraction(0.5, { seed: 3 }), badRowsMax: 5 },
    });
    expect(held.badRows().count).toBe(held.testRows);
  });
});
