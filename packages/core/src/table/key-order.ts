/** The order of 64-bit keys that lie as little-endian pairs of words, as everywhere in frames and tables. */

/** Below 0, 0 or above it: pair `i` of `a` against pair `j` of `b`. */
export function compareKeys(a: Uint32Array, i: number, b: Uint32Array, j: number): number {
  const high = a[2 * i + 1]! - b[2 * j + 1]!;
  return high === 0 ? a[2 * i]! - b[2 * j]! : high;
}

/** Sorts pairs in place, ascending. */
export function sortKeys(keys: Uint32Array<ArrayBuffer>): void {
  // Their bytes are those of 64-bit numbers, which sort natively; such a view has to begin at a multiple of 8.
  if (keys.byteOffset % 8 === 0) new BigUint64Array(keys.buffer, keys.byteOffset, keys.length / 2).sort();
  else keys.set(new Uint32Array(new BigUint64Array(keys.slice().buffer).sort().buffer));
}
