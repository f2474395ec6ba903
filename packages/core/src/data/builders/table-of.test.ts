import { describe, expect, it } from "vitest";
import { tableOf, type ColumnArray } from "./table-of.ts";

describe("tableOf() refuses", () => {
  it.each<[string, Record<string, ColumnArray>, string]>([
    ["no column", {}, "tableOf(): no column; give at least one, as { x: [1, 2, 3] }"],
    [
      "what is no array",
      { x: 7 as never },
      'tableOf(): column "x" is 7; expected an array of values, one for each row',
    ],
    [
      "columns of different lengths",
      { x: [1, 2], y: ["a"] },
      'tableOf(): column "y" has 1 rows and "x" 2; all columns must be of one length',
    ],
    [
      "values of different sorts",
      { x: [1, "a"] },
      'tableOf(): column "x", row 1 is the string "a", and values before it are numbers; a column holds values of one of the sorts "number", "bigint", "string"',
    ],
    ["an object", { x: [{} as never] }, 'tableOf(): column "x", row 0 is {}; expected a number, bigint or string'],
    ["lists among values", { x: [[1], 2] }, 'tableOf(): column "x", row 1 is 2, and other rows are lists'],
    [
      "sorts that differ in a list",
      { x: [[], [1n, "a"]] },
      'tableOf(): column "x", row 1, element 1 is the string "a", and values before it are bigints; a column holds values of one of the sorts "number", "bigint", "string"',
    ],
  ])("%s", (_, arrays, message) => {
    expect(() => tableOf(arrays)).toThrow(new TypeError(message));
  });

  it("an integer that a number cannot hold", () => {
    const remedy =
      "an integer beyond ±2^53 that a number cannot hold exactly; give the column as bigints or a BigInt64Array";
    expect(() => tableOf({ id: [1, 2 ** 53] })).toThrow(
      new RangeError(`tableOf(): column "id", row 1 is 9007199254740992, ${remedy}`),
    );
    expect(() => tableOf({ id: Float64Array.of(-(2 ** 60)) })).toThrow(RangeError);
    expect(() => tableOf({ id: [[], [0, 2 ** 53]] })).toThrow('column "id", row 1, element 1 is 9007199254740992');
    expect(() => tableOf({ id: [2n ** 64n] })).toThrow(
      new RangeError('tableOf(): column "id", row 0 is 18446744073709551616, which takes more than 64 bits'),
    );
  });
});

describe("tableOf()", () => {
  const columnOf = (values: ColumnArray) => tableOf({ x: values }).columns.get("x");

  it("takes large numbers among fractions, which are no ids", () => {
    expect(columnOf([2 ** 60, 0.5])).toEqual({ kind: "number", values: Float64Array.of(2 ** 60, 0.5) });
  });

  it("takes numbers, booleans and typed arrays as numbers", () => {
    expect(columnOf([1, null, 2.5, undefined])).toEqual({
      kind: "number",
      values: Float64Array.of(1, Number.NaN, 2.5, Number.NaN),
    });
    expect(columnOf([true, false])).toEqual({ kind: "number", values: Float64Array.of(1, 0) });
    expect(columnOf(Float32Array.of(0.5, 1e30))).toEqual({
      kind: "number",
      values: Float64Array.of(0.5, Math.fround(1e30)),
    });
    expect(columnOf(Uint8Array.of(7))).toEqual({ kind: "number", values: Float64Array.of(7) });
    expect(columnOf([null])).toEqual({ kind: "number", values: Float64Array.of(Number.NaN) });
  });

  it("keeps every bit of 64-bit integers", () => {
    const values = BigInt64Array.of(2n ** 63n - 1n, -1n);
    expect(columnOf(values)).toEqual({ kind: "int64", values });
    expect(columnOf(BigUint64Array.of(2n ** 64n - 1n))).toEqual({ kind: "int64", values: BigInt64Array.of(-1n) });
    expect(columnOf([2n ** 63n - 1n, 2n ** 64n - 1n])).toEqual({ kind: "int64", values });
    expect(columnOf([5n, null])).toEqual({
      kind: "int64",
      values: BigInt64Array.of(5n, 0n),
      missing: Uint8Array.of(0, 1),
    });
  });

  it("codes strings by a dictionary, a missing one as the empty string", () => {
    expect(columnOf(["b", "a", null, "b"])).toEqual({
      kind: "string",
      codes: Uint32Array.of(0, 1, 2, 0),
      dictionary: ["b", "a", ""],
    });
  });

  it("takes arrays of arrays as lists, nested ones flattened", () => {
    expect(columnOf([[1n], null, [2n, 3n]])).toEqual({
      kind: "list",
      offsets: Uint32Array.of(0, 1, 1, 3),
      elements: { kind: "int64", values: BigInt64Array.of(1n, 2n, 3n) },
    });
    expect(
      columnOf([
        [
          [1, 2],
          [3, 4],
        ],
        [Float32Array.of(5, 6), [7, 8]],
      ]),
    ).toEqual({
      kind: "list",
      offsets: Uint32Array.of(0, 4, 8),
      elements: { kind: "number", values: Float64Array.of(1, 2, 3, 4, 5, 6, 7, 8) },
    });
  });
});
