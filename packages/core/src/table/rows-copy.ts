/**
 * All rows of one table in one partition, part by part, byte for byte, while the table goes on changing. Who takes the
 * parts is told of every change between them, so a row that was made or changed after its place was listed need not
 * come again.
 *
 * Rows in memory are listed by their places, then those on disk by theirs. A row that leaves memory before its place
 * was listed is found on disk. One that comes back from disk, or moves in memory, may come to a place that was listed
 * before: such rows are noted, and come last, from wherever they are then.
 */
import { ProtocolError } from "../errors.ts";
import { CHUNK_ROWS } from "./arena.ts";
import type { KeyIndex } from "./key-index.ts";
import { FREE, LAST_STEP_AT, wordOfRow } from "./row-layout.ts";
import type { RowSpill } from "./row-spill.ts";
import type { RowTable } from "./row-table.ts";

/** What a copy is made of. */
export interface RowsSource {
  readonly table: RowTable;
  readonly spill: RowSpill | undefined;
}

type Phase = "memory" | "disk" | "moved" | "done";

export class RowsCopy {
  readonly #table: RowTable;
  readonly #spill: RowSpill | undefined;
  /** Keys of the rows that come last. */
  readonly #moved: KeyIndex;
  #phase: Phase = "memory";
  /** Where the phase goes on. */
  #cursor = 0;

  constructor({ table, spill }: RowsSource) {
    this.#table = table;
    this.#spill = spill;
    this.#moved = table.moved.watch();
  }

  get done(): boolean {
    return this.#phase === "done";
  }

  /**
   * Copies the next rows to the start of `out`: as many as it has room for, or fewer. None is left where it says 0.
   *
   * @param out room for a row at least
   * @returns how many
   * @throws {ClusterError} PARTITION_UNAVAILABLE: the disk fails; the same call may be made again
   */
  next(out: Uint8Array): number {
    const { arena, layout } = this.#table;
    const rows = new Uint32Array(Math.min(CHUNK_ROWS, Math.floor(out.length / layout.stride)));
    for (;;) {
      if (this.#phase === "done") return 0;
      const { n, next } = this.#list(rows);
      for (let i = 0; i < n; i++) out.set(arena.bytes.subarray(rows[i], rows[i]! + layout.stride), i * layout.stride);
      this.#cursor = next ?? 0;
      if (next === undefined) this.#phase = this.#phaseAfter(this.#phase);
      if (n > 0) return n;
    }
  }

  /** Ends it early, or again. */
  stop(): void {
    this.#table.moved.unwatch(this.#moved);
    this.#phase = "done";
  }

  #phaseAfter(phase: Phase): Phase {
    if (phase === "memory" && this.#spill) return "disk";
    this.#table.moved.unwatch(this.#moved); // all rows were listed or noted
    return phase !== "moved" && this.#moved.count > 0 ? "moved" : "done";
  }

  /** Lists the next rows of the phase, and where it goes on, or undefined at its end. */
  #list(rows: Uint32Array): { n: number; next: number | undefined } {
    if (this.#phase === "memory") return this.#table.list(this.#cursor, rows.length, rows);
    if (this.#phase === "disk") return this.#spill?.list(this.#cursor, rows.length, rows) ?? { n: 0, next: undefined };
    return this.#listMoved(rows);
  }

  #listMoved(rows: Uint32Array): { n: number; next: number | undefined } {
    const { arena, layout } = this.#table;
    const { words, chunkRows, chunkNumbers } = arena;
    const { entries, entryWords, count } = this.#moved;
    const chunk = Math.min(rows.length, count - this.#cursor);
    const keys = arena.scratch(8 * chunk);
    words.set(entries.subarray(entryWords * this.#cursor, entryWords * (this.#cursor + chunk)), keys / 4);
    this.#table.find(keys, chunk, chunkRows);
    let n = 0;
    let absent = 0;
    for (let i = 0; i < chunk; i++) {
      const row = words[chunkRows / 4 + i]!;
      if (row !== 0) rows[n++] = row;
      else words[chunkNumbers / 4 + absent++] = i;
    }
    const records = arena.rowScratch(Math.max(1, absent) * layout.stride);
    const found = this.#spill?.peek(keys, chunkNumbers, absent, records) ?? 0;
    for (let i = 0; i < found; i++) rows[n++] = records + i * layout.stride;
    const next = this.#cursor + chunk;
    return { n, next: next < count ? next : undefined };
  }
}

/**
 * Copies the keys of rows out of a copy.
 *
 * @param rows words of whole rows
 * @param out address of as many keys
 * @throws {ProtocolError} bytes that are no rows
 */
export function copyKeysOf(rows: Uint32Array, { arena: { words }, layout }: RowTable, out: number): void {
  for (let at = 0, to = out / 4; at < rows.length; at += layout.stride / 4, to += 2) {
    if (rows[at + LAST_STEP_AT / 4] === FREE) throw new ProtocolError("a copy has a row that is not in use");
    words[to] = rows[at]!;
    words[to + 1] = rows[at + 1]!;
  }
}

/**
 * Writes rows of a copy, in place of those that have their keys.
 *
 * @param rows words of whole rows
 * @param keys address of their keys, of which none has a row on disk
 * @throws {ClusterError} LIMIT_EXCEEDED: the arena is full
 */
export function putRows(rows: Uint32Array, table: RowTable, keys: number): void {
  const { words, chunkRows } = table.arena;
  const strideWords = table.layout.stride / 4;
  const n = rows.length / strideWords;
  for (let from = 0; from < n; from += CHUNK_ROWS) {
    const chunk = Math.min(CHUNK_ROWS, n - from);
    table.insert(keys + 8 * from, chunk, chunkRows);
    for (let i = 0; i < chunk; i++) {
      const at = (from + i) * strideWords;
      words.set(rows.subarray(at, at + strideWords), wordOfRow(words[chunkRows / 4 + i]!));
    }
  }
}
