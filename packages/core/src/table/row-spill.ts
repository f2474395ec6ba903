/**
 * What a table whose rows may go to disk does beside its rows in memory: it moves those that were not changed for
 * longest out when memory is full, reads them there for pulls, and takes them back for pushes. Which rows lie where
 * changes no result.
 *
 * Ages are looked through seldom: whenever room is needed, a sixteenth of the table's rows goes at once.
 */
import { CHUNK_ROWS, type Arena } from "./arena.ts";
import { ColdRows } from "./cold-rows.ts";
import { leastRecentFirst } from "./eviction.ts";
import { decodeRow, encodeRow } from "./initial-rows.ts";
import { ROW_HEADER_BYTES, valueBytes, wordOfRow, type RowDtype, type RowLayout } from "./row-layout.ts";
import type { RowTable } from "./row-table.ts";
import type { ColdMemory, MemoryShare } from "./table-memory.ts";

/** The part of a table's rows that goes at once. */
const SPILL_SHARE = 1 / 16;
/** Records that are read at a time, so that wide rows do not ask for much scratch memory. */
const READ_BYTES = 262_144;

export class RowSpill {
  readonly #table: RowTable;
  readonly #layout: RowLayout;
  readonly #arena: Arena;
  readonly #share: MemoryShare;
  readonly #memory: ColdMemory;
  /** Opened when the first row goes. */
  #cold: ColdRows | undefined;
  readonly #readMax: number;

  /** @param o.memory where rows go */
  constructor(o: { table: RowTable; share: MemoryShare; memory: ColdMemory }) {
    this.#table = o.table;
    this.#layout = o.table.layout;
    this.#arena = o.table.arena;
    this.#share = o.share;
    this.#memory = o.memory;
    this.#readMax = Math.max(1, Math.min(CHUNK_ROWS, Math.floor(READ_BYTES / this.#layout.stride)));
  }

  /** Rows on disk. */
  get count(): number {
    return this.#cold?.count ?? 0;
  }

  /** Memory that the index of the rows on disk takes. */
  bytes(): number {
    return this.#cold?.bytes() ?? 0;
  }

