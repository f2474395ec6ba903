/**
 * Rows of several widths one after another, as frames carry them, in runs of one width: what goes through a kernel at
 * a time. Where all tables have one width, all rows are one run.
 *
 * Shapes: S segments, T tables.
 */
import type { KernelMemory } from "../kernels/index.ts";
import { bytesOfValues, decodeValues, encodeValues, type ValueDtype } from "./value-dtype.ts";

/** How many rows of which width follow one another. */
export interface RowWidths {
  /** Rows of segment s in table t, shape [S, T]. */
  readonly counts: Uint32Array;
  /** Width of each table's rows, shape [T]. */
  readonly dims: Uint32Array;
}

/** Calls `run` for each run, in order; the next rows of the same width belong to the same run. */
export function eachRun({ counts, dims }: RowWidths, run: (rows: number, dim: number) => void): void {
  const T = dims.length;
  let rows = 0;
  let dim = 0;
  for (let i = 0; i < counts.length; i++) {
    const n = counts[i]!;
    if (n === 0) continue;
    if (dims[i % T] !== dim) {
      if (rows > 0) run(rows, dim);
      rows = 0;
      dim = dims[i % T]!;
    }
    rows += n;
  }
  if (rows > 0) run(rows, dim);
}

/**
 * The bytes of all rows.
 *
 * @param values as many as the rows have
 * @returns for float32 a view of `values`, otherwise a copy that the caller owns
 */
export function encodeRows(
  kernels: KernelMemory,
  values: Float32Array,
  { dtype, ...widths }: RowWidths & { dtype: ValueDtype },
): Uint8Array {
  if (dtype !== "int8") return encodeValues(kernels, values, { dtype, dim: 1 });
  const runs: Uint8Array[] = [];
  let at = 0;
  eachRun(widths, (rows, dim) => {
    runs.push(encodeValues(kernels, values.subarray(at, at + rows * dim), { dtype, dim }));
    at += rows * dim;
  });
  return joined(runs);
}

/**
 * Reads some of the rows that {@link encodeRows} wrote.
 *
 * @param o.first floats of all rows before those that `bytes` begins with
 * @returns float32: a copy that the caller owns
 * @throws {RangeError} bytes that are not those of whole rows from there on
 */
export function decodeRows(
  kernels: KernelMemory,
  bytes: Uint8Array,
  { dtype, first, ...widths }: RowWidths & { dtype: ValueDtype; first: number },
): Float32Array {
  if (dtype === "float32") return decodeValues(kernels, bytes, { dtype, rows: bytes.length / 4, dim: 1 });
  if (dtype === "bfloat16") return decodeValues(kernels, bytes, { dtype, rows: bytes.length / 2, dim: 1 });
  const values: Float32Array[] = [];
  let floatsAt = 0;
  let at = 0;
  eachRun(widths, (rows, dim) => {
    const before = Math.min(rows, Math.max(0, Math.ceil((first - floatsAt) / dim)));
    floatsAt += rows * dim;
    const rowBytes = bytesOfValues(dtype, { rows: 1, dim });
    const n = Math.min(rows - before, Math.floor((bytes.length - at) / rowBytes));
    if (n === 0) return;
    values.push(decodeValues(kernels, bytes.subarray(at, at + n * rowBytes), { dtype, rows: n, dim }));
    at += n * rowBytes;
  });
  if (at !== bytes.length)
    throw new RangeError(`${bytes.length} bytes of int8 rows from float ${first} on are no whole number of them`);
  return joinedFloats(values);
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Uint8Array(parts.reduce((bytes, { length }) => bytes + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

function joinedFloats(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0]!;
  const all = new Float32Array(parts.reduce((floats, { length }) => floats + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
