/**
 * What ranks sum, and what must come out: whole numbers, so that no order of sums rounds them, of a period that no
 * piece of a ring is a multiple of, so that one in a wrong place is seen. `native/mpi-ranks.c` has the same.
 */

const PERIOD = 1021;

/** Fills in what `rank` begins a round with. */
export function fillValues(values: Float32Array, rank: number): void {
  for (let i = 0; i < values.length; i++) values[i] = ((i % PERIOD) + 1) * (rank + 1);
}

/**
 * How many values are not those of `size` ranks after this many all-reduces, each of what the one before it gave.
 * Exact below 2^24: five all-reduces of four ranks are.
 */
export function wrongValues(values: Float32Array, { size, repeats }: { size: number; repeats: number }): number {
  const factor = ((size * (size + 1)) / 2) * size ** (repeats - 1);
  let wrong = 0;
  for (let i = 0; i < values.length; i++) if (values[i] !== ((i % PERIOD) + 1) * factor) wrong++;
  return wrong;
}