  /**
   * Moves rows out of memory: `rows` of them at least, if there are so many.
   *
   * @throws {ClusterError} LIMIT_EXCEEDED: the disk is full; nothing has changed then
   */
  spill(rows: number): void {
    const live = this.#table.count;
    // The index of the rows on disk grows, too: its bytes are given back, so that the limit holds.
    const owed = this.#owed();
    const count = Math.min(live, Math.max(rows, Math.ceil(live * SPILL_SHARE)) + Math.ceil(owed / this.#layout.stride));
    if (count === 0) return;
    const { words } = this.#arena;
    const all = new Uint32Array(live);
    const { n } = this.#table.list(0, live, all);
    leastRecentFirst({ words, rows: all, n, count });
    const cold = (this.#cold ??= this.#open());
    this.#counting(cold, () => cold.put(all, count));
    this.#table.deleteRows(all.subarray(0, count));
    this.#memory.rowsSpilled += count;
    if (owed > 0) this.#table.giveBack(owed);
  }

  /** Bytes over the limit. */
  #owed(): number {
    return Math.max(0, this.#share.bytes - this.#share.bytesMax);
  }

  /**
   * Writes the weights of those of some absent keys that are on disk.
   *
   * @param keys address of the keys of a chunk
   * @param numbers address of `n` numbers of keys that have no row in memory; those that have none on disk either come
   *   first afterwards
   * @param out where the weights of the chunk's first key go, as `dtype`
   * @returns how many have none on disk either
   */
  read(keys: number, numbers: number, n: number, { at: out, dtype }: { at: number; dtype: RowDtype }): number {
    if (this.count === 0) return n;
    const { words } = this.#arena;
    const { stride, dim } = this.#layout;
    const bytes = valueBytes(dtype, dim);
    let absent = 0;
    for (let from = 0; from < n; from += this.#readMax) {
      const part = Math.min(this.#readMax, n - from);
      const at = numbers + 4 * from;
      const records = this.#arena.rowScratch(part * stride + 4 * dim);
      const wide = records + part * stride;
      const found = this.#cold!.read(keys, at, part, records);
      for (let i = 0; i < found; i++)
        this.#copyWeights(records + i * stride, out + bytes * words[at / 4 + i]!, dtype, wide);
      for (let i = found; i < part; i++) words[numbers / 4 + absent++] = words[at / 4 + i]!;
    }
    return absent;
  }

  /**
   * Copies the records of those of some absent keys that are on disk.
   *
   * @param keys address of the keys of a chunk
   * @param numbers address of `n` numbers of keys that have no row in memory; those on disk come first afterwards
   * @param records address of the copies, in the new order
   * @returns how many are on disk
   */
  peek(keys: number, numbers: number, n: number, records: number): number {
    return this.#cold?.read(keys, numbers, n, records) ?? 0;
  }

  /**
   * Leaves those of some absent keys that are not on disk either.
   *
   * @param keys address of the keys of a chunk
   * @param numbers address of `n` numbers of keys that have no row in memory; those that have none on disk either come
   *   first afterwards
   * @returns how many have none
   */
  absent(keys: number, numbers: number, n: number): number {
    if (this.count === 0) return n;
    const { words } = this.#arena;
    let absent = 0;
    for (let from = 0; from < n; from += this.#readMax) {
      const part = Math.min(this.#readMax, n - from);
      const at = numbers + 4 * from;
      const found = this.#cold!.read(keys, at, part, this.#arena.rowScratch(part * this.#layout.stride));
      for (let i = found; i < part; i++) words[numbers / 4 + absent++] = words[at / 4 + i]!;
    }
    return absent;
  }

  /**
   * Takes those of some new rows back that are on disk: all of the row is as it was.
   *
   * @param keys address of the keys of a chunk
   * @param rows address of the addresses of their rows
   * @param numbers address of `n` numbers of keys whose rows are new; those that were not on disk come first afterwards
   * @returns how many were not on disk
   */
  takeBack(keys: number, rows: number, numbers: number, n: number): number {
    if (this.count === 0) return n;
    const { words } = this.#arena;
    const strideWords = this.#layout.stride / 4;
    let absent = 0;
    for (let from = 0; from < n; from += this.#readMax) {
      const part = Math.min(this.#readMax, n - from);
      const at = numbers + 4 * from;
      const records = this.#arena.rowScratch(part * this.#layout.stride);
      const found = this.#take(keys, at, part, records);
      for (let i = 0; i < found; i++) {
        const row = wordOfRow(words[rows / 4 + words[at / 4 + i]!]!);
        const record = records / 4 + i * strideWords;
        this.#table.moved.note(words[record]!, words[record + 1]!);
        for (let w = 0; w < strideWords; w++) words[row + w] = words[record + w]!;
      }
      for (let i = found; i < part; i++) words[numbers / 4 + absent++] = words[at / 4 + i]!;
    }
    return absent;
  }

  /**
   * Brings those of some absent keys that are on disk into memory.
   *
   * @param keys address of the keys of a chunk
   * @param numbers address of `n` numbers of keys that have no row in memory; they are in another order afterwards
   * @throws {ClusterError} LIMIT_EXCEEDED: the arena is full; PARTITION_UNAVAILABLE: the disk fails; no row is lost then
   */
  fetch(keys: number, numbers: number, n: number): void {
    const { words, chunkRows } = this.#arena;
    const { stride } = this.#layout;
    for (let from = 0; from < n && this.count > 0; from += this.#readMax) {
      const part = Math.min(this.#readMax, n - from);
      const records = this.#arena.rowScratch(part * (stride + 8));
      const recordKeys = records + part * stride;
      this.#table.reserve(part); // before a row leaves the disk: then there is a place for it
      const found = this.#take(keys, numbers + 4 * from, part, records);
      for (let i = 0; i < found; i++) {
        const record = (records + i * stride) / 4;
        words.copyWithin(recordKeys / 4 + 2 * i, record, record + 2);
        this.#table.moved.note(words[record]!, words[record + 1]!);
      }
      this.#table.insert(recordKeys, found, chunkRows);
      for (let i = 0; i < found; i++) {
        const record = (records + i * stride) / 4;
        words.copyWithin(wordOfRow(words[chunkRows / 4 + i]!), record, record + stride / 4);
      }
    }
  }

  /** Forgets those of `n` keys that are on disk; `numbers` is the address of their numbers. */
  forget(keys: number, numbers: number, n: number): void {
    for (let from = 0; from < n && this.count > 0; from += this.#readMax) {
      const part = Math.min(this.#readMax, n - from);
      this.#take(keys, numbers + 4 * from, part, this.#arena.rowScratch(part * this.#layout.stride));
    }
  }

  /**
   * Reads at most `rowsMax` rows on disk, from a cursor on: 0 at first.
   *
   * @param rows takes their addresses, in memory that the next call of `rowScratch` may overwrite
   */
  list(cursor: number, rowsMax: number, rows: Uint32Array): { n: number; next: number | undefined } {
    if (this.count === 0) return { n: 0, next: undefined };
    const { stride } = this.#layout;
    const max = Math.min(rowsMax, this.#readMax);
    const records = this.#arena.scratch(max * stride);
    const { n, next } = this.#cold!.scan(cursor, max, records);
    for (let i = 0; i < n; i++) rows[i] = records + i * stride;
    return { n, next };
  }

  /** Gives memory and disk back. */
  dispose(): void {
    if (!this.#cold) return;
    this.#share.bytes -= this.#cold.bytes();
    this.#memory.rows -= this.#cold.count;
    this.#memory.bytes -= this.#cold.storedBytes();
    this.#cold.dispose();
    this.#cold = undefined;
  }

  #open(): ColdRows {
    const cold = new ColdRows(this.#memory.open(this.#layout.stride), this.#arena);
    this.#share.bytes += cold.bytes();
    return cold;
  }

  #take(keys: number, numbers: number, n: number, records: number): number {
    const cold = this.#cold!;
    return this.#counting(cold, () => cold.take(keys, numbers, n, records));
  }

  /** Keeps share and counts up to date over a change. */
  #counting<T>(cold: ColdRows, change: () => T): T {
    const { count, storedBytes, indexBytes } = sizesOf(cold);
    try {
      return change();
    } finally {
      this.#memory.rows += cold.count - count;
      this.#memory.bytes += cold.storedBytes() - storedBytes;
      this.#share.bytes += cold.bytes() - indexBytes;
    }
  }

  #copyWeights(record: number, out: number, dtype: RowDtype, wide: number): void {
    const { dim, dtype: own } = this.#layout;
    const narrow = record + ROW_HEADER_BYTES;
    if (dtype === own) {
      this.#arena.bytes.copyWithin(out, narrow, narrow + valueBytes(dtype, dim));
      return;
    }
    decodeRow(this.#arena, { narrow, dim, dtype: own, wide });
    encodeRow(this.#arena, { wide, dim, dtype, narrow: out });
  }
}

function sizesOf(cold: ColdRows): { count: number; storedBytes: number; indexBytes: number } {
  return { count: cold.count, storedBytes: cold.storedBytes(), indexBytes: cold.bytes() };
}
