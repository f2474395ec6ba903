/**
 * Values without rows, as a buffer of dense variables is, in the forms of `value-dtype.ts`. For int8 they are cut into
 * blocks that have a scale each, so that a large value costs only those near it their precision
 * (Dettmers et al., "8-bit Optimizers via Block-wise Quantization", arXiv:2110.02861).
 */
import type { KernelMemory } from "../kernels/index.ts";
import { bytesOfValues, decodeValues, encodeValues, type ValueDtype } from "./value-dtype.ts";

/** Values that share a scale; the last block may have fewer. 8 of 136 bytes are scale and minimum. */
export const BLOCK_VALUES = 128;

/** How many bytes `n` values take. */
export function bytesOfBlocks(dtype: ValueDtype, n: number): number {
  if (dtype !== "int8") return bytesOfValues(dtype, { rows: n, dim: 1 });
  const { rows, tail } = blocksOf(n);
  return (
    bytesOfValues(dtype, { rows, dim: BLOCK_VALUES }) + (tail > 0 ? bytesOfValues(dtype, { rows: 1, dim: tail }) : 0)
  );
}

/**
 * The bytes of `values`.
 *
 * @returns for float32 a view of `values`, otherwise a copy that the caller owns
 */
export function encodeBlocks(kernels: KernelMemory, values: Float32Array, dtype: ValueDtype): Uint8Array {
  if (dtype !== "int8") return encodeValues(kernels, values, { dtype, dim: 1 });
  const { rows, tail } = blocksOf(values.length);
  const whole = encodeValues(kernels, values.subarray(0, rows * BLOCK_VALUES), { dtype, dim: BLOCK_VALUES });
  if (tail === 0) return whole;
  const bytes = new Uint8Array(bytesOfBlocks(dtype, values.length));
  bytes.set(whole);
  bytes.set(encodeValues(kernels, values.subarray(rows * BLOCK_VALUES), { dtype, dim: tail }), whole.length);
  return bytes;
}

/**
 * Reads what {@link encodeBlocks} wrote.
 *
 * @returns float32, shape [n]: a copy that the caller owns
 * @throws {RangeError} not the bytes of `n` values
 */
export function decodeBlocks(
  kernels: KernelMemory,
  bytes: Uint8Array,
  { dtype, n }: { dtype: ValueDtype; n: number },
): Float32Array<ArrayBuffer> {
  const expected = bytesOfBlocks(dtype, n);
  if (bytes.length !== expected) {
    throw new RangeError(`${n} ${dtype} values in blocks are ${expected} bytes, not ${bytes.length}`);
  }
  if (dtype !== "int8") return decodeValues(kernels, bytes, { dtype, rows: n, dim: 1 });
  const { rows, tail } = blocksOf(n);
  const cut = bytesOfValues(dtype, { rows, dim: BLOCK_VALUES });
  const whole = decodeValues(kernels, bytes.subarray(0, cut), { dtype, rows, dim: BLOCK_VALUES });
  if (tail === 0) return whole;
  const values = new Float32Array(n);
  values.set(whole);
  values.set(decodeValues(kernels, bytes.subarray(cut), { dtype, rows: 1, dim: tail }), whole.length);
  return values;
}

function blocksOf(n: number): { rows: number; tail: number } {
  return { rows: Math.floor(n / BLOCK_VALUES), tail: n % BLOCK_VALUES };
}
