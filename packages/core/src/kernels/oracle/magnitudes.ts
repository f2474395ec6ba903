/** What the kernels of magnitudes must give, in plain TypeScript. */

/** The bits of |x|. */
export function magnitudes(values: Float32Array): Uint32Array {
  return new Uint32Array(values.slice().buffer).map((bits) => bits & 0x7fff_ffff);
}

/** How many there are of each upper 12 bits. */
export function magnitudeCounts(values: Float32Array): Uint32Array {
  const counts = new Uint32Array(4096);
  for (const size of magnitudes(values)) counts[size >>> 19]!++;
  return counts;
}

/** Where the magnitude is `least` or above. */
export function placesFrom(values: Float32Array, least: number): number[] {
  return [...magnitudes(values).entries()].filter(([, size]) => size >= least).map(([place]) => place);
}
