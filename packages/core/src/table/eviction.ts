/**
 * Which rows go: those that were not updated for too long, and where a table has too many, those that were updated
 * least recently or least often. (DeepRec's EmbeddingVariable has the first as `steps_to_live` and the others as its
 * cache strategies; Persia, Lian et al., KDD 2022, §4.2, keeps an LRU list; Monolith, arXiv 2209.07663, §2.2.2, expires.)
 *
 * A list per row would cost memory and order reads; here the ages in the rows' headers are looked through, and since
 * that takes time, seldom: a table that is over its share loses a sixteenth of it at once, and rows expire in rounds,
 * a sixteenth of their time apart. What goes is a function of the step, the partition's number and the ages, never of
 * where a row lies: ties are broken by key.
 */
import { LAST_STEP_AT, UPDATES_AT } from "./row-layout.ts";
import type { EvictionSpec } from "./table-spec.ts";

export interface EvictionPlace {
  /** Which partition this is: rounds of different partitions fall on different steps. */
  readonly partition: number;
  /** Partitions of the table: each may keep an equal share of its rows. */
  readonly partitions: number;
}

/** The ages of a table's rows, in their headers. */
export interface RowAges {
  /** The memory of the rows. */
  readonly words: Uint32Array;
  /** Byte addresses of all rows, shape [n]; reordered. */
  readonly rows: Uint32Array;
  readonly n: number;
}

export class Eviction {
  /** Rows a partition may keep; Infinity where the table has no limit. */
  readonly rowsMax: number;
  readonly #rowsAfter: number;
  readonly #expireSteps: number;
  readonly #roundSteps: number;
  readonly #partition: number;
  readonly #goesBefore: GoesBefore;
  /** No row was updated before this step. */
  #oldest = 0;

  constructor({ expireSteps, rowsMax, order }: EvictionSpec, { partition, partitions }: EvictionPlace) {
    this.rowsMax = rowsMax === undefined ? Infinity : Math.ceil(rowsMax / partitions);
    this.#rowsAfter = Math.ceil((15 / 16) * this.rowsMax);
    this.#expireSteps = expireSteps ?? Infinity;
    this.#roundSteps = expireSteps === undefined ? 1 : Math.max(1, Math.floor(expireSteps / 16));
    this.#partition = partition;
    this.#goesBefore = order === "least-recent" ? leastRecent : leastFrequent;
  }

  /** May rows have to go after `step`, when there are `rows` of them? If not, {@link choose} gives none. */
  isDue({ step, rows }: { step: number; rows: number }): boolean {
    return rows > this.rowsMax || (rows > 0 && this.#isRound(step) && step - this.#oldest >= this.#expireSteps);
  }

  /**
   * Moves the rows that go after `step` to the front.
   *
   * @returns how many go
   */
  choose({ step, words, rows, n }: RowAges & { step: number }): number {
    let gone = this.#isRound(step) ? this.#expired({ step, words, rows, n }) : 0;
    if (n - gone > this.rowsMax) {
      const to = n - this.#rowsAfter;
      select({ words, rows, from: gone, n, count: to - gone, goesBefore: this.#goesBefore });
      gone = to;
    }
    return gone;
  }

  #isRound(step: number): boolean {
    return (step + this.#partition) % this.#roundSteps === 0;
  }

  #expired({ step, words, rows, n }: RowAges & { step: number }): number {
    let gone = 0;
    let oldest = step;
    for (let i = 0; i < n; i++) {
      const row = rows[i]!;
      const lastStep = words[(row + LAST_STEP_AT) >>> 2]!;
      if (step - lastStep >= this.#expireSteps) {
        rows[i] = rows[gone]!;
        rows[gone++] = row;
      } else if (lastStep < oldest) oldest = lastStep;
    }
    this.#oldest = oldest;
    return gone;
  }
}

/** Moves the `count` rows that were updated least recently to the front; ties go by updates, then by key. */
export function leastRecentFirst({ words, rows, n, count }: RowAges & { count: number }): void {
  select({ words, rows, from: 0, n, count, goesBefore: leastRecent });
}

/** Below 0 where row `a` goes before row `b`; 0 for no two rows, since their keys differ. */
type GoesBefore = (words: Uint32Array, a: number, b: number) => number;

function leastRecent(words: Uint32Array, a: number, b: number): number {
  return (
    words[(a + LAST_STEP_AT) >>> 2]! - words[(b + LAST_STEP_AT) >>> 2]! ||
    words[(a + UPDATES_AT) >>> 2]! - words[(b + UPDATES_AT) >>> 2]! ||
    byKey(words, a, b)
  );
}

function leastFrequent(words: Uint32Array, a: number, b: number): number {
  return (
    words[(a + UPDATES_AT) >>> 2]! - words[(b + UPDATES_AT) >>> 2]! ||
    words[(a + LAST_STEP_AT) >>> 2]! - words[(b + LAST_STEP_AT) >>> 2]! ||
    byKey(words, a, b)
  );
}

function byKey(words: Uint32Array, a: number, b: number): number {
  return words[(a >>> 2) + 1]! - words[(b >>> 2) + 1]! || words[a >>> 2]! - words[b >>> 2]!;
}

/**
 * Moves the first `count` of rows `from` to `n`, in the order in which they go, to places `from` on, in any order:
 * Hoare's quickselect (CACM 4(7), 1961, algorithm 65), with the median of three as its pivot.
 */
function select(o: RowAges & { from: number; count: number; goesBefore: GoesBefore }): void {
  const { words, rows, from, count, goesBefore } = o;
  const last = from + count - 1;
  let left = from;
  let right = o.n - 1;
  while (left < right) {
    const middle = (left + right) >>> 1;
    if (goesBefore(words, rows[middle]!, rows[left]!) < 0) swap(rows, middle, left);
    if (goesBefore(words, rows[right]!, rows[left]!) < 0) swap(rows, right, left);
    if (goesBefore(words, rows[right]!, rows[middle]!) < 0) swap(rows, right, middle);
    const pivot = rows[middle]!;
    let i = left;
    let j = right;
    while (i <= j) {
      while (goesBefore(words, rows[i]!, pivot) < 0) i++;
      while (goesBefore(words, pivot, rows[j]!) < 0) j--;
      if (i <= j) swap(rows, i++, j--);
    }
    if (last <= j) right = j;
    else if (last >= i) left = i;
    else return;
  }
}

function swap(rows: Uint32Array, i: number, j: number): void {
  const row = rows[i]!;
  rows[i] = rows[j]!;
  rows[j] = row;
}
