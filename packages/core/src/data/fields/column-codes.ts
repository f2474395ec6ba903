/**
 * Cells as a key reader wants them: one small code per row and one 64-bit value per code where the values are few, else
 * one 64-bit value per row. Both are made once for a table, so that reading a batch is a gather from small arrays. A
 * table of a few thousand rows is itself a batch, and gets no table of values longer than it.
 */
import { leafPlace, valueInWords, wordsOf, type CellContext, type Cells } from "./cells.ts";
import type { FieldSpec } from "../spec/data-spec.ts";
import { hashStrings, hashUtf8, type Salt } from "./murmur3.ts";

export type ColumnCodes =
  /** Row r has the value `values[codes[r]]`. Strings are salted, integers are themselves whatever the salt. */
  | { kind: "coded"; codes: Uint8Array | Uint16Array | Uint32Array; size: number; values: (salt: Salt) => Uint32Array }
  /** Row r has the value `pairs[r]`, a u32 pair. */
  | { kind: "wide"; pairs: Uint32Array };

/** Integers that span fewer values than this are coded, and no more than there are rows, or this. */
const CODES_MAX = 65_536;
const CODES_MIN = 256;

/** Rows without a key, or with a number that is none, are marked; their code is any. */
export function codesOf(cells: Cells, spec: FieldSpec, context: CellContext): ColumnCodes {
  switch (cells.kind) {
    case "string":
      markEmpty(cells, spec, context);
      return codesOfStrings(cells);
    case "small":
      markMissing(cells.missing, spec, context);
      return codedFrom(cells.codes, 0, cells.size);
    case "int64":
      markMissing(cells.missing, spec, context);
      return codesOfIntegers(cells.values);
    case "number":
      return codesOfIntegers(integersOf(cells.values, spec, context));
    default:
      return cells satisfies never;
  }
}

function markMissing(missing: Uint8Array | undefined, spec: FieldSpec, context: CellContext): void {
  if (missing === undefined) return;
  for (let row = 0; row < missing.length; row++) if (missing[row] === 1) markBad(row, spec, context);
}

function markEmpty(cells: Extract<Cells, { kind: "string" }>, spec: FieldSpec, context: CellContext): void {
  const { codes, utf8 } = cells;
  if (utf8 === undefined && !cells.dictionary.includes("")) return;
  const isEmpty = (code: number): boolean =>
    utf8 === undefined ? cells.dictionary[code] === "" : utf8.ends[code] === (code === 0 ? 0 : utf8.ends[code - 1]);
  for (let row = 0; row < codes.length; row++) if (isEmpty(codes[row]!)) markBad(row, spec, context);
}

function markBad(row: number, spec: FieldSpec, context: CellContext): void {
  context.faults.mark(row, () => `${leafPlace(spec, context)} is ${valueInWords(spec, context, row)}; expected a key`);
}

function codesOfStrings(cells: Extract<Cells, { kind: "string" }>): ColumnCodes {
  const { codes, utf8 } = cells;
  if (utf8 !== undefined && utf8.size <= Math.max(codes.length, CODES_MIN)) {
    return { kind: "coded", codes, size: utf8.size, values: (salt) => hashUtf8(salt, utf8) };
  }
  const { dictionary } = cells;
  if (dictionary.length <= Math.max(codes.length, CODES_MIN)) {
    return { kind: "coded", codes, size: dictionary.length, values: (salt) => hashStrings(salt, dictionary) };
  }
  // A few rows of a large dictionary: only what they use is hashed.
  const newCode = new Map<number, number>();
  const used: string[] = [];
  const own = new Uint32Array(codes.length);
  for (let row = 0; row < codes.length; row++) {
    let code = newCode.get(codes[row]!);
    if (code === undefined) {
      code = used.push(dictionary[codes[row]!]!) - 1;
      newCode.set(codes[row]!, code);
    }
    own[row] = code;
  }
  return { kind: "coded", codes: own, size: used.length, values: (salt) => hashStrings(salt, used) };
}

function integersOf(values: Float64Array, spec: FieldSpec, context: CellContext): BigInt64Array {
  const integers = new BigInt64Array(values.length);
  const words = wordsOf(integers);
  for (let row = 0; row < values.length; row++) {
    const value = values[row]!;
    if (Number.isSafeInteger(value)) {
      words[2 * row] = value;
      words[2 * row + 1] = Math.floor(value / 0x1_0000_0000);
    } else if (Number.isInteger(value)) {
      context.faults.mark(
        row,
        () =>
          `${leafPlace(spec, context)} is ${value}, beyond ±2^53, where a number loses the last digits of a key: ` +
          `declare the column int64, or give it as bigints`,
      );
    } else {
      const remedy = Number.isNaN(value) ? "" : " (whole, within ±2^53): use bucket(), quantiles() or standardise()";
      context.faults.mark(
        row,
        () =>
          `${leafPlace(spec, context)} is ${Number.isNaN(value) ? "missing" : valueInWords(spec, context, row)}; ` +
          `expected an integer key${remedy}`,
      );
    }
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
  const codesMax = Math.min(CODES_MAX, Math.max(CODES_MIN, integers.length));
  const isSmall = Number.isSafeInteger(least) && Number.isSafeInteger(greatest) && greatest - least < codesMax;
  if (!isSmall) return { kind: "wide", pairs: words };

  const size = greatest - least + 1;
  const codes = size <= 256 ? new Uint8Array(integers.length) : new Uint16Array(integers.length);
  for (let row = 0; row < integers.length; row++) {
    codes[row] = (words[2 * row + 1]! | 0) * 0x1_0000_0000 + words[2 * row]! - least;
  }
  return codedFrom(codes, least, size);
}

function codedFrom(codes: Uint8Array | Uint16Array | Uint32Array, least: number, size: number): ColumnCodes {
  const pairs = new Uint32Array(2 * size);
  for (let code = 0; code < size; code++) {
    pairs[2 * code] = least + code;
    pairs[2 * code + 1] = Math.floor((least + code) / 0x1_0000_0000);
  }
  return { kind: "coded", codes, size, values: () => pairs };
}
