import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DatePart, FieldSpec } from "../spec/data-spec.ts";
import type { Column, ColumnTable } from "../spec/dataset.ts";
import { FieldCompiler } from "./fields.ts";
import { murmur128 } from "./murmur3.ts";
import { RowFaults } from "./row-faults.ts";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

function digestOf(bytes: Uint8Array): Uint8Array {
  const digest = new Uint32Array(4);
  murmur128(new Uint32Array(4), bytes, 0, digest);
  return new Uint8Array(digest.buffer);
}

/** The definition at the head of key-nodes.ts, said naively with BigInt: one row, one key; undefined for a bad row. */
function naiveKey(spec: FieldSpec, row: number, table: ColumnTable, salt: string): bigint | undefined {
  const hashed = (bytes: Uint8Array, by = salt): bigint =>
    new DataView(digestOf(Uint8Array.of(...digestOf(utf8(by)), ...bytes)).buffer).getBigUint64(0, true);
  const bytesOf = (key: bigint): Uint8Array => new Uint8Array(BigUint64Array.of(key).buffer);
  switch (spec.kind) {
    case "hash": {
      const key = naiveKey(spec.of, row, table, "");
      return key === undefined ? undefined : hashed(bytesOf(key), spec.salt ?? salt);
    }
    case "cross": {
      const keys = spec.of.map((part) => naiveKey(part, row, table, ""));
      if (keys.includes(undefined)) return undefined;
      return hashed(Uint8Array.from(keys.flatMap((key) => [...bytesOf(key!)])));
    }
    default: {
      const value = naiveValue(spec, row, table);
      if (value === undefined) return undefined;
      if (typeof value === "string") return value === "" ? undefined : hashed(utf8(value));
      if (typeof value === "number" && !Number.isSafeInteger(value)) return undefined;
      return BigInt.asUintN(64, BigInt(value));
    }
  }
}

/** A row is bad on account of a part, whatever stands around it. */
class OutOfRange extends Error {}

function unlessOutOfRange<T>(value: () => T): T | undefined {
  try {
    return value();
  } catch (error) {
    if (error instanceof OutOfRange) return undefined;
    throw error;
  }
}

/** What a part is worth in a row; undefined where it is missing. */
function naiveValue(spec: FieldSpec, row: number, table: ColumnTable): string | number | bigint | undefined {
  switch (spec.kind) {
    case "column": {
      const column = table.columns.get(spec.column)!;
      if (column.kind === "list") throw new TypeError(`column ${spec.column} holds lists`);
      if (column.kind === "string") return column.dictionary[column.codes[row]!] || undefined;
      if (column.kind === "int64") return column.missing?.[row] === 1 ? undefined : column.values[row]!;
      return Number.isNaN(column.values[row]!) ? undefined : column.values[row]!;
    }
    case "datePart": {
      const date = naiveValue({ kind: "column", column: spec.column }, row, table);
      return date === undefined ? undefined : naiveDatePart(date as bigint, spec.part);
    }
    case "withDefault":
      return naiveValue(spec.of, row, table) ?? spec.value;
    case "bucket": {
      const value = naiveValue(spec.of, row, table);
      return value === undefined ? undefined : naiveBucket(value, spec.width);
    }
    default: {
      const value = naiveValue("of" in spec && !Array.isArray(spec.of) ? spec.of : spec, row, table);
      return value === undefined ? undefined : naiveNumber(spec, Number(value));
    }
  }
}

function naiveNumber(spec: FieldSpec, x: number): number | undefined {
  switch (spec.kind) {
    case "quantiles":
      return spec.edges!.filter((edge) => edge <= x).length;
    case "standardise":
      return (x - spec.mean!) / spec.stddev!;
    case "log":
      return Number.isNaN(Math.log(x + spec.plus)) ? undefined : Math.log(x + spec.plus);
    case "clip":
      return Math.min(spec.max, Math.max(spec.min, x));
    default:
      throw new TypeError(`no number: ${spec.kind}`);
  }
}

