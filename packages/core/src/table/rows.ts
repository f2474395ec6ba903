/**
 * The rows of one table in one partition: what a pull, a push and a set do to them. They lie in an arena
 * (`row-table.ts`) and are worked on by kernels, a chunk at a time; keys, gradients and weights are given by address.
 *
 * A read never creates a row nor changes its count or age: it computes the initial value. The first push creates it.
 */
import { learningRateAt, optimizerOf, type OptimizerSpec } from "../optimizer/index.ts";
import type { Admission } from "./admission.ts";
import { CHUNK_ROWS, type Arena } from "./arena.ts";
import type { Eviction, EvictionTime } from "./eviction.ts";
import { exportRows, type ExportedRows } from "./exported-rows.ts";
import { encodeRow, InitialRows } from "./initial-rows.ts";
import { sortKeys } from "./key-order.ts";
import { DTYPE_CODES, LAST_STEP_AT, rowLayout, UPDATES_AT, valueBytes, weightsBytes, wordOfRow } from "./row-layout.ts";
import type { RowDtype, RowLayout } from "./row-layout.ts";
import { RowSpill } from "./row-spill.ts";
import type { RowsSource } from "./rows-copy.ts";
import { RowTable } from "./row-table.ts";
import { rowUpdateOf, type RowUpdate } from "./row-update.ts";
import type { MemoryCounts, MemoryShare } from "./table-memory.ts";
import type { TableSpec } from "./table-spec.ts";

/** Cursors of an export from here on are of rows on disk. */
const ON_DISK = 2 ** 31;

/** Numbers of keys of a chunk that have no row: what is in it lasts for one call. */
const STRANGERS = new Uint32Array(CHUNK_ROWS);

/** Which keys of a table get a row, and which rows go. */
export interface RowsCare {
  readonly admission?: Admission | undefined;
  readonly eviction?: Eviction | undefined;
}

export class Rows {
  readonly dim: number;
  readonly stateWidth: number;
  readonly #arena: Arena;
  readonly #layout: RowLayout;
  readonly #table: RowTable;
  readonly #spill: RowSpill | undefined;
  readonly #counts: MemoryCounts | undefined;
  readonly #optimizerSpec: OptimizerSpec;
  readonly #update: RowUpdate;
  readonly #initial: InitialRows;
  readonly #admission: Admission | undefined;
  readonly #eviction: Eviction | undefined;

