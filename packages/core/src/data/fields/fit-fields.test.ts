import { describe, expect, it } from "vitest";
import type { DataSpec, FieldSpec } from "../spec/data-spec.ts";
import type { ColumnTable } from "../spec/dataset.ts";
import {
  bucket,
  clip,
  cross,
  logOf,
  quantiles,
  standardise,
  withDefault,
  type FieldLike,
} from "../builders/field-builders.ts";
import { fitFields, needsFitting } from "./fit-fields.ts";
import { fraction, heldOutFiles, where } from "../builders/label-builders.ts";
import { openDataset } from "../open-dataset.ts";
import { parquet } from "../builders/source-builders.ts";
import { tableOf } from "../builders/table-of.ts";

async function* tablesOf(...tables: ColumnTable[]): AsyncIterable<ColumnTable> {
  yield* tables;
}
const specOf = (fields: Record<string, FieldLike>, options: Partial<Parameters<typeof parquet>[1]> = {}): DataSpec =>
  parquet("t", { fields, ...options });
const fitted = async (
  field: FieldLike,
  tables: ColumnTable[],
  options: Partial<Parameters<typeof parquet>[1]> = {},
): Promise<FieldSpec> => (await fitFields(specOf({ f: field }, options), tablesOf(...tables))).fields["f"]!;

describe("fitFields() refuses", () => {
  it("a part to be fitted inside of another", async () => {
    await expect(fitted(standardise(quantiles("x", 4)), [])).rejects.toThrow(
      new TypeError(
        'field "f": quantiles() inside of standardise() cannot be fitted with it: one of the two is enough, or give the inner one its numbers',
      ),
    );
  });

  it("a column without numbers in the training rows", async () => {
    await expect(fitted(standardise("x"), [tableOf({ x: [null, null] })])).rejects.toThrow(
      expect.objectContaining({
        code: "BAD_DATA",
        message:
          'field "f": column "x" has no number in the training rows, and standardise() is fitted to them: leave the field out, or give it its numbers',
      }),
    );
    await expect(fitted(quantiles("x", 2), [tableOf({ x: ["a"] })])).rejects.toThrow(
      'field "f": column "x" holds strings (the first is "a"); expected numbers: quantiles() needs them',
    );
  });
});

describe("fitFields()", () => {
  it("reads nothing where nothing is to be fitted", async () => {
    const spec = specOf({ a: standardise("x", { mean: 0, stddev: 1 }), b: cross("x", "y") });
    expect(needsFitting(spec)).toBe(false);
    const never: AsyncIterable<ColumnTable> = {
      [Symbol.asyncIterator]: () => {
        throw new Error("read");
      },
    };
    expect(await fitFields(spec, never)).toBe(spec);
  });

  it("finds what is to be fitted anywhere, in weight and group too", () => {
    expect(needsFitting(specOf({ a: cross("x", bucket(standardise("y"), 1)) }))).toBe(true);
    expect(needsFitting(specOf({ a: "x" }, { weight: withDefault(standardise("x"), 0) }))).toBe(true);
    expect(needsFitting(specOf({ a: "x" }, { group: quantiles("x", 2) }))).toBe(true);
  });

  it("gives mean and deviation of all values that are there, over all tables", async () => {
    const tables = [tableOf({ x: [2, 4, null, 4] }), tableOf({ x: [4, 5, 5, 7, Number.POSITIVE_INFINITY, 9] })];
    expect(await fitted(standardise("x"), tables)).toMatchObject({ mean: 5, stddev: 2 });
    expect(await fitted(standardise(withDefault("x", 5)), tables)).toMatchObject({
      mean: 5,
      stddev: Math.sqrt(32 / 9),
    });
    expect(await fitted(standardise("x"), [tableOf({ x: [3, 3] })])).toMatchObject({ mean: 3, stddev: 1 });
    expect(await fitted(standardise("x"), [tableOf({ x: [[1, 2], [], [3]] })])).toMatchObject({ mean: 2 });
    const far = tableOf({ x: Array.from({ length: 1000 }, (_, i) => 1e9 + (i % 2)) });
    expect(await fitted(standardise("x"), [far])).toMatchObject({ mean: 1e9 + 0.5, stddev: 0.5 });
  });

  it("gives edges that cut training rows to buckets of one size", async () => {
    const x = Array.from({ length: 1000 }, (_, i) => (i * 7) % 1000);
    const spec = await fitFields(specOf({ f: quantiles(logOf("x"), 4) }), tablesOf(tableOf({ x })));
    const dataset = openDataset({ spec, table: tableOf({ x }), demands: [{ name: "f", as: "keys" }] });
    const keys = new BigUint64Array(dataset.read("train", Uint32Array.from(x.keys())).keys.get("f")!.buffer);
    const counts = [0n, 1n, 2n, 3n].map((key) => keys.filter((each) => each === key).length);
    expect(counts).toEqual([250, 250, 250, 250]);
  });

  it("leaves held-out rows and rows that could not be read out", async () => {
    const table = tableOf({ x: [1, 2, 100, 3, 50], y: ["a", "a", "test", "a", "a"] });
    const bad = { ...table, badRows: [{ row: 4, place: "t:6", fault: "broken" }] };
    expect(await fitted(standardise("x"), [bad], { test: where("y", "test") })).toMatchObject({ mean: 2 });
    const files = { test: heldOutFiles("held-out") };
    expect(await fitted(standardise("x"), [{ ...table, testFrom: 2 }, table], files)).toMatchObject({ mean: 1.5 });
    expect(
      await fitted(
        standardise("x"),
        [
          { ...table, testFrom: 5 },
          { ...table, testFrom: 2 },
        ],
        files,
      ),
    ).toMatchObject({ mean: expect.closeTo(159 / 7, 9) as number });

    const x = Array.from({ length: 300 }, (_, row) => row);
    const drawn = { test: fraction(0.5, { seed: 3 }) };
    const whole = await fitted(standardise("x"), [tableOf({ x })], drawn);
    const cut = await fitted(standardise("x"), [tableOf({ x: x.slice(0, 77) }), tableOf({ x: x.slice(77) })], drawn);
    expect(cut).toEqual(whole);
    const training = openDataset({
      spec: specOf({ x: "x" }, { ...drawn, label: "x" }),
      table: tableOf({ x }),
      demands: [],
    });
    const rows = [
      ...training.read(
        "train",
        Uint32Array.from({ length: training.trainRows }, (_, i) => i),
      ).label,
    ];
    expect((whole as { mean: number }).mean).toBeCloseTo(rows.reduce((sum, row) => sum + row, 0) / rows.length, 9);
  });

  it("keeps what an author gave, and fits equal parts once", async () => {
    const spec = await fitFields(
      specOf({ a: standardise("x"), b: bucket(standardise("x"), 0.5), c: clip("x", { min: 0, max: 1 }) }),
      tablesOf(tableOf({ x: [1, 3] })),
    );
    expect(spec.fields).toEqual({
      a: { kind: "standardise", of: { kind: "column", column: "x" }, mean: 2, stddev: 1 },
      b: {
        kind: "bucket",
        width: 0.5,
        of: { kind: "standardise", of: { kind: "column", column: "x" }, mean: 2, stddev: 1 },
      },
      c: { kind: "clip", of: { kind: "column", column: "x" }, min: 0, max: 1 },
    });
    expect(needsFitting(spec)).toBe(false);
  });
});