function naiveBucket(value: string | number | bigint, width: number): bigint | number {
  const isExact = typeof value === "bigint" && Number.isInteger(width);
  if (!isExact) {
    const bucket = Math.floor(Number(value) / width);
    if (!Number.isSafeInteger(bucket)) throw new OutOfRange();
    return bucket;
  }
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
 * Columns of every sort, each with missing values. Of `city` and `town`, 300 names each, a cross has too many
 * combinations to be tabulated; `small` spans few integers, `id` all of int64, `count` more than are coded, beyond 32
 * bits. Rows repeat up to some hundreds, so that values are fewer than rows too.
 */
const someTable: fc.Arbitrary<ColumnTable> = fc
  .tuple(fc.integer({ min: 1, max: 12 }), fc.constantFrom(1, 40))
  .chain(([made, copies]) => {
    const rows = made * copies;
    const many = <Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value[]> =>
      fc
        .array(value, { minLength: made, maxLength: made })
        .map((values) => Array.from({ length: rows }, (_, row) => values[row % made]!));
    const names = Array.from({ length: 300 }, (_, i) => `name ${i} é${"x".repeat(i % 20)}`);
    const missing = many(fc.integer({ min: 0, max: 9 }).map((die) => (die === 0 ? 1 : 0)));
    return fc
      .record({
        city: many(fc.integer({ min: 0, max: 299 })),
        town: many(fc.integer({ min: 0, max: 299 })),
        color: many(fc.integer({ min: 0, max: 2 })),
        small: many(fc.bigInt({ min: -100n, max: 100n })),
        id: many(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })),
        count: many(fc.integer({ min: -(2 ** 53) + 1, max: 2 ** 53 - 1 })),
        age: many(fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 0, max: 99 }) }, fc.constant(Number.NaN))),
        ratio: many(fc.double({ min: -1e6, max: 1e6, noNaN: true })),
        date: many(fc.bigInt({ min: -(2n ** 51n), max: 2n ** 51n })),
        missing,
        undated: missing,
      })
      .map((column) => ({
        rows,
        columns: new Map<string, Column>([
          ["city", { kind: "string", codes: Uint32Array.from(column.city), dictionary: names }],
          ["town", { kind: "string", codes: Uint32Array.from(column.town), dictionary: names }],
          ["color", { kind: "string", codes: Uint32Array.from(column.color), dictionary: ["red", "", "🦩"] }],
          [
            "small",
            { kind: "int64", values: BigInt64Array.from(column.small), missing: Uint8Array.from(column.missing) },
          ],
          ["id", { kind: "int64", values: BigInt64Array.from(column.id) }],
          ["count", { kind: "number", values: Float64Array.from(column.count) }],
          ["age", { kind: "number", values: Float64Array.from(column.age) }],
          ["ratio", { kind: "number", values: Float64Array.from(column.ratio) }],
          [
            "date",
            { kind: "int64", values: BigInt64Array.from(column.date), missing: Uint8Array.from(column.undated) },
          ],
        ]),
      }));
  });

const numeric: fc.Arbitrary<FieldSpec> = fc.letrec<{ number: FieldSpec }>((tie) => ({
  number: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.constantFrom("small", "count", "age", "ratio").map((column): FieldSpec => ({ kind: "column", column })),
    tie("number").map((of): FieldSpec => ({ kind: "standardise", of, mean: 3, stddev: 7 })),
    tie("number").map((of): FieldSpec => ({ kind: "log", of, plus: 1 })),
    tie("number").map((of): FieldSpec => ({ kind: "clip", of, min: -50, max: 60.5 })),
    fc
      .tuple(tie("number"), fc.constantFrom(0, 7, -3.5))
      .map(([of, value]): FieldSpec => ({ kind: "withDefault", of, value })),
    fc
      .tuple(tie("number"), fc.constantFrom(1, 7, 0.3))
      .map(([of, width]): FieldSpec => ({ kind: "bucket", of, width })),
    tie("number").map((of): FieldSpec => ({ kind: "quantiles", of, buckets: 4, edges: [-10, 0, 12.5] })),
  ),
})).number;

const leaf: fc.Arbitrary<FieldSpec> = fc.oneof(
  fc
    .constantFrom("city", "town", "color", "small", "id", "count", "age", "ratio")
    .map((column): FieldSpec => ({ kind: "column", column })),
  fc
    .constantFrom<DatePart>("hour", "slot10", "minuteOfDay", "dayOfWeek", "dayOfMonth", "month")
    .map((part): FieldSpec => ({ kind: "datePart", column: "date", part })),
  fc
    .tuple(
      fc.oneof(numeric, fc.constant<FieldSpec>({ kind: "column", column: "id" })),
      fc.constantFrom(1, 7, 50, 100_000),
    )
    .map(([of, width]): FieldSpec => ({ kind: "bucket", of, width })),
  numeric.map((of): FieldSpec => ({ kind: "quantiles", of, buckets: 3, edges: [0, 30] })),
  fc
    .constantFrom("city", "color")
    .map((column): FieldSpec => ({ kind: "withDefault", of: { kind: "column", column }, value: "none" })),
  fc.constantFrom(-1, 0, 7, 2 ** 40).map((value): FieldSpec => ({
    kind: "withDefault",
    of: { kind: "datePart", column: "date", part: "hour" },
    value,
  })),
);

