/**
 * The longest rows of a batch's gradients: those that are worth their bytes (top-k sparsification, by whole rows: Aji
 * and Heafield, EMNLP 2017; Stich et al., "Sparsified SGD with Memory", NeurIPS 2018).
 */

/** Rows of one batch, one after another. */
export interface RowLengths {
  /** Square of each row's Euclidean length, shape [U]. */
  readonly squares: Float64Array;
  /** Says which of two equally long rows goes first: two u32 words of each, shape [2U]; no two are the same. */
  readonly names: Uint32Array;
}

/**
 * Which rows are among the longest `share` of all, rounded up.
 *
 * @param share above 0, up to 1
 * @returns 1 where a row is, else 0, shape [U]; the same rows whatever order they come in
 */
export function longestRows({ squares, names }: RowLengths, share: number): Uint8Array {
  const U = squares.length;
  const longest = new Uint8Array(U);
  const count = Math.min(U, Math.ceil(share * U));
  if (count === 0) return longest;
  const bound = squares.toSorted()[U - count]!;
  const equal: number[] = [];
  let above = 0;
  for (let u = 0; u < U; u++) {
    if (squares[u]! > bound) {
      longest[u] = 1;
      above++;
    } else if (squares[u] === bound) equal.push(u);
  }
  if (equal.length > count - above)
    equal.sort((a, b) => names[2 * a + 1]! - names[2 * b + 1]! || names[2 * a]! - names[2 * b]!);
  for (const u of equal.slice(0, count - above)) longest[u] = 1;
  return longest;
}
