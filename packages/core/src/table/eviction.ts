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

/** When rows are looked through: what is new is of step `step`, and that before it was of step `since`. */
export interface EvictionTime {
  readonly step: number;
  /** The step before `step` by default. Steps are passed over where gradients are applied as they come. */
  readonly since?: number;
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
  readonly #fields: Fields;
  /** No row was updated before this step. */
  #oldest = 0;

  constructor({ expireSteps, rowsMax, order }: EvictionSpec, { partition, partitions }: EvictionPlace) {
    this.rowsMax = rowsMax === undefined ? Infinity : Math.ceil(rowsMax / partitions);
    this.#rowsAfter = Math.ceil((15 / 16) * this.rowsMax);
    this.#expireSteps = expireSteps ?? Infinity;
    this.#roundSteps = expireSteps === undefined ? 1 : Math.max(1, Math.floor(expireSteps / 16));
    this.#partition = partition;
    this.#fields = order === "least-recent" ? LEAST_RECENT : LEAST_FREQUENT;
  }

  /** May rows have to go after `step`, when there are `rows` of them? If not, {@link choose} gives none. */
  isDue({ rows, ...time }: EvictionTime & { rows: number }): boolean {
    return rows > this.rowsMax || (rows > 0 && this.#isRound(time) && time.step - this.#oldest >= this.#expireSteps);
  }

  /**
   * Moves the rows that go after `step` to the front.
   *
   * @returns how many go
   */
  choose({ words, rows, n, ...time }: RowAges & EvictionTime): number {
    let gone = this.#isRound(time) ? this.#expired({ step: time.step, words, rows, n }) : 0;
    if (n - gone > this.rowsMax) {
      const to = n - this.#rowsAfter;
      select({ words, rows, from: gone, n, count: to - gone, fields: this.#fields });
      gone = to;
    }
    return gone;
  }

  /** Is a round due after one of the steps behind `since`? */
  #isRound({ step, since = step - 1 }: EvictionTime): boolean {
    const roundsBy = (s: number) => Math.floor((s + this.#partition) / this.#roundSteps);
    return roundsBy(step) > roundsBy(since);
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
  select({ words, rows, from: 0, n, count, fields: LEAST_RECENT });
}

/** Words of a row's header that decide, the first one first; the key decides between equals. */
type Fields = readonly [number, number];
const LEAST_RECENT: Fields = [LAST_STEP_AT / 4, UPDATES_AT / 4];
const LEAST_FREQUENT: Fields = [UPDATES_AT / 4, LAST_STEP_AT / 4];

/**
 * Moves the first `count` of rows `from` to `n`, in the order in which they go, to places `from` on, in any order.
 *
 * One field of all rows is copied out and selected in, so that headers, far apart in memory, are read once; only rows
 * that are equal in it are looked at again, by the next field.
 */
function select(o: RowAges & { from: number; count: number; fields: Fields }): void {
  const { words, rows } = o;
  const last = o.from + o.count - 1;
  let left = o.from;
  let right = o.n;
  for (const field of o.fields) {
    if (last < left || last >= right - 1) return;
    const ages = new Uint32Array(right - left);
    for (let i = 0; i < ages.length; i++) ages[i] = words[(rows[left + i]! >>> 2) + field]!;
    const limit = nth(ages.slice(), last - left, ascending);
    // Below the limit, equal to it, above it (Dijkstra's three colours).
    const base = left;
    for (let i = left; i < right;) {
      const age = ages[i - base]!;
      if (age === limit) i++;
      else if (age < limit) {
        swap(ages, i - base, left - base);
        swap(rows, i++, left++);
      } else {
        swap(ages, i - base, --right - base);
        swap(rows, i, right);
      }
    }
  }
  if (last < left || last >= right - 1) return;
  nth(rows.subarray(left, right), last - left, (a, b) => byKey(words, a, b));
}

const ascending = (a: number, b: number): number => a - b;

function byKey(words: Uint32Array, a: number, b: number): number {
  return words[(a >>> 2) + 1]! - words[(b >>> 2) + 1]! || words[a >>> 2]! - words[b >>> 2]!;
}

/**
 * Brings the element that comes at place `n` to that place, what comes before it to its left: Hoare's quickselect (CACM
 * 4(7), 1961, algorithm 65), with the median of three as its pivot.
 */
function nth(all: Uint32Array, n: number, compare: (a: number, b: number) => number): number {
  let left = 0;
  let right = all.length - 1;
  while (left < right) {
    const middle = (left + right) >>> 1;
    if (compare(all[middle]!, all[left]!) < 0) swap(all, middle, left);
    if (compare(all[right]!, all[left]!) < 0) swap(all, right, left);
    if (compare(all[right]!, all[middle]!) < 0) swap(all, right, middle);
    const pivot = all[middle]!;
    let i = left;
    let j = right;
    while (i <= j) {
      while (compare(all[i]!, pivot) < 0) i++;
      while (compare(pivot, all[j]!) < 0) j--;
      if (i <= j) swap(all, i++, j--);
    }
    if (n <= j) right = j;
    else if (n >= i) left = i;
    else break;
  }
  return all[n]!;
}

function swap(all: Uint32Array, i: number, j: number): void {
  const there = all[i]!;
  all[i] = all[j]!;
  all[j] = there;
}
