/** Values that arrived in fewer bytes, as floats in the memory that partitions take them from. */
import { int8RowBytes } from "@volary/core/kernels";
import type { ReplyBuffer } from "./reply-buffers.ts";

export interface CodedValues {
  readonly dtype: "bfloat16" | "int8";
  readonly coded: Uint8Array;
}

/** Rows of one width that lie one after another. */
export interface RowRuns {
  readonly floats: number;
  eachRun(run: (rows: number, dim: number) => void): void;
}

/**
 * Decodes into a buffer that has room for the floats.
 *
 * @returns a view of the buffer, in the order of the rows
 */
export function decodeInto(to: ReplyBuffer, { dtype, coded }: CodedValues, rows: RowRuns): Float32Array {
  const { arena, valuesAt } = to;
  const { kernels } = arena;
  const from = addressOf(coded, to);
  if (dtype === "bfloat16") kernels.fromBfloat16(from, rows.floats, valuesAt);
  else {
    let at = valuesAt;
    let next = from;
    rows.eachRun((n, dim) => {
      kernels.fromInt8Rows(next, n, dim, at);
      at += 4 * n * dim;
      next += n * int8RowBytes(dim);
    });
  }
  return arena.floats.subarray(valuesAt / 4, valuesAt / 4 + rows.floats);
}

/** Where the bytes are in the buffer's memory; they are copied there if they lie elsewhere. */
function addressOf(coded: Uint8Array, { arena }: ReplyBuffer): number {
  if (coded.buffer === arena.bytes.buffer) return coded.byteOffset;
  const at = arena.scratch(coded.length);
  arena.bytes.set(coded, at);
  return at;
}