  /**
   * @param o.share takes what the rows allocate
   * @param o.care which keys get a row and which rows go; by default all do, and none does. A table that may drop rows
   *   keeps all it has in memory
   */
  constructor(spec: TableSpec, { seed, share, care = {} }: { seed: number; share: MemoryShare; care?: RowsCare }) {
    const optimizer = optimizerOf(spec.optimizer);
    this.dim = spec.dim;
    this.stateWidth = optimizer.stateWidth(spec.dim);
    this.#arena = share.arena;
    this.#layout = rowLayout({ dtype: spec.dtype ?? "float32", dim: this.dim, stateWidth: this.stateWidth });
    this.#table = new RowTable(this.#layout, share);
    this.#admission = care.admission;
    this.#eviction = care.eviction;
    this.#counts = share.counts;
    this.#spill =
      share.cold && !spec.eviction ? new RowSpill({ table: this.#table, share, memory: share.cold }) : undefined;
    this.#optimizerSpec = spec.optimizer;
    this.#update = rowUpdateOf(spec, this.#layout, this.#arena);
    this.#initial = new InitialRows(spec, { seed, layout: this.#layout, arena: this.#arena });
  }

  /** In memory and on disk. */
  get count(): number {
    return this.#table.count + (this.#spill?.count ?? 0);
  }

  /** What they are copied from, and to. */
  get source(): RowsSource {
    return { table: this.#table, spill: this.#spill };
  }

  /** Memory that they take. */
  bytes(): number {
    return this.#table.bytes + (this.#spill?.bytes() ?? 0);
  }

  /** Memory beyond weights and optimizer state: headers, index, padding and room to spare. */
  bookkeepingBytes(): number {
    const { dtype, dim, stateWidth } = this.#layout;
    return this.bytes() - this.#table.count * (weightsBytes(dtype, dim) + 4 * stateWidth);
  }

  /** How many of `n` keys have no row in memory and would get one if they were pushed. */
  countAbsent(keys: number, n: number): number {
    let absent = 0;
    for (let from = 0; from < n; from += CHUNK_ROWS) {
      const chunk = Math.min(CHUNK_ROWS, n - from);
      const chunkKeys = keys + 8 * from;
      const missing = this.#table.find(chunkKeys, chunk, this.#arena.chunkRows);
      absent += missing;
      if (this.#admission === undefined || missing === 0) continue;
      const strangers = this.#strangers(chunkKeys, chunk);
      absent -= strangers - this.#admission.admissible(this.#keysAt(chunkKeys, chunk), STRANGERS, strangers);
    }
    return absent;
  }

  /** How much more memory `n` new rows may take. */
  growthBytes(n: number): number {
    return this.#table.growthBytes(n);
  }

  /** How much free memory in one piece is enough for `n` new rows. */
  growthSpan(n: number): number {
    return this.#table.growthSpan(n);
  }

  /**
   * Makes room in memory for `n` new rows, where rows may go to disk.
   *
   * @returns how many rows went
   * @throws {ClusterError} LIMIT_EXCEEDED: the disk is full; nothing has changed then
   */
  makeRoom(n: number): number {
    const before = this.#table.count;
    this.#spill?.spill(n);
    return before - this.#table.count;
  }

  /**
   * Brings those of `n` keys' rows that are on disk into memory, where {@link makeRoom} has made room for them. Then a
   * push of these keys has nothing to read there.
   *
   * @returns how many
   * @throws {ClusterError} LIMIT_EXCEEDED: the arena is full; PARTITION_UNAVAILABLE: the disk fails; no row is lost then
   */
  fetch(keys: number, n: number): number {
    if (!this.#spill || this.#spill.count === 0) return 0;
    const before = this.#spill.count;
    for (let k = 0; k < n; k += CHUNK_ROWS) {
      const chunkKeys = keys + 8 * k;
      this.#spill.fetch(chunkKeys, this.#arena.chunkNumbers, this.#absent(chunkKeys, Math.min(CHUNK_ROWS, n - k)));
    }
    return before - this.#spill.count;
  }

  /**
   * Gives memory back that another table needs, where rows may go to disk.
   *
   * @returns how many bytes
   * @throws {ClusterError} LIMIT_EXCEEDED: the disk is full; nothing has changed then
   */
  giveBack(bytes: number): number {
    if (!this.#spill) return 0;
    this.#spill.spill(Math.ceil(bytes / this.#layout.stride));
    return this.#table.giveBack(bytes);
  }

  /**
   * Writes the weights of `n` keys to `out`, one after the other, initial values where there is no row; changes
   * nothing.
   *
   * @param out `n · valueBytes(dtype, dim)` bytes, at a multiple of 4, or of 2 for bfloat16
   */
  read(keys: number, n: number, { at: out, dtype }: { at: number; dtype: RowDtype }): void {
    const { descriptor } = this.#table;
    const { kernels, words, chunkNumbers } = this.#arena;
    const { dim } = this.#layout;
    const from = DTYPE_CODES[this.#layout.dtype];
    const to = DTYPE_CODES[dtype];
    const bytes = valueBytes(dtype, dim);
    if (descriptor === 0) {
      for (let k = 0; k < n; k++) this.#initial.read(keys + 8 * k, dtype, out + bytes * k);
      return;
    }
    if (from !== to && from !== 0 && to !== 0) {
      for (let k = 0; k < n; k++) this.#readByWayOfFloats(keys + 8 * k, dtype, out + bytes * k);
      return;
    }
    for (let k = 0; k < n; k += CHUNK_ROWS) {
      const chunk = Math.min(CHUNK_ROWS, n - k);
      const chunkKeys = keys + 8 * k;
      const chunkOut = out + bytes * k;
      let absent = kernels.tableGather(descriptor, chunkKeys, chunk, dim, from, chunkOut, to, chunkNumbers);
      if (this.#spill) absent = this.#spill.read(chunkKeys, chunkNumbers, absent, { at: chunkOut, dtype });
      for (let i = 0; i < absent; i++) {
        const number = words[chunkNumbers / 4 + i]!;
        this.#initial.read(chunkKeys + 8 * number, dtype, chunkOut + bytes * number);
      }
    }
  }

  /**
   * Applies one gradient to the row of each of `n` keys, creating rows that are not there, and notes the step. Keys
   * that are not admitted are left out.
   *
   * @param grads float32 [n, dim]
   */
  update(keys: number, n: number, grads: number, step: number): void {
    const rate = learningRateAt(this.#optimizerSpec, step);
    for (let k = 0; k < n; k += CHUNK_ROWS) {
      const chunk = Math.min(CHUNK_ROWS, n - k);
      const chunkGrads = grads + 4 * this.dim * k;
      if (this.#admission === undefined) this.#updateChunk(keys + 8 * k, chunk, chunkGrads, rate, step);
      else this.#updateAdmitted(this.#admission, keys + 8 * k, chunk, chunkGrads, rate, step);
    }
  }

  #updateChunk(keys: number, n: number, grads: number, rate: number, step: number): void {
    const { kernels, chunkRows } = this.#arena;
    this.#rowsOf(keys, n);
    kernels.rowsTouched(chunkRows, n, step);
    this.#update.apply(chunkRows, n, grads, rate);
  }

  /** Updates the runs of keys between those that are refused. */
  #updateAdmitted(admission: Admission, keys: number, n: number, grads: number, rate: number, step: number): void {
    const strangers = this.#strangers(keys, n);
    const refused = strangers === 0 ? 0 : admission.refuse(this.#keysAt(keys, n), STRANGERS, strangers);
    let from = 0;
    for (let i = 0; i <= refused; i++) {
      const to = i < refused ? STRANGERS[i]! : n;
      if (to > from) this.#updateChunk(keys + 8 * from, to - from, grads + 4 * this.dim * from, rate, step);
      from = to + 1;
    }
  }

  /**
   * Overwrites the weights of `n` keys; each row is then as if new with these weights.
   *
   * @param values float32 [n, dim]
   */
  set(keys: number, n: number, values: number, step: number): void {
    const { kernels, words, chunkRows } = this.#arena;
    const { dim, dtype } = this.#layout;
    for (let k = 0; k < n; k += CHUNK_ROWS) {
      const chunk = Math.min(CHUNK_ROWS, n - k);
      this.#table.insert(keys + 8 * k, chunk, chunkRows);
      if (this.#spill) this.#spill.forget(keys + 8 * k, this.#arena.chunkNumbers, this.#newOnes(chunk));
      for (let i = 0; i < chunk; i++) {
        const word = wordOfRow(words[chunkRows / 4 + i]!);
        words[word + UPDATES_AT / 4] = 0;
        words[word + LAST_STEP_AT / 4] = step;
      }
      kernels.rowsWrite(chunkRows, chunk, dim, DTYPE_CODES[dtype], values + 4 * dim * k);
      for (let i = 0; i < chunk; i++) this.#initial.writeState(chunkRows + 4 * i);
    }
  }

  /** Takes rows away, of those of `n` keys that are there; the next push makes them anew. */
  delete(keys: number, n: number): void {
    const { words, chunkRows, chunkNumbers } = this.#arena;
    for (let k = 0; k < n; k += CHUNK_ROWS) {
      const chunk = Math.min(CHUNK_ROWS, n - k);
      this.#table.find(keys + 8 * k, chunk, chunkRows);
      let found = 0;
      let absent = 0;
      for (let i = 0; i < chunk; i++) {
        const row = words[chunkRows / 4 + i]!;
        if (row !== 0) words[chunkRows / 4 + found++] = row;
        else words[chunkNumbers / 4 + absent++] = i;
      }
      this.#table.delete(chunkRows, found);
      this.#spill?.forget(keys + 8 * k, chunkNumbers, absent);
    }
  }

  /** The keys that the updates since the last call made rows for, as pairs of words; none where all get one. */
  takeAdmitted(): Uint32Array<ArrayBuffer> {
    return this.#admission?.takeAdmitted() ?? new Uint32Array(0);
  }

  /**
   * Lets the rows go that are due.
   *
   * @returns their keys as pairs of words, ascending
   */
  evict(time: EvictionTime): Uint32Array<ArrayBuffer> {
    const live = this.#table.count;
    if (!this.#eviction?.isDue({ ...time, rows: live })) return new Uint32Array(0);
    const { words } = this.#arena;
    const rows = new Uint32Array(live);
    const { n } = this.#table.list(0, live, rows);
    const gone = rows.subarray(0, this.#eviction.choose({ ...time, words, rows, n }));
    const keys = new Uint32Array(2 * gone.length);
    for (let i = 0; i < gone.length; i++) {
      keys[2 * i] = words[gone[i]! / 4]!;
      keys[2 * i + 1] = words[gone[i]! / 4 + 1]!;
    }
    this.#table.deleteRows(gone);
    if (this.#counts) this.#counts.rowsEvicted += gone.length;
    sortKeys(keys);
    return keys;
  }

  /** {@link delete} of keys that lie anywhere. */
  deleteKeys(keys: Uint32Array): void {
    const at = this.#arena.scratch(4 * keys.length);
    this.#arena.words.set(keys, at / 4);
    this.delete(at, keys.length / 2);
  }

  /**
   * Copies at most `rowsMax` rows, from place `cursor` on. Rows keep their places while they live; what has a row when
   * an export begins, and keeps it, is in it once. Where rows go to disk and come back while an export is under way,
   * those may be missing from it, or be in it twice.
   */
  export(cursor: number, rowsMax: number): ExportedRows {
    const rows = new Uint32Array(Math.min(rowsMax, Math.max(1, this.count)));
    const { n, next } = this.#list(cursor, rows);
    return exportRows(rows.subarray(0, n), { arena: this.#arena, layout: this.#layout, next });
  }

  /** Lists rows in memory, then those on disk, which it reads. */
  #list(cursor: number, rows: Uint32Array): { n: number; next: number | undefined } {
    if (cursor < ON_DISK) {
      const { n, next } = this.#table.list(cursor, rows.length, rows);
      return { n, next: next ?? (this.#spill && this.#spill.count > 0 ? ON_DISK : undefined) };
    }
    const { n, next } = this.#spill?.list(cursor - ON_DISK, rows.length, rows) ?? { n: 0, next: undefined };
    return { n, next: next && next + ON_DISK };
  }

  /** Gives all memory back; the rows are gone. */
  dispose(): void {
    this.#spill?.dispose();
    this.#table.dispose();
  }

  /** Writes the addresses of the rows of a chunk of keys to `chunkRows`, creating those that are not there. */
  #rowsOf(keys: number, n: number): void {
    const { words, chunkRows, chunkNumbers } = this.#arena;
    const before = this.#table.count;
    this.#table.insert(keys, n, chunkRows);
    if (this.#table.count === before) return;
    let created = this.#newOnes(n);
    if (this.#spill) created = this.#spill.takeBack(keys, chunkRows, chunkNumbers, created);
    for (let i = 0; i < created; i++) this.#initial.write(chunkRows + 4 * words[chunkNumbers / 4 + i]!);
  }

  /** Puts the numbers of those of a chunk's keys that have no row into STRANGERS, ascending; returns how many. */
  #strangers(keys: number, n: number): number {
    const { words, chunkNumbers } = this.#arena;
    let absent = this.#absent(keys, n);
    if (this.#spill) absent = this.#spill.absent(keys, chunkNumbers, absent);
    STRANGERS.set(words.subarray(chunkNumbers / 4, chunkNumbers / 4 + absent));
    if (this.#spill) STRANGERS.subarray(0, absent).sort();
    return absent;
  }

  /** Writes the numbers of those of a chunk's keys that have no row in memory to `chunkNumbers`; returns how many. */
  #absent(keys: number, n: number): number {
    const { words, chunkRows, chunkNumbers } = this.#arena;
    if (this.#table.find(keys, n, chunkRows) === 0) return 0;
    let absent = 0;
    for (let i = 0; i < n; i++) {
      if (words[chunkRows / 4 + i] === 0) words[chunkNumbers / 4 + absent++] = i;
    }
    return absent;
  }

  #keysAt(keys: number, n: number): Uint32Array {
    return this.#arena.words.subarray(keys / 4, keys / 4 + 2 * n);
  }

  /** Writes the numbers of those rows of a chunk that are new to `chunkNumbers`; returns how many. */
  #newOnes(n: number): number {
    const { words, chunkRows, chunkNumbers } = this.#arena;
    let created = 0;
    for (let i = 0; i < n; i++) {
      if ((words[chunkRows / 4 + i]! & 1) === 1) words[chunkNumbers / 4 + created++] = i;
    }
    return created;
  }

  /** Reads one key of a table of one narrow dtype as another one. */
  #readByWayOfFloats(key: number, dtype: RowDtype, out: number): void {
    const { kernels, chunkNumbers } = this.#arena;
    const { dim } = this.#layout;
    const wide = this.#arena.rowScratch(4 * dim);
    const from = DTYPE_CODES[this.#layout.dtype];
    const absent = kernels.tableGather(this.#table.descriptor, key, 1, dim, from, wide, 0, chunkNumbers);
    if (absent === 0) encodeRow(this.#arena, { wide, narrow: out, dim, dtype });
    else if (!this.#spill || this.#spill.read(key, chunkNumbers, 1, { at: out, dtype }) === 1) {
      this.#initial.read(key, dtype, out);
    }
  }
}
