/** A set of row numbers as one bit a row, which tells the n-th row in it and the n-th outside of it. */

/** Rows whose count is remembered: one in 64 bytes of bits. */
const ROWS_PER_RANK = 512;
const WORDS_PER_RANK = ROWS_PER_RANK / 32;

export class RowSet {
  readonly #bits: Uint32Array;
  readonly #rows: number;
  #size = 0;
  /** Rows in the set before each 512th row; made when the first row is looked up. */
  #ranks: Uint32Array | undefined;

  constructor(rows: number) {
    this.#rows = rows;
    this.#bits = new Uint32Array(Math.ceil(rows / 32));
  }

  get size(): number {
    return this.#size;
  }

  has(row: number): boolean {
    return ((this.#bits[row >>> 5]! >>> (row & 31)) & 1) === 1;
  }

  /** @returns whether it was not in the set yet */
  add(row: number): boolean {
    if (this.has(row)) return false;
    this.#bits[row >>> 5]! |= 1 << (row & 31);
    this.#size++;
    this.#ranks = undefined;
    return true;
  }

  /** The n-th row in the set, from 0, for n below `size`. */
  rowAt(n: number): number {
    return this.#find(n, 0);
  }

  /** The n-th row that is not in the set, from 0, for n below the number of those. */
  rowOutsideAt(n: number): number {
    return this.#find(n, 0xffff_ffff);
  }

  /** @param flip all ones to look among the rows outside */
  #find(n: number, flip: number): number {
    this.#ranks ??= ranksOf(this.#bits);
    const ranks = this.#ranks;
    const before = (rank: number): number => (flip === 0 ? ranks[rank]! : rank * ROWS_PER_RANK - ranks[rank]!);
    let low = 0;
    let high = ranks.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      if (before(middle) <= n) low = middle;
      else high = middle - 1;
    }
    let left = n - before(low);
    for (let word = low * WORDS_PER_RANK; word < this.#bits.length; word++) {
      let bits = (this.#bits[word]! ^ flip) >>> 0;
      const count = onesIn(bits);
      if (left >= count) {
        left -= count;
        continue;
      }
      for (; left > 0; left--) bits &= bits - 1;
      return word * 32 + 31 - Math.clz32(bits & -bits);
    }
    throw new RangeError(`row ${n} of a set of ${this.#size} of ${this.#rows} rows`);
  }
}

function ranksOf(bits: Uint32Array): Uint32Array {
  const ranks = new Uint32Array(Math.max(1, Math.ceil(bits.length / WORDS_PER_RANK)));
  let count = 0;
  for (let word = 0; word < bits.length; word++) {
    if (word % WORDS_PER_RANK === 0) ranks[word / WORDS_PER_RANK] = count;
    count += onesIn(bits[word]!);
  }
  return ranks;
}

function onesIn(word: number): number {
  let bits = word - ((word >>> 1) & 0x5555_5555);
  bits = (bits & 0x3333_3333) + ((bits >>> 2) & 0x3333_3333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f_0f0f, 0x0101_0101) >>> 24;
}
