// Rows by their addresses: their headers, and their weights in memory and on their way, as 0 float32, 1 bfloat16 or
// 2 int8 (see `../../table/row-layout.ts`).

import { fromBfloat16, fromInt8Rows, toBfloat16, toInt8Rows } from "./convert";
import { roundToBfloat16, roundToInt8Row, roundingSeed } from "./stochastic-rounding";
import { touchEach } from "./table";

export const FLOAT32: u32 = 0;
const BFLOAT16: u32 = 1;

export const ROW_HEADER_BYTES: u32 = 16;
export const UPDATES: usize = 8;
const LAST_STEP: usize = 12;

/** Rows whose cache lines are loaded before the first of them is used. */
export const AHEAD: u32 = 32;

/** out f32[n, dim] = the weights of n rows. */
export function rowsRead(rows: usize, n: u32, dim: u32, rowDtype: u32, out: usize): void {
  let to = out;
  for (let r: u32 = 0; r < n; r++, to += dim << 2) {
    if (r % AHEAD == 0) touchAhead(rows, r, n, weightsBytes(rowDtype, dim));
    convertRow(rowAt(rows, r) + ROW_HEADER_BYTES, rowDtype, to, FLOAT32, dim);
  }
}

/**
 * Overwrites the weights of n rows with `values` f32[n, dim]. Those of a smaller dtype are rounded stochastically, by
 * the row's key and number of updates; in a row that was never updated to nearest even.
 */
export function rowsWrite(rows: usize, n: u32, dim: u32, rowDtype: u32, values: usize): void {
  let from = values;
  for (let r: u32 = 0; r < n; r++, from += dim << 2) {
    if (r % AHEAD == 0) touchAhead(rows, r, n, weightsBytes(rowDtype, dim));
    const row = rowAt(rows, r);
    const to = row + ROW_HEADER_BYTES;
    const updates = load<u32>(row, UPDATES);
    if (rowDtype == FLOAT32 || updates == 0) convertRow(from, FLOAT32, to, rowDtype, dim);
    else {
      const seed = roundingSeed(load<u32>(row), load<u32>(row, 4), updates);
      if (rowDtype == BFLOAT16) roundToBfloat16(from, dim, seed, to);
      else roundToInt8Row(from, dim, seed, to);
    }
  }
}

/** Notes that rows were updated in a step: updates += 1, at most 2³² − 1, and the last step. */
export function rowsTouched(rows: usize, n: u32, step: u32): void {
  for (let r: u32 = 0; r < n; r++) {
    const row = rowAt(rows, r);
    const updates = load<u32>(row, UPDATES);
    store<u32>(row, updates + (updates != 0xffff_ffff ? 1 : 0), UPDATES);
    store<u32>(row, step, LAST_STEP);
  }
}

/** An address of a list of rows, whose low bits may mark new ones. */
export function rowAt(rows: usize, r: u32): usize {
  return load<u32>(rows + (r << 2)) & ~7;
}

/** Loads what the next AHEAD rows take: headers and `bytes` bytes behind them. */
export function touchAhead(rows: usize, from: u32, n: u32, bytes: usize): void {
  touchEach(rows + (from << 2), min(n - from, AHEAD), ROW_HEADER_BYTES + <u32>bytes);
}

/** Bytes that the weights of one row take on their way; in memory bfloat16 takes a multiple of 4. */
export function weightsBytes(dtype: u32, dim: u32): u32 {
  if (dtype == FLOAT32) return dim << 2;
  if (dtype == BFLOAT16) return dim << 1;
  return 8 + ((dim + 3) & ~3);
}

/** Copies weights from one dtype into another, rounded to nearest even. One of both is float32, or they are the same. */
export function convertRow(from: usize, dtype: u32, to: usize, toDtype: u32, dim: u32): void {
  if (dtype == toDtype) copyRow(from, to, weightsBytes(dtype, dim));
  else if (toDtype == FLOAT32) {
    if (dtype == BFLOAT16) fromBfloat16(from, dim, to);
    else fromInt8Rows(from, 1, dim, to);
  } else if (toDtype == BFLOAT16) toBfloat16(from, dim, to);
  else toInt8Rows(from, 1, dim, to);
}

function copyRow(from: usize, to: usize, bytes: u32): void {
  let at: usize = 0;
  for (const end: usize = bytes & ~63; at < end; at += 64) {
    const first = v128.load(from + at);
    const second = v128.load(from + at, 16);
    const third = v128.load(from + at, 32);
    const fourth = v128.load(from + at, 48);
    v128.store(to + at, first);
    v128.store(to + at, second, 16);
    v128.store(to + at, third, 32);
    v128.store(to + at, fourth, 48);
  }
  for (const end: usize = bytes & ~3; at < end; at += 4) store<u32>(to + at, load<u32>(from + at));
  if (at < bytes) store<u16>(to + at, load<u16>(from + at));
}
