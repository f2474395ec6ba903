import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DatePart, FieldSpec } from "./data-spec.ts";
import type { Column, ColumnTable } from "./dataset.ts";
import { fieldCompiler } from "./fields.ts";
import { murmur128 } from "./murmur3.ts";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

function digestOf(bytes: Uint8Array): Uint8Array {
  const digest = new Uint32Array(4);
  murmur128(new Uint32Array(4), bytes, 0, digest);
  return new Uint8Array(digest.buffer);
}

/** The definition at the head of fields.ts, said naively with BigInt: one row, one key. */
function naiveKey(spec: FieldSpec, row: number, table: ColumnTable, salt: string): bigint {
  const hashed = (bytes: Uint8Array): bigint =>
    new DataView(digestOf(Uint8Array.of(...digestOf(utf8(salt)), ...bytes)).buffer).getBigUint64(0, true);
  const bytesOf = (key: bigint): Uint8Array => new Uint8Array(BigUint64Array.of(key).buffer);
  switch (spec.kind) {
    case "column": {
      const value = naiveValue(spec.column, row, table);
      return typeof value === "string" ? hashed(utf8(value)) : BigInt.asUintN(64, BigInt(value));
    }
    case "datePart":
      return BigInt(naiveDatePart(naiveValue(spec.column, row, table) as bigint, spec.part));
    case "bucket":
      return BigInt.asUintN(64, naiveBucket(naiveValue(spec.column, row, table), spec.width));
    case "hash":
      return hashed(bytesOf(naiveKey(spec.of, row, table, "")));
    case "cross":
      return hashed(Uint8Array.from(spec.of.flatMap((part) => [...bytesOf(naiveKey(part, row, table, ""))])));
    default:
      throw new TypeError(`no key: ${spec.kind}`);
  }
}

function naiveValue(name: string, row: number, table: ColumnTable): string | number | bigint {
  const column = table.columns.get(name)!;
  return column.kind === "string" ? column.dictionary[column.codes[row]!]! : column.values[row]!;
}

function naiveBucket(value: string | number | bigint, width: number): bigint {
  if (typeof value !== "bigint") return BigInt(Math.floor(Number(value) / width));
  const quotient = value / BigInt(width);
  return value < 0n && quotient * BigInt(width) !== value ? quotient - 1n : quotient;
}

function naiveDatePart(micros: bigint, part: DatePart): number {
  const date = new Date(Math.floor(Number(micros) / 1000));
  const minute = date.getUTCHours() * 60 + date.getUTCMinutes();
  const parts: Record<DatePart, number> = {
    hour: date.getUTCHours(),
    slot10: Math.floor(minute / 10),
    minuteOfDay: minute,
    dayOfWeek: date.getUTCDay(),
    dayOfMonth: date.getUTCDate(),
    month: date.getUTCMonth() + 1,
  };
  return parts[part];
}

/**
 * Columns of every sort. Of `city` and `town`, 300 names each, a cross has too many combinations to be tabulated;
 * `small` spans few integers, `id` all of int64, `count` more than are coded, beyond 32 bits.
 */
const someTable: fc.Arbitrary<ColumnTable> = fc.integer({ min: 1, max: 12 }).chain((rows) => {
  const many = <Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value[]> =>
    fc.array(value, { minLength: rows, maxLength: rows });
  const names = Array.from({ length: 300 }, (_, i) => `name ${i} é${"x".repeat(i % 20)}`);
  return fc
    .record({
      city: many(fc.integer({ min: 0, max: 299 })),
      town: many(fc.integer({ min: 0, max: 299 })),
      color: many(fc.integer({ min: 0, max: 2 })),
      small: many(fc.bigInt({ min: -100n, max: 100n })),
      id: many(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
      count: many(fc.integer({ min: -(2 ** 53) + 1, max: 2 ** 53 - 1 })),
      age: many(fc.integer({ min: 0, max: 99 })),
      ratio: many(fc.double({ min: -1e6, max: 1e6, noNaN: true })),
      date: many(fc.bigInt({ min: -(2n ** 51n), max: 2n ** 51n })),
    })
    .map((made) => ({
      rows,
      columns: new Map<string, Column>([
        ["city", { kind: "string", codes: Uint32Array.from(made.city), dictionary: names }],
        ["town", { kind: "string", codes: Uint32Array.from(made.town), dictionary: names }],
        ["color", { kind: "string", codes: Uint32Array.from(made.color), dictionary: ["red", "", "🦩"] }],
        ["small", { kind: "int64", values: BigInt64Array.from(made.small) }],
        ["id", { kind: "int64", values: BigInt64Array.from(made.id) }],
        ["count", { kind: "number", values: Float64Array.from(made.count) }],
        ["age", { kind: "number", values: Float64Array.from(made.age) }],
        ["ratio", { kind: "number", values: Float64Array.from(made.ratio) }],
        ["date", { kind: "int64", values: BigInt64Array.from(made.date) }],
      ]),
    }));
});

const leaf: fc.Arbitrary<FieldSpec> = fc.oneof(
  fc
    .constantFrom("city", "town", "color", "small", "id", "count", "age")
    .map((column): FieldSpec => ({ kind: "column", column })),
  fc
    .constantFrom<DatePart>("hour", "slot10", "minuteOfDay", "dayOfWeek", "dayOfMonth", "month")
    .map((part): FieldSpec => ({ kind: "datePart", column: "date", part })),
  fc
    .tuple(fc.constantFrom("small", "id", "count", "age", "ratio"), fc.constantFrom(1, 7, 50, 100_000))
    .map(([column, width]): FieldSpec => ({ kind: "bucket", column, width })),
);

const someField: fc.Arbitrary<FieldSpec> = fc.letrec<{ field: FieldSpec }>((tie) => ({
  field: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    tie("field").map((of): FieldSpec => ({ kind: "hash", of })),
    fc.array(tie("field"), { minLength: 2, maxLength: 5 }).map((of): FieldSpec => ({ kind: "cross", of })),
  ),
})).field;

