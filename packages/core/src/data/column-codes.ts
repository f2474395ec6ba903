/**
 * Columns as a key reader wants them: one small code per row and one 64-bit value per code where the values are
 * few, else one 64-bit value per row. Both are made once, when the data set is opened, so that reading a batch is
 * a gather from small arrays.
 */
import { ClusterError } from "../errors.ts";
import type { FieldSpec } from "./data-spec.ts";
import type { Column, ColumnTable } from "./dataset.ts";
import { DATE_PART_SIZES, datePartsOf } from "./instant.ts";
import { hashStrings, type Salt } from "./murmur3.ts";
import { didYouMean, quoted } from "./nearest-name.ts";

export type ColumnCodes =
  /** Row r has the value `values[codes[r]]`. Strings are salted, integers are themselves whatever the salt. */
  | { kind: "coded"; codes: Uint8Array | Uint16Array | Uint32Array; size: number; values: (salt: Salt) => Uint32Array }
  /** Row r has the value `pairs[r]`, a u32 pair. */
  | { kind: "wide"; pairs: Uint32Array };

/** A field made of one column. */
export type ColumnField = Extract<FieldSpec, { kind: "column" | "datePart" | "bucket" }>;

/** Integers that span fewer values than this are coded. */
const CODES_MAX = 65_536;

/**
 * @param place what the message names, as `field "hour": column "date"`
 * @throws {ClusterError} BAD_DATA: the column's sort or one of its values makes no key
 */
export function codesOf({ spec, column, place }: { spec: ColumnField; column: Column; place: string }): ColumnCodes {
  switch (spec.kind) {
    case "column":
      return codesOfColumn(column, place);
    case "datePart": {
      const codes = datePartsOf(timestampsOf(column, place), spec.part);
      return codedFrom(codes, 0, DATE_PART_SIZES[spec.part]);
    }
    case "bucket":
      return codesOfIntegers(bucketsOf({ column, width: spec.width, place }));
    default:
      return spec satisfies never;
  }
}

/** @throws {ClusterError} BAD_DATA: no such column; the message names those there are */
export function columnOf(table: ColumnTable, name: string, wantedBy: string): Column {
  const column = table.columns.get(name);
  if (column !== undefined) return column;
  const names = [...table.columns.keys()];
  throw new ClusterError(
    "BAD_DATA",
    `${wantedBy}: no column "${name}" in the data, which has ${quoted(names)}.${didYouMean(name, names)}`,
  );
}

/** The column's microseconds since 1970. */
export function timestampsOf(column: Column, place: string): BigInt64Array {
  if (column.kind === "int64") return column.values;
  throw new ClusterError(
    "BAD_DATA",
    `${place} holds ${sortOf(column)}; expected timestamps (int64 microseconds since 1970): store it as a timestamp`,
  );
}

/** floor(value / width) of every row. */
export function bucketsOf({ column, width, place }: { column: Column; width: number; place: string }): BigInt64Array {
  if (column.kind === "string") {
    throw new ClusterError(
      "BAD_DATA",
      `${place} holds strings; bucket() needs numbers: use hash() or column() for strings`,
    );
  }
  const { values } = column;
  const buckets = new BigInt64Array(values.length);
  const words = wordsOf(buckets);
  for (let row = 0; row < values.length; row++) {
    const value = values[row]!;
    if (typeof value === "bigint" && Number.isInteger(width) && !isSafe(value)) {
      buckets[row] = floorDivide(value, BigInt(width));
      continue;
    }
    const bucket = Math.floor(Number(value) / width);
    if (!Number.isSafeInteger(bucket))
      throw notAnInteger({ place, row, value, wanted: `a number to divide by ${width}` });
    words[2 * row] = bucket;
    words[2 * row + 1] = Math.floor(bucket / 0x1_0000_0000);
  }
  return buckets;
}

/** What a column holds, in words for messages. */
export function sortOf(column: Column): string {
  switch (column.kind) {
    case "string":
      return "strings";
    case "int64":
      return "64-bit integers";
    case "number":
      return "numbers";
    default:
      return column satisfies never;
  }
}

function codesOfColumn(column: Column, place: string): ColumnCodes {
  switch (column.kind) {
    case "string": {
      const { codes, dictionary } = column;
      return { kind: "coded", codes, size: dictionary.length, values: (salt) => hashStrings(salt, dictionary) };
    }
    case "int64":
      return codesOfIntegers(column.values);
    case "number":
      return codesOfIntegers(integersOf(column.values, place));
    default:
      return column satisfies never;
  }
}

function integersOf(values: Float64Array, place: string): BigInt64Array {
  const integers = new BigInt64Array(values.length);
  const words = wordsOf(integers);
  for (let row = 0; row < values.length; row++) {
    const value = values[row]!;
    if (!Number.isSafeInteger(value)) throw notAnInteger({ place, row, value, wanted: "an integer key" });
    words[2 * row] = value;
    words[2 * row + 1] = Math.floor(value / 0x1_0000_0000);
  }
  return integers;
}

function codesOfIntegers(integers: BigInt64Array): ColumnCodes {
  const words = wordsOf(integers);
  let least = Number.POSITIVE_INFINITY;
  let greatest = Number.NEGATIVE_INFINITY;
  for (let row = 0; row < integers.length; row++) {
    // A pair is exact as a double only within ±2^53; a range check on any larger one fails below.
    const value = (words[2 * row + 1]! | 0) * 0x1_0000_0000 + words[2 * row]!;
    if (value < least) least = value;
    if (value > greatest) greatest = value;
  }
  const isSmall = Number.isSafeInteger(least) && Number.isSafeInteger(greatest) && greatest - least < CODES_MAX;
  if (!isSmall) return { kind: "wide", pairs: words };

  const size = greatest - least + 1;
  const codes = size <= 256 ? new Uint8Array(integers.length) : new Uint16Array(integers.length);
  for (let row = 0; row < integers.length; row++) {
    codes[row] = (words[2 * row + 1]! | 0) * 0x1_0000_0000 + words[2 * row]! - least;
  }
  return codedFrom(codes, least, size);
}

function codedFrom(codes: Uint8Array | Uint16Array, least: number, size: number): ColumnCodes {
  const pairs = new Uint32Array(2 * size);
  for (let code = 0; code < size; code++) {
    pairs[2 * code] = least + code;
    pairs[2 * code + 1] = Math.floor((least + code) / 0x1_0000_0000);
  }
  return { kind: "coded", codes, size, values: () => pairs };
}

/** The u32 pairs of int64s, low word first: every platform with WebGPU, WebGL or Node is little-endian. */
function wordsOf(integers: BigInt64Array): Uint32Array {
  return new Uint32Array(integers.buffer, integers.byteOffset, 2 * integers.length);
}

function isSafe(value: bigint): boolean {
  return Number.isSafeInteger(Number(value));
}

function floorDivide(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  return value < 0n && quotient * by !== value ? quotient - 1n : quotient;
}

function notAnInteger(fault: { place: string; row: number; value: number | bigint; wanted: string }): ClusterError {
  const { place, row, value, wanted } = fault;
  return new ClusterError(
    "BAD_DATA",
    `${place}, row ${row} is ${value}; expected ${wanted} (whole, within ±2^53): clean the row, or use bucket() or standardise()`,
  );
}
