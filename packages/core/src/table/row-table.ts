/**
 * The memory of one table's rows in one partition: a descriptor, the slots of its index, and blocks of rows. The
 * kernels look keys up and take rows; what grows grows here. (The descriptor is described in `kernels/table-kernels.ts`.)
 *
 * Rows move only where a table gives memory back to others. What they leave is given back to the table alone; all
 * memory is given back when the table is disposed of. A table that never had a row holds none.
 */
import { assert } from "../errors.ts";
import { CHUNK_ROWS, type Arena } from "./arena.ts";
import { extentBytes } from "./extents.ts";
import { MovedRows } from "./moved-rows.ts";
import { FREE, LAST_STEP_AT, wordOfRow, type RowLayout } from "./row-layout.ts";
import type { MemoryShare } from "./table-memory.ts";

const DESCRIPTOR_BYTES = 64;
/** Words of the descriptor. */
const SLOTS = 0;
const SLOT_COUNT = 1;
const USED_MAX = 2;
const USED = 3;
const LIVE = 4;
const STRIDE = 5;
const FREE_ROW = 6;
const BUMP = 7;
const BUMP_END = 8;

const SLOTS_FIRST = 8;
/** Slots double below this and grow by a quarter from there on: at most 4 / (0.8 / 1.25) = 6.25 bytes a row. */
const SLOTS_DOUBLE_BELOW = 128;
const LOAD_MAX = 0.8;

/** A block of rows is this part of the rows there are, so that what it has to spare is little beside them. */
const BLOCK_SHARE = 1 / 64;
const BLOCK_ROWS_MIN = 4;
const BLOCK_BYTES_MAX = 65_536;
/** Rows are moved in parts of about this size. */
const MOVED_BYTES = 262_144;

interface Block {
  readonly at: number;
  rows: number;
  /** Rows in the blocks before. */
  readonly first: number;
}

export class RowTable {
  readonly arena: Arena;
  readonly layout: RowLayout;
  /** For those who list the rows in parts. */
  readonly moved = new MovedRows();
  /** Memory taken, in the extents that it was taken in. */
  bytes = 0;
  readonly #share: MemoryShare;
  /** Address of the descriptor, 0 while there was never a row; and the same in words. */
  #at = 0;
  #word = 0;
  readonly #blocks: Block[] = [];
  /** Rows of all blocks. */
  #capacity = 0;

  constructor(layout: RowLayout, share: MemoryShare) {
    this.arena = share.arena;
    this.layout = layout;
    this.#share = share;
  }

  /** Rows in the table. */
  get count(): number {
    return this.#at === 0 ? 0 : this.arena.words[this.#word + LIVE]!;
  }

  /** Address of the descriptor; 0 while there was never a row. */
  get descriptor(): number {
    return this.#at;
  }

