/** Loops over plain float32 arrays. Here alone is their index arithmetic. */

/** Beyond this many floats a native copy is faster than a loop (Node 24: even at about 128). */
const LOOP_MAX = 128;

/** out[outAt …] = from[fromAt …], `n` floats. */
export function copyFloats(out: Float32Array, outAt: number, from: Float32Array, fromAt: number, n: number): void {
  if (n > LOOP_MAX) {
    out.set(from.subarray(fromAt, fromAt + n), outAt);
    return;
  }
  for (let i = 0; i < n; i++) out[outAt + i] = from[fromAt + i]!;
}

/** Are `n` floats from `at` on neither NaN nor infinite? */
export function allFinite(values: Float32Array, at: number, n: number): boolean {
  // x − x is 0, or NaN for exactly those; four sums because one would wait for itself at each addition.
  let s0 = 0;
  let s1 = 0;
  let s2 = 0;
  let s3 = 0;
  let i = at;
  for (const end = at + n - 3; i < end; i += 4) {
    s0 += values[i]! - values[i]!;
    s1 += values[i + 1]! - values[i + 1]!;
    s2 += values[i + 2]! - values[i + 2]!;
    s3 += values[i + 3]! - values[i + 3]!;
  }
  for (const end = at + n; i < end; i++) s0 += values[i]! - values[i]!;
  return s0 + s1 + s2 + s3 === 0;
}
