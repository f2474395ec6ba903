/**
 * What was not sent of row gradients, kept by key until the key comes again (error feedback: Seide et al., "1-Bit
 * Stochastic Gradient Descent", Interspeech 2014; Karimireddy et al., arXiv:1901.09847).
 *
 * The store is bounded. When it is full, the rows that were kept for longest go over to `overdue`, which whoever sends
 * gradients sends along with the next ones, or lets go. So a key that never comes again does not stay for ever.
 */
import { LIMITS } from "../limits.ts";
import { KeyIndex } from "../table/index.ts";

/** Rows of one table, by key. */
export interface KeyedRows {
  readonly table: number;
  /** 64-bit keys as little-endian u32 pairs. */
  readonly keys: Uint32Array;
  /** float32, shape [keys, dim] */
  readonly values: Float32Array;
}

/** Of what a full store holds, this share stays when room is made. */
const STAYS = 7 / 8;

export class RowResiduals {
  readonly #rowsMax: number;
  readonly #tables = new Map<number, TableResiduals>();
  /** Rows in the indexes of all tables, those whose residual was sent since among them. */
  #indexed = 0;
  #time = 0;
  #overdue: KeyedRows[] = [];

  constructor({ rowsMax = LIMITS.residualRowsMax }: { rowsMax?: number } = {}) {
    this.#rowsMax = rowsMax;
  }

  /** Counts the changes made: two equal ones saw the same residuals. */
  get time(): number {
    return this.#time;
  }

  /** Rows that have a residual, those that are overdue not among them. */
  get rows(): number {
    let rows = 0;
    for (const table of this.#tables.values()) rows += table.kept();
    return rows;
  }

  /** What had no room; the same key may be there twice. */
  get overdue(): readonly KeyedRows[] {
    return this.#overdue;
  }

  /** The residuals of one table, `dim` floats each. */
  table(id: number, dim: number): TableResiduals {
    let table = this.#tables.get(id);
    if (!table) {
      const admit = () => this.#admit();
      this.#tables.set(id, (table = new TableResiduals({ dim, admit, now: () => this.#time })));
    }
    return table;
  }

  /** What is kept from now on is newer than all before; what was overdue has been sent, or is let go. */
  begin(): void {
    this.#time++;
    this.#overdue = [];
  }

  /** Makes room for one more row. */
  #admit(): void {
    if (this.#indexed >= this.#rowsMax) this.#makeRoom();
    this.#indexed++;
  }

  #makeRoom(): void {
    const times: number[] = [];
    for (const table of this.#tables.values()) table.addTimes(times);
    const goes = Math.max(0, times.length - Math.floor(STAYS * this.#rowsMax));
    times.sort((a, b) => a - b);
    // Those of one time go in the order they came, as many as must.
    const before = goes > 0 ? times[goes - 1]! : 0;
    let atTime = goes > 0 ? goes - times.indexOf(before) : 0;
    this.#indexed = 0;
    for (const [id, table] of this.#tables) {
      const gone = table.tidy({ before, atTime });
      atTime -= gone.atTime;
      if (gone.keys.length > 0) this.#overdue.push({ table: id, keys: gone.keys, values: gone.values });
      this.#indexed += table.indexed;
    }
  }
}

/** Beside each key: when its residual was kept, from 1; 0 where there is none any more. */
const TIME = 2;
const ENTRY_WORDS = 3;
const ROWS_FIRST = 64;

export class TableResiduals {
  readonly #dim: number;
  readonly #admit: () => void;
  readonly #now: () => number;
  #index = new KeyIndex({ ownWords: ENTRY_WORDS - TIME });
  #rows = new Float32Array(0);

  constructor(o: { dim: number; admit: () => void; now: () => number }) {
    this.#dim = o.dim;
    this.#admit = o.admit;
    this.#now = o.now;
  }

  get indexed(): number {
    return this.#index.count;
  }

  /** Adds what is kept of a key to its row in `to`, from `at` on. */
  addTo(lo: number, hi: number, to: Float32Array, at: number): void {
    const row = this.#index.find(lo, hi);
    if (row < 0 || this.#index.entries[row * ENTRY_WORDS + TIME] === 0) return;
    const [rows, dim] = [this.#rows, this.#dim];
    for (let d = 0, from = row * dim; d < dim; d++) to[at + d]! += rows[from + d]!;
  }

  /** Keeps a row of `from`, from `at` on, of a key that has none. */
  keep(lo: number, hi: number, from: Float32Array, at: number): void {
    let row = this.#index.find(lo, hi);
    if (row < 0) {
      this.#admit();
      row = this.#index.insert(lo, hi);
      this.#grow(row + 1);
    }
    this.#index.entries[row * ENTRY_WORDS + TIME] = this.#now();
    const [rows, dim] = [this.#rows, this.#dim];
    for (let d = 0, to = row * dim; d < dim; d++) rows[to + d] = from[at + d]!;
  }

  /** What was kept of a key is in a push that counts. */
  forget(lo: number, hi: number): void {
    const row = this.#index.find(lo, hi);
    if (row >= 0) this.#index.entries[row * ENTRY_WORDS + TIME] = 0;
  }

  kept(): number {
    const times: number[] = [];
    this.addTimes(times);
    return times.length;
  }

  addTimes(times: number[]): void {
    const { entries, count } = this.#index;
    for (let at = TIME; at < count * ENTRY_WORDS; at += ENTRY_WORDS) if (entries[at] !== 0) times.push(entries[at]!);
  }

  /**
   * Forgets keys without a residual, and takes out those that were kept before a time, and of those kept at it the
   * first so many.
   *
   * @returns what was taken out, and how many of it were kept at that time
   */
  tidy(o: { before: number; atTime: number }): Omit<KeyedRows, "table"> & { atTime: number } {
    const [index, rows, dim] = [this.#index, this.#rows, this.#dim];
    const goes: number[] = [];
    const stays: number[] = [];
    let atTime = 0;
    for (let row = 0; row < index.count; row++) {
      const time = index.entries[row * ENTRY_WORDS + TIME]!;
      if (time === 0) continue;
      const isLast = time === o.before && atTime < o.atTime;
      if (isLast) atTime++;
      (isLast || time < o.before ? goes : stays).push(row);
    }
    const keys = new Uint32Array(2 * goes.length);
    const values = new Float32Array(goes.length * dim);
    for (const [i, row] of goes.entries()) {
      keys[2 * i] = index.entries[row * ENTRY_WORDS]!;
      keys[2 * i + 1] = index.entries[row * ENTRY_WORDS + 1]!;
      values.set(rows.subarray(row * dim, (row + 1) * dim), i * dim);
    }
    this.#index = new KeyIndex({ ownWords: ENTRY_WORDS - TIME });
    for (const [to, row] of stays.entries()) {
      const at = row * ENTRY_WORDS;
      this.#index.insert(index.entries[at]!, index.entries[at + 1]!);
      this.#index.entries[to * ENTRY_WORDS + TIME] = index.entries[at + TIME]!;
      if (to !== row) rows.copyWithin(to * dim, row * dim, (row + 1) * dim);
    }
    return { keys, values, atTime };
  }

  #grow(rows: number): void {
    if (rows * this.#dim <= this.#rows.length) return;
    const grown = new Float32Array(Math.max(2 * this.#rows.length, ROWS_FIRST * this.#dim));
    grown.set(this.#rows);
    this.#rows = grown;
  }
}
