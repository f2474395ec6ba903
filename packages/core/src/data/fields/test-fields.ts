/** For tests: what fields are worth, said naively, row by row; and tables and fields of every sort. */
import fc from "fast-check";
import type { DatePart, FieldSpec } from "../spec/data-spec.ts";
import type { Column, ColumnTable } from "../spec/dataset.ts";
import { FieldCompiler } from "./fields.ts";
import { murmur128 } from "./murmur3.ts";
import { RowFaults } from "./row-faults.ts";

/** The definition at the head of key-nodes.ts, said naively with BigInt: one row, one key; undefined for a bad row. */
export function naiveKey(spec: FieldSpec, row: number, table: ColumnTable, salt: string): bigint | undefined {
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

export function unlessOutOfRange<T>(value: () => T): T | undefined {
  try {
    return value();
  } catch (error) {
    if (error instanceof OutOfRange) return undefined;
    throw error;
  }
}

/** What a part is worth in a row; undefined where it is missing. */
export function naiveValue(spec: FieldSpec, row: number, table: ColumnTable): string | number | bigint | undefined {
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
export const someTable: fc.Arbitrary<ColumnTable> = fc
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

export const numeric: fc.Arbitrary<FieldSpec> = fc.letrec<{ number: FieldSpec }>((tie) => ({
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

export const someField: fc.Arbitrary<FieldSpec> = fc.letrec<{ field: FieldSpec }>((tie) => ({
  field: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaf,
    tie("field").map((of): FieldSpec => ({ kind: "hash", of })),
    tie("field").map((of): FieldSpec => ({ kind: "hash", of, salt: "shared" })),
    fc.array(tie("field"), { minLength: 2, maxLength: 5 }).map((of): FieldSpec => ({ kind: "cross", of })),
  ),
})).field;

export function keysOf(pairs: Uint32Array): bigint[] {
  return [...new BigUint64Array(pairs.buffer, pairs.byteOffset, pairs.length / 2)];
}

export function compile(table: ColumnTable): { compiler: FieldCompiler; faults: RowFaults } {
  const faults = new RowFaults(table);
  return { compiler: new FieldCompiler(table, faults), faults };
}

/** Keys of all rows, with the rows that turned out bad. */
export function keysOfField(table: ColumnTable, field: string, spec: FieldSpec): { keys: bigint[]; faults: RowFaults } {
  const { compiler, faults } = compile(table);
  const read = compiler.keys({ field, place: `field "${field}"`, spec });
  return { keys: keysOf(read(compiler.batch(Uint32Array.from({ length: table.rows }, (_, row) => row)))), faults };
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

function digestOf(bytes: Uint8Array): Uint8Array {
  const digest = new Uint32Array(4);
  murmur128(new Uint32Array(4), bytes, 0, digest);
  return new Uint8Array(digest.buffer);
}