const someField: fc.Arbitrary<FieldSpec> = fc.letrec<{ field: FieldSpec }>((tie) => ({
  field: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    tie("field").map((of): FieldSpec => ({ kind: "hash", of })),
    tie("field").map((of): FieldSpec => ({ kind: "hash", of, salt: "shared" })),
    fc.array(tie("field"), { minLength: 2, maxLength: 5 }).map((of): FieldSpec => ({ kind: "cross", of })),
  ),
})).field;

function keysOf(pairs: Uint32Array): bigint[] {
  return [...new BigUint64Array(pairs.buffer, pairs.byteOffset, pairs.length / 2)];
}

function compile(table: ColumnTable): { compiler: FieldCompiler; faults: RowFaults } {
  const faults = new RowFaults(table);
  return { compiler: new FieldCompiler(table, faults), faults };
}

/** Keys of all rows, with the rows that turned out bad. */
function keysOfField(table: ColumnTable, field: string, spec: FieldSpec): { keys: bigint[]; faults: RowFaults } {
  const { compiler, faults } = compile(table);
  const read = compiler.keys({ field, place: `field "${field}"`, spec });
  return { keys: keysOf(read(compiler.batch(Uint32Array.from({ length: table.rows }, (_, row) => row)))), faults };
}

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

describe("numbers", () => {
  it("are those of the naive definition, and the other rows are bad", () => {
    const someNumber: fc.Arbitrary<FieldSpec> = fc.oneof(
      numeric,
      fc.constantFrom<DatePart>("hour", "month").map((part): FieldSpec => ({ kind: "datePart", column: "date", part })),
    );
    fc.assert(
      fc.property(someTable, someNumber, (table, spec) => {
        const rows = Uint32Array.from({ length: 2 * table.rows }, (_, i) => (i * 7) % table.rows);
        const { compiler, faults } = compile(table);
        const numbers = compiler.numbers({ place: "f", spec, width: 1 })(compiler.batch(rows));
        for (const [b, row] of rows.entries()) {
          const value = Math.fround(Number(unlessOutOfRange(() => naiveValue(spec, row, table)) ?? Number.NaN));
          expect(faults.rows?.[row] ?? 0).toBe(Number.isFinite(value) ? 0 : 1);
          expect(numbers[b]! + 0).toBe(Number.isFinite(value) ? value + 0 : 0);
        }
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
    placeOf: (row) => `train.csv:${row + 2}`,
  };
  const numbersOf = (spec: FieldSpec, width = 1): { numbers: number[]; faults: RowFaults } => {
    const { compiler, faults } = compile(table);
    const read = compiler.numbers({ place: 'field "f"', spec, width });
    return { numbers: [...read(compiler.batch(Uint32Array.of(0, 1)))], faults };
  };

  it("never come of strings, nor several of a column of one", () => {
    const badData = (message: string): unknown => expect.objectContaining({ code: "BAD_DATA", message });
    expect(() => numbersOf({ kind: "column", column: "origin" })).toThrow(
      badData(
        'field "f": column "origin" holds strings (the first is "ATL"); expected numbers: store the column as numbers, or use it as keys, input({ dtype: "string" }) with an embedding',
      ),
    );
    expect(() => numbersOf({ kind: "log", of: { kind: "column", column: "origin" }, plus: 1 })).toThrow(
      badData(
        'field "f": column "origin" holds strings (the first is "ATL"); expected numbers: logOf() needs them; use hash() or column() for strings',
      ),
    );
    expect(() => numbersOf({ kind: "column", column: "gap" }, 3)).toThrow(
      badData(
        'field "f" gives one number a sample, and the model wants 3: give its input the shape [1], or make it of a column of lists',
      ),
    );
  });

  it("mark a missing or endless one, at its place in its file, and give 0 for it", () => {
    const gap = numbersOf({ kind: "column", column: "gap" });
    expect(gap.numbers).toEqual([1, 0]);
    expect(gap.faults.first).toEqual([
      { row: 1, place: "train.csv:3", fault: 'field "f": column "gap" is missing (NaN); expected a finite number' },
    ]);
    const huge = numbersOf({ kind: "standardise", of: { kind: "column", column: "huge" }, mean: 0, stddev: 1 });
    expect(huge.faults.first).toEqual([
      { row: 0, place: "train.csv:2", fault: 'field "f": column "huge" is -Infinity; expected a finite number' },
    ]);
    expect(numbersOf({ kind: "withDefault", of: { kind: "column", column: "gap" }, value: 9 }).numbers).toEqual([1, 9]);
  });
});

describe("lists", () => {
  const strings = (...values: string[]): Extract<Column, { kind: "string" }> => ({
    kind: "string",
    codes: Uint32Array.from(values.keys()),
    dictionary: values,
  });
  const table: ColumnTable = {
    rows: 3,
    columns: new Map<string, Column>([
      ["genres", { kind: "string", codes: Uint32Array.of(0, 1, 2), dictionary: ["a|b||a", "", "c"] }],
      ["tags", { kind: "list", offsets: Uint32Array.of(0, 2, 2, 3), elements: strings("a", "b", "c") }],
      [
        "ids",
        {
          kind: "list",
          offsets: Uint32Array.of(0, 2, 2, 3),
          elements: { kind: "int64", values: BigInt64Array.of(7n, -1n, 2n ** 62n) },
        },
      ],
      [
        "weights",
        {
          kind: "list",
          offsets: Uint32Array.of(0, 2, 2, 3),
          elements: { kind: "number", values: Float64Array.of(0.5, 2, 4) },
        },
      ],
      ["tag", strings("a", "b", "c")],
      ["n", { kind: "number", values: Float64Array.of(4, 5, 6) }],
    ]),
  };
  const column = (name: string): FieldSpec => ({ kind: "column", column: name });
  const listsOf = (spec: FieldSpec, rows = Uint32Array.of(0, 1, 2)): { lists: bigint[][]; faults: RowFaults } => {
    const { compiler, faults } = compile(table);
    const { offsets, keys } = compiler.keyLists({ field: "f", place: 'field "f"', spec })(compiler.batch(rows));
    const all = keysOf(keys);
    return { lists: Array.from(rows, (_, b) => all.slice(offsets[b], offsets[b + 1])), faults };
  };
  const [a, b, c] = keysOfField(table, "f", column("tag")).keys as [bigint, bigint, bigint];

  it("of strings, of a split string and of one string have the keys of single strings", () => {
    expect(listsOf(column("tags")).lists).toEqual([[a, b], [], [c]]);
    expect(listsOf({ kind: "split", column: "genres", separator: "|" }).lists).toEqual([[a, b, a], [], [c]]);
    expect(listsOf(column("tag")).lists).toEqual([[a], [b], [c]]);
    const hashed = keysOfField(table, "f", { kind: "hash", of: column("tag"), salt: "s" }).keys;
    expect(listsOf({ kind: "hash", of: column("tags"), salt: "s" }).lists).toEqual([
      [hashed[0], hashed[1]],
      [],
      [hashed[2]],
    ]);
  });

  it("come in the order of the rows asked for, as often as asked", () => {
    expect(listsOf(column("ids"), Uint32Array.of(2, 0, 1, 2)).lists).toEqual([
      [2n ** 62n],
      [7n, 2n ** 64n - 1n],
      [],
      [2n ** 62n],
    ]);
    expect(listsOf(column("ids"), new Uint32Array(0)).lists).toEqual([]);
  });

  it("that are empty are filled by a default", () => {
    expect(listsOf({ kind: "withDefault", of: column("tags"), value: "b" }).lists).toEqual([[a, b], [b], [c]]);
    expect(listsOf({ kind: "withDefault", of: column("ids"), value: 5 }).lists[1]).toEqual([5n]);
    const split: FieldSpec = { kind: "split", column: "genres", separator: "|" };
    expect(() => listsOf({ kind: "withDefault", of: split, value: 1 })).toThrow("gives strings, and its default is 1");
    expect(listsOf({ kind: "withDefault", of: split, value: "a" }).lists[1]).toEqual([a]);
  });

  it("of numbers are rows of a fixed width, or lists of any", () => {
    const { compiler, faults } = compile(table);
    const rows = Uint32Array.of(2, 0, 1);
    const lists = compiler.numberLists({ place: "w", spec: column("weights") });
    const single = compiler.numberLists({ place: "w", spec: column("n") });
    const batch = compiler.batch(rows);
    expect(lists(batch)).toEqual({ offsets: Uint32Array.of(0, 1, 3, 3), values: Float32Array.of(4, 0.5, 2) });
    expect(single(batch)).toEqual({ offsets: Uint32Array.of(0, 1, 2, 3), values: Float32Array.of(6, 4, 5) });
    expect(faults.count).toBe(0);

    const spec: FieldSpec = { kind: "withDefault", of: { kind: "log", of: column("weights"), plus: 0 }, value: -1 };
    const numbers = compiler.numbers({ place: 'field "w"', spec, width: 2 });
    expect([...numbers(compiler.batch(rows))]).toEqual([0, 0, Math.log(0.5), Math.log(2), -1, -1].map(Math.fround));
    expect(faults.first).toEqual([
      { row: 2, place: "row 2", fault: 'field "w" is a list of 1 numbers; expected 2, as its input\'s shape says' },
    ]);
  });

  it("with an element that makes no key mark their row", () => {
    expect(listsOf(column("weights")).faults.first).toEqual([
      {
        row: 0,
        place: "row 0",
        fault:
          'field "f": column "weights" is 0.5; expected an integer key (whole, within ±2^53): use bucket(), quantiles() or standardise() (element 0 of its list)',
      },
    ]);
  });
});