  /**
   * Finds rows: their addresses, or 0, as u32 to `out`.
   *
   * @returns how many keys have none
   */
  find(keys: number, n: number, out: number): number {
    if (this.#at !== 0) return this.arena.kernels.tableFind(this.#at, keys, n, out);
    this.arena.words.fill(0, out / 4, out / 4 + n);
    return n;
  }

  /**
   * Finds rows and makes those that are not there: their addresses as u32 to `out`, with the low bit set where the row
   * is new. A new row has its key and had no updates; weights and state are the caller's to write.
   *
   * @throws {ClusterError} LIMIT_EXCEEDED: the arena is full
   */
  insert(keys: number, n: number, out: number): void {
    if (this.#at === 0) this.#open();
    const { kernels } = this.arena;
    let done = kernels.tableInsert(this.#at, keys, n, out);
    while (done < n) {
      this.#grow();
      done += kernels.tableInsert(this.#at, keys + 8 * done, n - done, out + 4 * done);
    }
  }

  /** Takes `n` rows out of the table; `rows` is the address of their addresses. */
  delete(rows: number, n: number): void {
    if (n > 0) this.arena.kernels.tableDelete(this.#at, rows, n);
  }

  /** Takes rows out of the table, given their addresses. */
  deleteRows(rows: Uint32Array): void {
    const { words, chunkRows } = this.arena;
    for (let from = 0; from < rows.length; from += CHUNK_ROWS) {
      const chunk = rows.subarray(from, from + CHUNK_ROWS);
      words.set(chunk, chunkRows / 4);
      this.delete(chunkRows, chunk.length);
    }
  }

  /** How much the table may grow by when `n` new rows come. */
  growthBytes(n: number): number {
    if (n === 0) return 0;
    const { words } = this.arena;
    const live = this.count;
    let bytes = this.#at === 0 ? DESCRIPTOR_BYTES : 0;
    const missing = live + n - this.#capacity;
    if (missing > 0) bytes += extentBytes((missing + this.#blockRows(live + n)) * this.layout.stride);
    const used = this.#at === 0 ? 0 : words[this.#word + USED]!;
    const usedMax = this.#at === 0 ? 0 : words[this.#word + USED_MAX]!;
    if (used + n > usedMax) {
      const slots = this.#at === 0 ? 0 : words[this.#word + SLOT_COUNT]!;
      const most = slotsFor(live + n + (Math.max(usedMax, live + n) >>> 3));
      bytes += extentBytes(4 * most) - extentBytes(4 * slots);
    }
    return Math.max(0, bytes); // slots may become fewer
  }

  /** How much free memory in one piece is enough for what the table takes until `n` new rows are made. */
  growthSpan(n: number): number {
    if (n === 0) return 0;
    const { words } = this.arena;
    const { stride } = this.layout;
    const live = this.count;
    const [used, usedMax] = this.#at === 0 ? [0, 0] : [words[this.#word + USED]!, words[this.#word + USED_MAX]!];
    let bytes = this.#at === 0 ? DESCRIPTOR_BYTES : 0;
    const missing = live + n - this.#capacity;
    if (missing > 0) {
      const blocks = Math.ceil(missing / this.#blockRows(this.#capacity));
      bytes += (missing + this.#blockRows(live + n)) * stride + blocks * extentBytes(1);
    }
    if (used + n > usedMax) {
      const most = extentBytes(4 * slotsFor(live + n + (Math.max(usedMax, live + n) >>> 3)));
      // Where they grow by a quarter more than once, those of before add up to four times the last ones.
      bytes += n > usedMax >>> 3 ? 5 * most : most;
    }
    return extentBytes(bytes);
  }

  /**
   * Grows so that `n` new rows find their places without growing it further.
   *
   * @throws {ClusterError} LIMIT_EXCEEDED: the arena is full; the rows are as they were
   */
  reserve(n: number): void {
    if (n === 0) return;
    if (this.#at === 0) this.#open();
    const { words } = this.arena;
    const word = this.#word;
    while (words[word + USED]! + n > words[word + USED_MAX]!) this.#growSlots(n);
    while (this.#capacity < this.count + n) this.#addBlock();
  }

  /**
   * Writes the addresses of at most `max` rows to `out`, in the order in which their places were first used, from
   * place `cursor` on.
   *
   * @returns how many, and the place to go on from, or undefined at the end
   */
  list(cursor: number, max: number, out: Uint32Array): { n: number; next: number | undefined } {
    const { words } = this.arena;
    const { stride } = this.layout;
    const end = this.#placesUsed();
    let place = cursor;
    let n = 0;
    for (let b = this.#blockOf(cursor); b < this.#blocks.length && place < end && n < max; b++) {
      const { at, first, rows } = this.#blocks[b]!;
      const stop = Math.min(first + rows, end);
      for (; place < stop && n < max; place++) {
        const row = at + (place - first) * stride;
        if (words[(row + LAST_STEP_AT) >>> 2] !== FREE) out[n++] = row;
      }
    }
    return { n, next: place < end ? place : undefined };
  }

  /**
   * Gives about `bytes` bytes that no row needs back to the arena: the last places, whose rows move to free ones before
   * them. Addresses and places from before say nothing then.
   *
   * @returns how many: fewer where there are fewer free places
   */
  giveBack(bytes: number): number {
    const before = this.bytes;
    const { stride } = this.layout;
    let rows = Math.min(Math.ceil(bytes / stride), this.#capacity - this.count);
    const partMax = Math.max(BLOCK_ROWS_MIN, Math.min(CHUNK_ROWS, Math.floor(MOVED_BYTES / stride)));
    while (rows > 0) {
      const cut = this.#cutLast(Math.min(rows, partMax));
      if (cut === 0) break;
      rows -= cut;
    }
    return before - this.bytes;
  }

  /** Gives all memory back. The table is then empty. */
  dispose(): void {
    if (this.#at === 0) return;
    const { words } = this.arena;
    for (const { at, rows } of this.#blocks) this.#give(at, rows * this.layout.stride);
    this.#give(words[this.#word + SLOTS]!, 4 * words[this.#word + SLOT_COUNT]!);
    this.#give(this.#at, DESCRIPTOR_BYTES);
    this.#blocks.length = 0;
    this.#capacity = 0;
    this.#at = 0;
    assert(this.bytes === 0, "a table gives back what it took");
  }

  #open(): void {
    this.#at = this.#take(DESCRIPTOR_BYTES);
    this.#word = this.#at / 4;
    const { words } = this.arena;
    words.fill(0, this.#word, this.#word + DESCRIPTOR_BYTES / 4);
    words[this.#word + STRIDE] = this.layout.stride;
  }

  /** Makes room for one more row at least: slots, or a block. */
  #grow(): void {
    const { words } = this.arena;
    const word = this.#word;
    let grown = false;
    if (words[word + USED]! >= words[word + USED_MAX]!) {
      this.#growSlots();
      grown = true;
    }
    if (words[word + FREE_ROW] === 0 && words[word + BUMP]! + this.layout.stride > words[word + BUMP_END]!) {
      this.#addBlock();
      grown = true;
    }
    assert(grown, "a table stops taking keys only where it is full");
  }

  /** Rehashes: into more slots, for `rows` new rows at least, or into as many where tombstones fill an eighth of them. */
  #growSlots(rows = 1): void {
    const { words, kernels } = this.arena;
    const word = this.#word;
    const n = slotsFor(words[word + LIVE]! + Math.max(rows, words[word + USED_MAX]! >>> 3));
    const slots = this.#take(4 * n);
    words.fill(0, slots / 4, slots / 4 + n);
    const old = words[word + SLOTS]!;
    const oldCount = words[word + SLOT_COUNT]!;
    kernels.tableRehash(this.#at, slots, n);
    words[word + USED_MAX] = usedMax(n);
    if (oldCount > 0) this.#give(old, 4 * oldCount);
  }

  #addBlock(): void {
    const { words } = this.arena;
    const { stride } = this.layout;
    const rows = this.#blockRows(this.#capacity);
    const at = this.#take(rows * stride);
    this.#freeRest();
    const last = this.#blocks.at(-1);
    if (last && last.at + last.rows * stride === at) last.rows += rows;
    else this.#blocks.push({ at, rows, first: this.#capacity });
    this.#capacity += rows;
    words[this.#word + BUMP] = at;
    words[this.#word + BUMP_END] = at + rows * stride;
  }

  /** Puts what was never used of the newest block on the list of free rows. */
  #freeRest(): void {
    const { words } = this.arena;
    const word = this.#word;
    const { stride } = this.layout;
    const end = words[word + BUMP_END]!;
    for (let row = words[word + BUMP]!; row + stride <= end; row += stride) {
      words[row >>> 2] = words[word + FREE_ROW]!;
      words[(row + LAST_STEP_AT) >>> 2] = FREE;
      words[word + FREE_ROW] = row;
    }
    words[word + BUMP] = end;
  }

  /** Rows of the next block of a table that has place for `capacity`. */
  #blockRows(capacity: number): number {
    const { stride } = this.layout;
    const few = Math.max(BLOCK_ROWS_MIN, Math.floor((capacity * BLOCK_SHARE) / BLOCK_ROWS_MIN) * BLOCK_ROWS_MIN);
    return Math.max(1, Math.min(few, Math.floor(BLOCK_BYTES_MAX / stride)));
  }

  /** Gives the last places back, `max` of them at most, of which as many are free; returns how many. */
  #cutLast(max: number): number {
    const { words } = this.arena;
    const { stride } = this.layout;
    const block = this.#blocks.at(-1);
    if (!block) return 0;
    // What is kept ends where an extent may: four rows are a multiple of its grain.
    const kept = max >= block.rows ? 0 : Math.ceil((block.rows - max) / BLOCK_ROWS_MIN) * BLOCK_ROWS_MIN;
    const cut = block.rows - kept;
    if (cut <= 0) return 0;
    const from = block.at + kept * stride;
    const end = block.at + block.rows * stride;
    const bump = words[this.#word + BUMP]!;
    const used = bump >= block.at && bump < end ? bump : end;
    const moved: number[] = [];
    for (let row = from; row < used; row += stride) {
      if (words[(row + LAST_STEP_AT) >>> 2] !== FREE) moved.push(row);
    }
    const n = moved.length;
    const keys = this.arena.rowScratch(n * (8 + stride));
    const copies = (keys + 8 * n) / 4;
    for (const [i, row] of moved.entries()) {
      this.moved.note(words[row / 4]!, words[row / 4 + 1]!);
      words.copyWithin(keys / 4 + 2 * i, row / 4, row / 4 + 2);
      words.copyWithin(copies + (i * stride) / 4, row / 4, (row + stride) / 4);
    }
    this.deleteRows(Uint32Array.from(moved));
    this.#dropFree(from, end);
    block.rows = kept;
    if (kept === 0) this.#blocks.pop();
    this.#capacity -= cut;
    words[this.#word + BUMP] = Math.min(from, used);
    words[this.#word + BUMP_END] = from;
    const { chunkRows } = this.arena;
    if (n > 0) this.insert(keys, n, chunkRows);
    for (let i = 0; i < n; i++) {
      const copy = copies + (i * stride) / 4;
      words.copyWithin(wordOfRow(words[chunkRows / 4 + i]!), copy, copy + stride / 4);
    }
    this.#give(from, cut * stride);
    return cut;
  }

  /** Takes the places of an address range out of the list of free rows. */
  #dropFree(from: number, end: number): void {
    const { words } = this.arena;
    let last = this.#word + FREE_ROW;
    for (let row = words[last]!; row !== 0; row = words[row >>> 2]!) {
      if (row >= from && row < end) continue;
      words[last] = row;
      last = row >>> 2;
    }
    words[last] = 0;
  }

  /** Places that a row was ever put at: all but the rest of the last block. */
  #placesUsed(): number {
    if (this.#at === 0) return 0;
    const { words } = this.arena;
    return this.#capacity - (words[this.#word + BUMP_END]! - words[this.#word + BUMP]!) / this.layout.stride;
  }

  /** Number of the block that a place lies in. */
  #blockOf(place: number): number {
    let from = 0;
    for (let to = this.#blocks.length; from + 1 < to;) {
      const middle = (from + to) >>> 1;
      if (this.#blocks[middle]!.first <= place) from = middle;
      else to = middle;
    }
    return from;
  }

  #take(bytes: number): number {
    const at = this.arena.allocate(bytes);
    this.bytes += extentBytes(bytes);
    this.#share.bytes += extentBytes(bytes);
    return at;
  }

  #give(at: number, bytes: number): void {
    this.arena.free(at, bytes);
    this.bytes -= extentBytes(bytes);
    this.#share.bytes -= extentBytes(bytes);
  }
}

/** Used slots that `n` slots may have. */
function usedMax(n: number): number {
  return Math.floor(LOAD_MAX * n);
}

/** As many slots as `used` of them need. */
function slotsFor(used: number): number {
  let n = SLOTS_FIRST;
  while (usedMax(n) < used) n = n < SLOTS_DOUBLE_BELOW ? 2 * n : 8 * Math.ceil((1.25 * n) / 8);
  return n;
}