function keysOf(pairs: Uint32Array): bigint[] {
  return [...new BigUint64Array(pairs.buffer, pairs.byteOffset, pairs.length / 2)];
}

describe("keys", () => {
  it("are those of the naive definition, for any field, table and rows", () => {
    fc.assert(
      fc.property(
        someTable,
        fc.array(someField, { minLength: 1, maxLength: 4 }),
        fc.infiniteStream(fc.nat()),
        (table, specs, picks) => {
          const rows = Uint32Array.from({ length: 20 }, () => (picks.next().value as number) % table.rows);
          const compiler = fieldCompiler(table);
          const readers = specs.map((spec, i) => compiler.keys(`field${i}`, spec));
          const batch = compiler.batch(rows);
          for (const [i, spec] of specs.entries()) {
            const expected = Array.from(rows, (row) => naiveKey(spec, row, table, `field${i}`));
            expect(keysOf(readers[i]!(batch))).toEqual(expected);
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  const strings = (dictionary: string[]): Column => ({
    kind: "string",
    codes: Uint32Array.from(dictionary.keys()),
    dictionary,
  });
  const tableOf = (columns: Record<string, Column>): ColumnTable => {
    const first = Object.values(columns)[0]!;
    return {
      rows: first.kind === "string" ? first.codes.length : first.values.length,
      columns: new Map(Object.entries(columns)),
    };
  };
  const keysOfField = (table: ColumnTable, name: string, spec: FieldSpec): bigint[] => {
    const compiler = fieldCompiler(table);
    const read = compiler.keys(name, spec);
    return keysOf(read(compiler.batch(Uint32Array.from({ length: table.rows }, (_, row) => row))));
  };

  it("of 70,000 strings are right too, alone and crossed", () => {
    const table = tableOf({ user: strings(Array.from({ length: 70_000 }, (_, i) => `user ${i}`)) });
    const user: FieldSpec = { kind: "column", column: "user" };
    for (const spec of [user, { kind: "hash", of: user }, { kind: "cross", of: [user, user] }] satisfies FieldSpec[]) {
      const keys = keysOfField(table, "user", spec);
      expect(new Set(keys).size).toBe(70_000);
      for (const row of [0, 65_536, 69_999]) expect(keys[row]).toBe(naiveKey(spec, row, table, "user"));
    }
  });

  it("of two fields never meet in one table, but integers do unless they are hashed", () => {
    const table = tableOf({ a: strings(["x", "y"]), n: { kind: "int64", values: BigInt64Array.of(3n, 4n) } });
    const shared = (spec: FieldSpec): number =>
      new Set([...keysOfField(table, "one", spec), ...keysOfField(table, "two", spec)]).size;
    const a: FieldSpec = { kind: "column", column: "a" };
    const n: FieldSpec = { kind: "column", column: "n" };
    expect(shared(a)).toBe(4);
    expect(shared({ kind: "cross", of: [a, n] })).toBe(4);
    expect(shared({ kind: "hash", of: n })).toBe(4);
    expect(shared(n)).toBe(2);
  });

  it("of a column that is missing, or of numbers that are no integers, are refused with the place and the remedy", () => {
    const table = tableOf({
      origin: strings(["ATL", "SEA"]),
      ratio: { kind: "number", values: Float64Array.of(1, 1.5) },
      gap: { kind: "number", values: Float64Array.of(1, Number.NaN) },
    });
    const refuse = (spec: FieldSpec, message: string): void => {
      expect(() => fieldCompiler(table).keys("f", spec)).toThrow(
        expect.objectContaining({ code: "BAD_DATA", message }),
      );
    };
    refuse(
      {
        kind: "cross",
        of: [
          { kind: "column", column: "orgin" },
          { kind: "column", column: "ratio" },
        ],
      },
      'field "f": no column "orgin" in the data, which has "origin", "ratio", "gap". Did you mean "origin"?',
    );
    refuse(
      { kind: "column", column: "ratio" },
      'field "f": column "ratio", row 1 is 1.5; expected an integer key (whole, within ±2^53): clean the row, or use bucket() or standardise()',
    );
    refuse(
      { kind: "bucket", column: "gap", width: 5 },
      'field "f": column "gap", row 1 is NaN; expected a number to divide by 5 (whole, within ±2^53): clean the row, or use bucket() or standardise()',
    );
    refuse(
      { kind: "bucket", column: "origin", width: 5 },
      'field "f": column "origin" holds strings; bucket() needs numbers: use hash() or column() for strings',
    );
    refuse(
      { kind: "datePart", column: "ratio", part: "hour" },
      'field "f": column "ratio" holds numbers; expected timestamps (int64 microseconds since 1970): store it as a timestamp',
    );
    expect(() => fieldCompiler(table).keys("f", { kind: "standardise", column: "ratio", mean: 0, stddev: 1 })).toThrow(
      new TypeError(
        'field "f": standardise("ratio") gives numbers, and keys are wanted here: use bucket("ratio", width) for an embedding, or input({ dtype: "float32" }) without one',
      ),
    );
  });
});

describe("numbers", () => {
  it("are those of the naive definition", () => {
    const someNumber: fc.Arbitrary<FieldSpec> = fc.oneof(
      leaf.filter((spec) => spec.kind !== "column" || !["city", "town", "color"].includes(spec.column)),
      fc
        .constantFrom("small", "count", "ratio")
        .map((column): FieldSpec => ({ kind: "standardise", column, mean: 3, stddev: 7 })),
    );
    fc.assert(
      fc.property(someTable, someNumber, (table, spec) => {
        const rows = Uint32Array.from({ length: 2 * table.rows }, (_, i) => (i * 7) % table.rows);
        const expected = Array.from(rows, (row) => {
          if (spec.kind === "column") return Math.fround(Number(naiveValue(spec.column, row, table)));
          if (spec.kind === "standardise") return Math.fround((Number(naiveValue(spec.column, row, table)) - 3) / 7);
          return Math.fround(Number(BigInt.asIntN(64, naiveKey(spec, row, table, ""))));
        });
        expect([...fieldCompiler(table).numbers("f", spec)(rows)].map((x) => x + 0)).toEqual(
          expected.map((x) => x + 0),
        );
      }),
    );
  });

  const table: ColumnTable = {
    rows: 2,
    columns: new Map<string, Column>([
      ["origin", { kind: "string", codes: Uint32Array.of(0, 0), dictionary: ["ATL"] }],
      ["gap", { kind: "number", values: Float64Array.of(1, Number.NaN) }],
      ["huge", { kind: "number", values: Float64Array.of(Number.NEGATIVE_INFINITY, 1) }],
    ]),
  };

  it.each([
    [
      { kind: "column", column: "origin" },
      'field "f": column "origin" holds strings (row 0 is "ATL"); expected numbers: store the column as numbers, or use it as keys, input({ dtype: "string" }) with an embedding',
    ],
    [
      { kind: "column", column: "gap" },
      'field "f": column "gap", row 1 is NaN; expected a finite number: drop the row or fill the missing value',
    ],
    [
      { kind: "standardise", column: "huge", mean: 0, stddev: 1 },
      'field "f": column "huge", row 0 is -Infinity; expected a finite number: drop the row or fill the missing value',
    ],
  ] satisfies [FieldSpec, string][])("refuse %j", (spec, message) => {
    expect(() => fieldCompiler(table).numbers("f", spec)).toThrow(
      expect.objectContaining({ code: "BAD_DATA", message }),
    );
  });

  it("never come of a hash or cross", () => {
    const origin: FieldSpec = { kind: "column", column: "origin" };
    expect(() => fieldCompiler(table).numbers("f", { kind: "hash", of: origin })).toThrow(
      new TypeError('field "f": hash() gives keys, and numbers are wanted here: give its input an embedding'),
    );
    expect(() => fieldCompiler(table).numbers("f", { kind: "cross", of: [origin, origin] })).toThrow(
      new TypeError('field "f": cross() gives keys, and numbers are wanted here: give its input an embedding'),
    );
  });
});
