/** What the kernels of sums must give, in plain TypeScript. */

/** a + b, each sum rounded to float32. */
export function added(a: Float32Array, b: Float32Array): Float32Array {
  return a.map((x, i) => x + b[i]!);
}

/** a − b, rounded to float32; 0 where that is not finite. */
export function lost(a: Float32Array, b: Float32Array): Float32Array {
  return a.map((x, i) => (Number.isFinite(Math.fround(x - b[i]!)) ? x - b[i]! : 0));
}

/** A copy of `out`, shape [m, dim], with each row added to its place, in order. */
export function scattered(out: Float32Array, rows: Float32Array, index: Uint32Array, dim: number): Float32Array {
  const sums = out.slice();
  for (const [i, place] of index.entries()) {
    for (let d = 0; d < dim; d++) sums[place * dim + d] = sums[place * dim + d]! + rows[i * dim + d]!;
  }
  return sums;
}
