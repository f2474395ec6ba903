/**
 * Rows that a worker pulled and may use again, for as many of its steps as the job allows: what is asked for often is
 * pulled less often. A kept row is as old as the state that its pull saw, and is given out only where that is new
 * enough: Petuum's bounded staleness (SSPTable: Ho et al., NIPS 2013), but that it lacks this worker's own newest
 * updates as it lacks those of others.
 *
 * Rows lie in two generations. Those that come go to the young one; once it holds half of what may be kept, it becomes
 * the old one, and the rows that were there before are let go: they were pulled before all others, so they are the
 * first to be too old in any case.
 */
import type { Consistency } from "../../consistency/index.ts";
import type { CacheSpec } from "../../job/index.ts";
import { LIMITS } from "../../limits.ts";
import { KeyIndex } from "../../table/index.ts";

/** How old rows may be, in whichever count their age goes by: whole numbers from 0 that never fall. */
export interface RowAge {
  /** What rows that are pulled now have seen. */
  readonly at: number;
  /** Kept rows that have seen less than this are pulled again. */
  readonly oldest: number;
}

/**
 * The ages that a worker goes by at one of its batches. Where the mode holds workers together, a row's age counts in
 * batches of the slowest worker, all of which it has seen; elsewhere in batches of this one.
 *
 * @param o.begun batches that this worker began before
 * @param o.slowest batches that the slowest worker has finished
 * @returns undefined where no rows are kept
 */
export function rowAgeOf(o: {
  cache: CacheSpec | undefined;
  mode: Pick<Consistency, "keepsRowsFor">;
  begun: number;
  slowest: number;
}): RowAge | undefined {
  const { cache, mode, begun, slowest } = o;
  if (!cache || mode.keepsRowsFor <= 0) return undefined;
  const staleness = Math.min(cache.stalenessSteps, mode.keepsRowsFor);
  const at = Number.isFinite(mode.keepsRowsFor) ? Math.min(slowest, begun) : begun;
  return { at, oldest: Math.max(0, begun - staleness) };
}

export class RowCache {
  readonly #tables = new Map<number, TableCache>();
  /** Of all tables together. */
  readonly #youngMax: number;
  #young = 0;

  /** @param rowsMax over all tables; 1 keeps none */
  constructor({ rowsMax = LIMITS.cachedRowsMax }: { rowsMax?: number | undefined } = {}) {
    this.#youngMax = Math.floor(rowsMax / 2);
  }

  /** Rows that are kept now; a key that is in both generations counts twice. */
  get rows(): number {
    let rows = 0;
    for (const table of this.#tables.values()) rows += table.rows;
    return rows;
  }

  /** The rows of one table, `dim` floats each. */
  table(id: number, dim: number): TableCache {
    let table = this.#tables.get(id);
    if (!table) this.#tables.set(id, (table = new TableCache({ dim, admit: () => this.#admit() })));
    return table;
  }

  /** Makes room for one more row, if any may be kept. */
  #admit(): boolean {
    if (this.#youngMax === 0) return false;
    if (this.#young === this.#youngMax) {
      for (const table of this.#tables.values()) table.grow();
      this.#young = 0;
    }
    this.#young++;
    return true;
  }
}

class TableCache {
  readonly #dim: number;
  readonly #admit: () => boolean;
  #young = new Generation();
  #old = new Generation();

  constructor({ dim, admit }: { dim: number; admit: () => boolean }) {
    this.#dim = dim;
    this.#admit = admit;
  }

  get rows(): number {
    return this.#young.index.count + this.#old.index.count;
  }

  /**
   * Copies the row of a key to `to`, from `at` on.
   *
   * @param oldest what it must have seen at least
   * @returns is there one that has?
   */
  copy(lo: number, hi: number, oldest: number, to: Float32Array, at: number): boolean {
    return this.#young.copy(lo, hi, oldest, to, at, this.#dim) || this.#old.copy(lo, hi, oldest, to, at, this.#dim);
  }

  /** Keeps the row of a key, `dim` floats of `from` from `at` on, which has seen `seen`. */
  keep(lo: number, hi: number, seen: number, from: Float32Array, at: number): void {
    let row = this.#young.index.find(lo, hi);
    if (row < 0) {
      if (!this.#admit()) return;
      row = this.#young.index.insert(lo, hi);
    }
    this.#young.put(row, seen, from, at, this.#dim);
  }

  /** What is young becomes old, and what was old is let go. */
  grow(): void {
    this.#old = this.#young;
    this.#young = new Generation();
  }
}

const SEEN = 2;

class Generation {
  /** Beside each key: what its row has seen. */
  readonly index = new KeyIndex({ ownWords: 1 });
  #rows = new Float32Array(0);

  copy(lo: number, hi: number, oldest: number, to: Float32Array, at: number, dim: number): boolean {
    const { index } = this;
    const row = index.find(lo, hi);
    if (row < 0 || index.entries[row * index.entryWords + SEEN]! < oldest) return false;
    const rows = this.#rows;
    for (let d = 0, from = row * dim; d < dim; d++) to[at + d] = rows[from + d]!;
    return true;
  }

  put(row: number, seen: number, from: Float32Array, at: number, dim: number): void {
    const { index } = this;
    if ((row + 1) * dim > this.#rows.length) {
      const rows = new Float32Array(Math.max(2 * this.#rows.length, ROWS_FIRST * dim));
      rows.set(this.#rows);
      this.#rows = rows;
    }
    index.entries[row * index.entryWords + SEEN] = seen;
    const rows = this.#rows;
    for (let d = 0, to = row * dim; d < dim; d++) rows[to + d] = from[at + d]!;
  }
}

/** What a generation has room for when its first row comes. */
const ROWS_FIRST = 64;
