import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { FieldSpec } from "../spec/data-spec.ts";
import type { Column, ColumnTable } from "../spec/dataset.ts";
import { compile, keysOf, keysOfField, naiveKey, someField, someTable, unlessOutOfRange } from "./test-fields.ts";

describe("keys", () => {
  it("are those of the naive definition, for any field, table and rows, and the other rows are bad", () => {
    fc.assert(
      fc.property(
        someTable,
        fc.array(someField, { minLength: 1, maxLength: 4 }),
        fc.infiniteStream(fc.nat()),
        (table, specs, picks) => {
          const rows = Uint32Array.from({ length: 20 }, () => (picks.next().value as number) % table.rows);
          const { compiler, faults } = compile(table);
          const readers = specs.map((spec, i) => compiler.keys({ field: `field${i}`, place: `field${i}`, spec }));
          const batch = compiler.batch(rows);
          const expected = specs.map((spec, i) =>
            Array.from(rows, (row) => unlessOutOfRange(() => naiveKey(spec, row, table, `field${i}`))),
          );
          for (const [b, row] of rows.entries()) {
            const isBad = expected.some((keys) => keys[b] === undefined);
            expect(faults.rows?.[row] ?? 0).toBe(isBad ? 1 : 0);
          }
          for (const [i, read] of readers.entries()) {
            const keys = keysOf(read(batch));
            expect(keys.filter((_, b) => expected[i]![b] !== undefined)).toEqual(
              expected[i]!.filter((key) => key !== undefined),
            );
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  const strings = (dictionary: string[]): Extract<Column, { kind: "string" }> => ({
    kind: "string",
    codes: Uint32Array.from(dictionary.keys()),
    dictionary,
  });
  const tableOf = (columns: Record<string, Column>): ColumnTable => {
    const first = Object.values(columns)[0]!;
    return {
      rows:
        first.kind === "string"
          ? first.codes.length
          : first.kind === "list"
            ? first.offsets.length - 1
            : first.values.length,
      columns: new Map(Object.entries(columns)),
    };
  };
  it("of 70,000 strings are right too, alone and crossed", () => {
    const table = tableOf({ user: strings(Array.from({ length: 70_000 }, (_, i) => `user ${i}`)) });
    const user: FieldSpec = { kind: "column", column: "user" };
    for (const spec of [user, { kind: "hash", of: user }, { kind: "cross", of: [user, user] }] satisfies FieldSpec[]) {
      const { keys } = keysOfField(table, "user", spec);
      expect(new Set(keys).size).toBe(70_000);
      for (const row of [0, 65_536, 69_999]) expect(keys[row]).toBe(naiveKey(spec, row, table, "user"));
    }
  });

  it("of two fields never meet in one table, but integers do unless they are hashed", () => {
    const table = tableOf({ a: strings(["x", "y"]), n: { kind: "int64", values: BigInt64Array.of(3n, 4n) } });
    const shared = (spec: FieldSpec): number =>
      new Set([...keysOfField(table, "one", spec).keys, ...keysOfField(table, "two", spec).keys]).size;
    const a: FieldSpec = { kind: "column", column: "a" };
    const n: FieldSpec = { kind: "column", column: "n" };
    expect(shared(a)).toBe(4);
    expect(shared({ kind: "cross", of: [a, n] })).toBe(4);
    expect(shared({ kind: "hash", of: n })).toBe(4);
    expect(shared(n)).toBe(2);
    expect(shared({ kind: "hash", of: n, salt: "people" })).toBe(2);
    expect(shared({ kind: "hash", of: a, salt: "people" })).toBe(2);
    expect(shared({ kind: "cross", of: [{ kind: "hash", of: a, salt: "people" }, n] })).toBe(4);
  });

  it("of a column that is missing or of another sort are refused, with the remedy", () => {
    const table = tableOf({
      origin: strings(["ATL", "SEA"]),
      ratio: { kind: "number", values: Float64Array.of(1, 1.5) },
      tags: { kind: "list", offsets: Uint32Array.of(0, 1, 1), elements: strings(["x"]) },
    });
    const refuse = (spec: FieldSpec, message: string): void => {
      expect(() => keysOfField(table, "f", spec)).toThrow(expect.objectContaining({ code: "BAD_DATA", message }));
    };
    const origin: FieldSpec = { kind: "column", column: "origin" };
    refuse(
      { kind: "cross", of: [{ kind: "column", column: "orgin" }, origin] },
      'field "f": no column "orgin" in the data, which has "origin", "ratio", "tags". Did you mean "origin"?',
    );
    refuse(
      { kind: "bucket", of: origin, width: 5 },
      'field "f": column "origin" holds strings (the first is "ATL"); expected numbers: bucket() needs them; use hash() or column() for strings',
    );
    refuse(
      { kind: "datePart", column: "ratio", part: "hour" },
      'field "f": column "ratio" holds numbers; expected timestamps (int64 microseconds since 1970): store it as a timestamp, or declare it so with types',
    );
    refuse(
      { kind: "column", column: "tags" },
      'field "f": column "tags" holds lists; one value a row was expected: give its input the shape of a list, [null]',
    );
    refuse(
      { kind: "withDefault", of: origin, value: 0 },
      'field "f": column "origin" gives strings, and its default is 0: write withDefault(…, "none")',
    );
  });

  it.each<[FieldSpec, string]>([
    [
      { kind: "column", column: "ratio" },
      'field "f": column "ratio" is 1.5; expected an integer key (whole, within ±2^53): use bucket(), quantiles() or standardise()',
    ],
    [
      { kind: "column", column: "huge" },
      'field "f": column "huge" is 9007199254740992, beyond ±2^53, where a number loses the last digits of a key: declare the column int64, or give it as bigints',
    ],
    [
      { kind: "bucket", of: { kind: "column", column: "gap" }, width: 5 },
      'field "f": column "gap" is missing (NaN); expected a key',
    ],
    [{ kind: "column", column: "name" }, 'field "f": column "name" is missing; expected a key'],
    [{ kind: "column", column: "gap" }, 'field "f": column "gap" is missing; expected an integer key'],
    [{ kind: "column", column: "id" }, 'field "f": column "id" is missing; expected a key'],
    [
      { kind: "bucket", of: { kind: "column", column: "endless" }, width: 5 },
      'field "f": column "endless" is Infinity; expected a number to divide by 5 (within ±2^53)',
    ],
    [
      {
        kind: "quantiles",
        of: { kind: "log", of: { kind: "column", column: "less" }, plus: 1 },
        buckets: 2,
        edges: [0],
      },
      'field "f": column "less" is -5, of which quantiles() makes no number; expected a key',
    ],
  ])("mark a row that makes none: %j", (spec, fault) => {
    const numbers = (second: number): Column => ({ kind: "number", values: Float64Array.of(1, second) });
    const table = tableOf({
      ratio: numbers(1.5),
      huge: numbers(2 ** 53),
      gap: numbers(Number.NaN),
      endless: numbers(Number.POSITIVE_INFINITY),
      less: numbers(-5),
      name: strings(["x", ""]),
      id: { kind: "int64", values: BigInt64Array.of(1n, 0n), missing: Uint8Array.of(0, 1) },
    });
    expect(keysOfField(table, "f", spec).faults.first).toEqual([{ row: 1, place: "row 1", fault }]);
  });
});
