/** What the kernels of sums must give, in plain TypeScript. */

/** a + b, each sum rounded to float32. */
export function added(a: Float32Array, b: Float32Array): Float32Array {
  return a.map((x, i) => x + b[i]!);
}

/** a − b, rounded to float32; 0 where that is not finite. */
export function lost(a: Float32Array, b: Float32Array): Float32Array {
  return a.map((x, i) => (Number.isFinite(Math.fround(x - b[i]!)) ? x - b[i]! : 0));
}
