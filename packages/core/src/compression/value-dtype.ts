/**
 * In which form values travel: as they are, or in fewer bytes. bfloat16 keeps 8 bits of each value (Kalamkar et al.,
 * arXiv:1905.12322). int8 keeps 256 even steps between the least and the greatest value of each row, with a scale
 * and a minimum per row (row-wise quantisation, Guan et al., arXiv:1911.02079), so an error is at most half a step.
 */
import { int8RowBytes, type KernelMemory } from "../kernels/index.ts";

export type ValueDtype = "float32" | "bfloat16" | "int8";

/** How many bytes `rows` rows of `dim` values take. */
export function bytesOfValues(dtype: ValueDtype, { rows, dim }: { rows: number; dim: number }): number {
  switch (dtype) {
    case "float32":
      return 4 * rows * dim;
    case "bfloat16":
      return 2 * rows * dim;
    case "int8":
      return rows * int8RowBytes(dim);
    default:
      return dtype satisfies never;
  }
}

/**
 * The bytes of `values`, little-endian.
 *
 * @param values shape [rows, dim]
 * @returns for float32 a view of `values`, otherwise a copy that the caller owns
 * @throws {RangeError} int8: a length that is no whole number of rows
 */
export function encodeValues(
  kernels: KernelMemory,
  values: Float32Array,
  { dtype, dim }: { dtype: ValueDtype; dim: number },
): Uint8Array {
  switch (dtype) {
    case "float32":
      return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    case "bfloat16":
      return new Uint8Array(kernels.toBfloat16(values).buffer);
    case "int8":
      return kernels.toInt8Rows(values, dim);
    default:
      return dtype satisfies never;
  }
}

/**
 * Reads what {@link encodeValues} wrote.
 *
 * @param bytes at any offset of their buffer
 * @returns float32, shape [rows, dim]: a copy that the caller owns
 * @throws {RangeError} not the bytes of so many rows
 */
export function decodeValues(
  kernels: KernelMemory,
  bytes: Uint8Array,
  { dtype, rows, dim }: { dtype: ValueDtype; rows: number; dim: number },
): Float32Array<ArrayBuffer> {
  const expected = bytesOfValues(dtype, { rows, dim });
  if (bytes.length !== expected) {
    throw new RangeError(`${rows} rows of ${dim} ${dtype} values are ${expected} bytes, not ${bytes.length}`);
  }
  switch (dtype) {
    case "float32":
      return new Float32Array(new Uint8Array(bytes).buffer);
    case "bfloat16":
      return kernels.fromBfloat16(shortsOf(bytes));
    case "int8":
      return kernels.fromInt8Rows(bytes, dim, rows);
    default:
      return dtype satisfies never;
  }
}

/** A view where the bytes are aligned, else a copy. */
function shortsOf(bytes: Uint8Array): Uint16Array {
  return bytes.byteOffset % 2 === 0
    ? new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2)
    : new Uint16Array(new Uint8Array(bytes).buffer);
}
