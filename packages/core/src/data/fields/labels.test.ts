import { describe, expect, it } from "vitest";
import type { Column } from "../spec/dataset.ts";
import { file } from "../builders/file-builders.ts";
import { atLeast, classes, columns as labelColumns, constantLabel, equals } from "../builders/label-builders.ts";
import { openDataset } from "../open-dataset.ts";
import { parquet } from "../builders/source-builders.ts";
import { int64, tableWith } from "./test-flights.ts";

const badData = (message: string): unknown => expect.objectContaining({ code: "BAD_DATA", message });

describe("labels", () => {
  const all = Uint32Array.of(0, 1, 2, 3, 4);
  const labelOf = (label: Parameters<typeof parquet>[1]["label"], changes: Record<string, Column | undefined> = {}) => {
    const labelled = parquet(file("f"), {
      fields: { origin: "origin" },
      ...(label === undefined ? {} : { label }),
      badRowsMax: 1,
    });
    const dataset = openDataset({ spec: labelled, table: tableWith(changes), demands: [] });
    const { label: values, weight } = dataset.read("train", all);
    return { values: [...values], width: dataset.labelWidth, weight };
  };

  it("are 0 without a spec, or the same for every row", () => {
    expect(labelOf(undefined)).toMatchObject({ values: [0, 0, 0, 0, 0], width: 1 });
    expect(labelOf(constantLabel(1, 0))).toMatchObject({ values: [1, 0, 1, 0, 1, 0, 1, 0, 1, 0], width: 2 });
  });

  it("are columns of numbers, side by side, or a column of lists", () => {
    expect(labelOf(labelColumns("delay", "distance"))).toMatchObject({
      values: [0, 100, 15, 200, 14, 100, 60, 400, -3, 200],
      width: 2,
    });
    const pair: Column = {
      kind: "list",
      offsets: Uint32Array.of(0, 2, 4, 5, 7, 9),
      elements: { kind: "number", values: Float64Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9) },
    };
    expect(labelOf("pair", { pair })).toEqual({
      values: [1, 2, 3, 4, 0, 0, 6, 7, 8, 9],
      width: 2,
      weight: Float32Array.of(1, 1, 0, 1, 1),
    });
  });

  it("are classes, of which any other value is a bad row", () => {
    expect(labelOf(classes("origin", ["SFO", "SEA", "ATL"])).values).toEqual([2, 1, 2, 0, 1]);
    expect(labelOf(classes("distance", [100, 200, 400])).values).toEqual([0, 1, 0, 2, 1]);
    expect(labelOf(classes("origin", ["SEA", "ATL"]))).toMatchObject({ weight: Float32Array.of(1, 1, 1, 0, 1) });
    expect(() => labelOf(classes("origin", ["SFO", "SEA"]))).toThrow(
      badData(
        '2 of 5 rows cannot be used, and badRowsMax is 1. row 0: label: column "origin" is "ATL"; expected one of "SFO", "SEA". row 2: label: column "origin" is "ATL"; expected one of "SFO", "SEA". Correct them, fill missing values with withDefault(…), or leave such rows out with badRowsMax: 2',
      ),
    );
  });

  it("tell whether a column equals a value of its own sort", () => {
    expect(labelOf(equals("origin", "SEA")).values).toEqual([0, 1, 0, 0, 1]);
    expect(labelOf(equals("delay", -3)).values).toEqual([0, 0, 0, 0, 1]);
    expect(() => labelOf(equals("origin", 3))).toThrow(
      badData('label: column "origin" holds strings, and the label compares it with 3: write "3"'),
    );
    expect(() => labelOf(equals("delay", "3"))).toThrow(
      badData(
        'label: column "delay" holds 64-bit integers, and the label compares it with "3": write numbers, without quotes',
      ),
    );
  });

  it("that are all 0, as no row has the value, are refused with the nearest one, but not where rows are scored", () => {
    expect(() => labelOf(equals("origin", "Sea"))).toThrow(
      badData(
        'label: no row has "Sea" in column "origin", so that every label is 0; it has "ATL", "SEA", "SFO". Did you mean "SEA"? Name one of them in equals(…)',
      ),
    );
    expect(() => labelOf(equals("delay", 7))).toThrow(
      badData(
        'label: no row has 7 in column "delay", so that every label is 0; it has 0, 15, 14, 60, -3. Name one of them in equals(…)',
      ),
    );
    const spec = parquet(file("f"), { fields: { origin: "origin" }, label: equals("delay", 7) });
    const scored = openDataset({ spec, table: tableWith(), demands: [], purpose: "score" });
    expect([...scored.read("train", all).label]).toEqual([0, 0, 0, 0, 0]);
  });

  it("compare with a threshold in full precision", () => {
    const delay = int64([2 ** 40, 2 ** 40 + 1, 0, 0, 0]);
    expect(labelOf(atLeast("delay", 2 ** 40 + 1), { delay }).values).toEqual([0, 1, 0, 0, 0]);
  });
});
