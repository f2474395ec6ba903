/**
 * A stable radix sort of numbers 0, 1, 2 … by what they stand for, least significant digits first (Knuth, The Art of
 * Computer Programming 3, §5.2.5, algorithm R). To sort by several things, sort by the most important one last.
 */

const DIGIT_BITS = 11;
/** Of fewer numbers than {@link FEW}: there the counts of a pass cost more than its numbers. */
const DIGIT_BITS_OF_FEW = 8;
const FEW = 1024;

/** An order of numbers, and the space that sorting it needs; a sort may swap the two. */
export interface NumberOrder {
  /** Of `n` numbers that are sorted, each of 0 … n − 1 once, from the start on. */
  order: Uint32Array;
  spare: Uint32Array;
}

/** Sorts the first `n` entries of an order by the word of each number. */
export function sortByWord(o: NumberOrder, words: Uint32Array, n: number): void {
  const bits = n < FEW ? DIGIT_BITS_OF_FEW : DIGIT_BITS;
  for (let shift = 0; shift < 32; shift += bits) sortByDigit(o, words, n, { shift, digits: 1 << bits });
}

/**
 * Sorts the first `n` entries of an order by the class of each number.
 *
 * @param classesMax every class is below it; it should be no more than some thousands
 * @returns the size of each class, shape [classesMax] or longer
 */
export function sortByClass(o: NumberOrder, classes: Uint32Array, n: number, classesMax: number): Uint32Array {
  return sortByDigit(o, classes, n, { shift: 0, digits: 2 ** Math.ceil(Math.log2(Math.max(1, classesMax))) });
}

/** Writes 0 … n − 1: the order that a sort begins with. */
export function fillAscending(order: Uint32Array, n: number): void {
  for (let i = 0; i < n; i++) order[i] = i;
}

/** One counting pass; nothing moves where all numbers agree in this digit. */
function sortByDigit(
  o: NumberOrder,
  words: Uint32Array,
  n: number,
  { shift, digits }: { shift: number; digits: number },
): Uint32Array {
  const counts = new Uint32Array(digits);
  const mask = digits - 1;
  for (let i = 0; i < n; i++) counts[(words[i]! >>> shift) & mask]!++;
  if (n === 0 || counts[(words[0]! >>> shift) & mask] === n) return counts;
  const { order, spare } = o;
  const next = new Uint32Array(digits);
  for (let d = 1; d < digits; d++) next[d] = next[d - 1]! + counts[d - 1]!;
  for (let i = 0; i < n; i++) {
    const number = order[i]!;
    spare[next[(words[number]! >>> shift) & mask]!++] = number;
  }
  o.order = spare;
  o.spare = order;
  return counts;
}
