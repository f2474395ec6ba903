/**
 * What a table does to a row's gradient and weights beside its optimizer, in Keras's order: l2 adds to the gradient,
 * the sum is clipped, the optimizer takes it, and a row that is then too long is shortened. Operations round to
 * float32, so replicas agree to the bit.
 */
import { clipByNorm, clipByValue } from "../optimizer/index.ts";
import type { TableSpec } from "./table-spec.ts";

export interface RowBounds {
  /** The gradient to apply, from 0 on of an array that the next call overwrites. The arrays given stay as they are. */
  gradient(rows: Float32Array, at: number, grads: Float32Array, gradAt: number): Float32Array;
  /** Shortens a row that was updated to `maxNorm`. */
  shorten(rows: Float32Array, at: number): void;
}

/** The bounds of a table; undefined where it has none. */
export function rowBoundsOf({ dim, l2, clip, maxNorm }: TableSpec): RowBounds | undefined {
  const { value, norm } = clip ?? {};
  if (l2 === undefined && value === undefined && norm === undefined && maxNorm === undefined) return undefined;
  const bounded = new Float32Array(dim);
  const decay = Math.fround(l2 ?? 0);
  return {
    gradient(rows, at, grads, gradAt) {
      for (let i = 0; i < dim; i++) bounded[i] = Math.fround(decay * rows[at + i]!) + grads[gradAt + i]!;
      if (value !== undefined) clipByValue(bounded, 0, dim, value);
      if (norm !== undefined) clipByNorm(bounded, 0, dim, norm);
      return bounded;
    },
    shorten(rows, at) {
      if (maxNorm !== undefined) clipByNorm(rows, at, dim, maxNorm);
    },
  };
}
