import { describe, expect, it } from "vitest";
import type { ColumnTable } from "../spec/dataset.ts";
import { file } from "../builders/file-builders.ts";
import { fraction, heldOutFiles, where } from "../builders/label-builders.ts";
import { openDataset } from "../open-dataset.ts";
import { parquet } from "../builders/source-builders.ts";
import { tableWith } from "./test-flights.ts";

const badData = (message: string): unknown => expect.objectContaining({ code: "BAD_DATA", message });

describe("splits", () => {
  const splitOf = (test: Parameters<typeof parquet>[1]["test"] & object, table = tableWith()) => {
    const dataset = openDataset({
      spec: parquet(file("f"), { fields: { a: "origin" }, label: "delay", test }),
      table,
      demands: [],
    });
    const labels = (split: "train" | "test", rows: number): number[] => [
      ...dataset.read(
        split,
        Uint32Array.from({ length: rows }, (_, i) => i),
      ).label,
    ];
    return { train: labels("train", dataset.trainRows), test: labels("test", dataset.testRows) };
  };

  it("hold out the rows with a value, of strings or of numbers", () => {
    expect(splitOf(where("origin", ["SFO", "nowhere"]))).toEqual({ train: [0, 15, 14, -3], test: [60] });
    expect(splitOf(where("distance", 100))).toEqual({ train: [15, 60, -3], test: [0, 14] });
    expect(() => splitOf(where("origin", "LAX"))).toThrow(
      badData('test split: column "origin": no row is "LAX", so the test split is empty: name other values'),
    );
    expect(() => splitOf(where("distance", "100"))).toThrow(
      badData(
        'test split: column "distance" holds 64-bit integers, and where() names strings: write the values as the column has them',
      ),
    );
  });

  it("hold out the files that come last", () => {
    expect(splitOf(heldOutFiles("test.parquet"), { ...tableWith(), testFrom: 3 })).toEqual({
      train: [0, 15, 14],
      test: [60, -3],
    });
    expect(() => splitOf(heldOutFiles("test.parquet"))).toThrow(
      badData("test split: the held-out files have no rows, so the test split is empty"),
    );
  });

  it("hold out a share of the rows, the same for one seed", () => {
    const rows = 20_000;
    const table: ColumnTable = {
      rows,
      columns: new Map([
        ["origin", { kind: "number", values: new Float64Array(rows) }],
        ["delay", { kind: "number", values: Float64Array.from({ length: rows }, (_, row) => row) }],
      ]),
    };
    const { train, test } = splitOf(fraction(0.25, { seed: 1 }), table);
    expect(Math.abs(test.length - 5000)).toBeLessThan(250); // four standard deviations
    expect([...train, ...test].toSorted((a, b) => a - b)).toEqual(Array.from({ length: rows }, (_, row) => row));
    expect(splitOf(fraction(0.25, { seed: 1 }), table).test).toEqual(test);
    const other = new Set(splitOf(fraction(0.25, { seed: 2 }), table).test);
    expect(Math.abs(test.filter((row) => other.has(row)).length - 1250)).toBeLessThan(150);
  });
});
