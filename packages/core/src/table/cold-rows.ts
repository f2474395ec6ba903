/**
 * The rows of one table in one partition that lie on disk because memory has no room for them: those that were not
 * changed for longest. A row is either in memory or here, never both. A pull reads it here and leaves it; a push takes
 * it back.
 *
 * The index in memory is open addressing with linear probing in pairs of words: all 32 bits of the key's hash, and the
 * row's place in the store plus one, 0 where free. The key itself lies with the record, so a match is verified by what
 * is read; two keys with one hash cost a read more. A removal shifts the rest of its run back (Knuth, The Art of
 * Computer Programming, vol. 3, §6.4, algorithm R), so nothing is left that slows later look-ups down.
 *
 * A record is the row's bytes as they lie in memory, see `row-layout.ts`.
 */
import { slotHash } from "../hash.ts";
import { ColdPlaces } from "./cold-places.ts";
import type { ColdStore } from "./cold-store.ts";

const SLOTS_FIRST = 8;
/** From here on it grows by half: what it takes is taken from the rows in memory. */
const DOUBLES_BELOW = 4096;
const LOAD_MAX = 0.75;
/** Records are handed to the store in batches of about this many bytes. */
const BATCH_BYTES = 262_144;

/** Memory that rows lie in; an Arena is one. */
export interface RowSpace {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
}

export class ColdRows {
  readonly recordBytes: number;
  readonly #store: ColdStore;
  readonly #space: RowSpace;
  readonly #places = new ColdPlaces();
  /** Slot s is [hash, place + 1] from 2s on. */
  #slots = new Uint32Array(2 * SLOTS_FIRST);
  /** Places of the records that the last look-up found, and numbers of the keys that it did not find. */
  #found = new Uint32Array(0);
  #absent = new Uint32Array(0);

  /**
   * @param store with records of the rows' stride; this object closes it
   * @param space where keys and rows lie; addresses are bytes, multiples of 4
   */
  constructor(store: ColdStore, space: RowSpace) {
    this.#store = store;
    this.#space = space;
    this.recordBytes = store.recordBytes;
  }

  /** Rows on disk. */
  get count(): number {
    return this.#places.count;
  }

  /** Memory that the index takes. */
  bytes(): number {
    return this.#slots.byteLength + this.#places.bytes();
  }

  /** Bytes on disk, free places included. */
  storedBytes(): number {
    return this.#places.end * this.recordBytes;
  }

  /**
   * Reads the records of those of `n` keys that are here, and changes nothing.
   *
   * @param keys address of pairs of words
   * @param wanted address of `n` numbers of different ones of these keys; those that are here come first afterwards
   * @param into address of the records, in the new order of `wanted`; there must be room for `n`
   * @returns how many are here
   * @throws {ClusterError} PARTITION_UNAVAILABLE: the disk fails
   */
  read(keys: number, wanted: number, n: number, into: number): number {
    if (this.count === 0 || n === 0) return 0;
    this.#reserveFound(n);
    const candidates = this.#lookUp(keys, wanted, n);
    this.#store.read(this.#found, candidates, this.#space.bytes, into);
    return this.#verified(keys, wanted, candidates, into);
  }

  /**
   * As {@link read}, and then the rows are no longer here.
   *
   * @throws {ClusterError} PARTITION_UNAVAILABLE: the disk fails; all rows are still here then
   */
  take(keys: number, wanted: number, n: number, into: number): number {
    const taken = this.read(keys, wanted, n, into);
    const { words } = this.#space;
    for (let i = 0; i < taken; i++) {
      const record = (into + i * this.recordBytes) >>> 2;
      this.#remove(slotHash(words[record]!, words[record + 1]!), this.#found[i]!);
    }
    return taken;
  }

  /**
   * Stores rows that are not here. The caller then gives up what it has of them.
   *
   * @param rows their addresses, `n` of them
   * @throws {ClusterError} LIMIT_EXCEEDED: the disk is full; none of them is here then
   */
  put(rows: Uint32Array, n: number): void {
    const { words } = this.#space;
    const places = new Uint32Array(n);
    this.#places.take(n, places);
    try {
      this.#write(places, rows, n);
    } catch (error) {
      for (let i = 0; i < n; i++) this.#places.free(places[i]!);
      throw error;
    }
    this.#reserveSlots();
    for (let i = 0; i < n; i++) {
      const at = rows[i]! >>> 2;
      occupy(this.#slots, slotHash(words[at]!, words[at + 1]!), places[i]! + 1);
    }
  }

  /**
   * Reads at most `rowsMax` rows in the order of their places, for snapshots. Rows that are put and taken in between
   * may be missed or come twice.
   *
   * @param cursor 0 at first, then the `next` of the call before
   * @param into address of the records; there must be room for `rowsMax`
   * @returns how many records lie there now, and the cursor to go on with, undefined at the end
   * @throws {ClusterError} PARTITION_UNAVAILABLE: the disk fails
   */
  scan(cursor: number, rowsMax: number, into: number): { n: number; next: number | undefined } {
    const places = new Uint32Array(Math.min(rowsMax, this.count));
    const n = this.#places.list(cursor, places.length, places);
    if (n > 0) this.#store.read(places, n, this.#space.bytes, into);
    const next = n === 0 ? this.#places.end : places[n - 1]! + 1;
    return { n, next: next < this.#places.end ? next : undefined };
  }

  /** Forgets all rows and closes the store. */
  dispose(): void {
    this.#store.close();
  }

  /** Moves keys with a slot to the front of `wanted`, their places to #found; returns how many. */
  #lookUp(keys: number, wanted: number, n: number): number {
    const { words } = this.#space;
    const slots = this.#slots;
    const found = this.#found;
    const absent = this.#absent;
    const first = wanted >>> 2;
    let candidates = 0;
    for (let i = 0; i < n; i++) {
      const number = words[first + i]!;
      const key = (keys >>> 2) + 2 * number;
      const slot = matchFrom(slots, slotHash(words[key]!, words[key + 1]!), NO_SLOT);
      if (slot === NO_SLOT) absent[i - candidates] = number;
      else {
        found[candidates] = slots[2 * slot + 1]! - 1;
        words[first + candidates++] = number;
      }
    }
    for (let i = candidates; i < n; i++) words[first + i] = absent[i - candidates]!;
    return candidates;
  }

  /** Keeps those records that are of their key; returns how many. */
  #verified(keys: number, wanted: number, candidates: number, into: number): number {
    const { words, bytes } = this.#space;
    const found = this.#found;
    const size = this.recordBytes;
    const first = wanted >>> 2;
    let end = candidates;
    for (let i = 0; i < end;) {
      const number = words[first + i]!;
      const key = (keys >>> 2) + 2 * number;
      const record = into + i * size;
      if (this.#isOf(key, record) || this.#readOther(key, i, record)) {
        i++;
        continue;
      }
      // Not here after all: the last candidate takes its place, and is looked at next.
      end--;
      words[first + i] = words[first + end]!;
      words[first + end] = number;
      found[i] = found[end]!;
      bytes.copyWithin(record, into + end * size, into + (end + 1) * size);
    }
    return end;
  }

  /** Is the record that of the key at this word? */
  #isOf(key: number, record: number): boolean {
    const { words } = this.#space;
    return words[record >>> 2] === words[key] && words[(record >>> 2) + 1] === words[key + 1];
  }

  /** Tries all slots of a key's hash, one by one. */
  #readOther(key: number, i: number, record: number): boolean {
    const { words, bytes } = this.#space;
    const hash = slotHash(words[key]!, words[key + 1]!);
    const slots = this.#slots;
    const place = new Uint32Array(1);
    for (let slot = matchFrom(slots, hash, NO_SLOT); slot !== NO_SLOT; slot = matchFrom(slots, hash, slot)) {
      place[0] = slots[2 * slot + 1]! - 1;
      this.#store.read(place, 1, bytes, record);
      if (!this.#isOf(key, record)) continue;
      this.#found[i] = place[0];
      return true;
    }
    return false;
  }

  #write(places: Uint32Array, rows: Uint32Array, n: number): void {
    const { words } = this.#space;
    const recordWords = this.recordBytes >>> 2;
    const batch = Math.min(n, Math.max(1, Math.floor(BATCH_BYTES / this.recordBytes)));
    const records = new Uint32Array(batch * recordWords);
    const bytes = new Uint8Array(records.buffer);
    for (let from = 0; from < n; from += batch) {
      const to = Math.min(n, from + batch);
      let out = 0;
      for (let i = from; i < to; i++) {
        const at = rows[i]! >>> 2;
        for (let w = 0; w < recordWords; w++) records[out++] = words[at + w]!;
      }
      this.#store.write(places.subarray(from, to), to - from, bytes);
    }
  }

  #remove(hash: number, place: number): void {
    vacate(this.#slots, slotOf(this.#slots, hash, place + 1));
    this.#places.free(place);
  }

  /** Room for all rows that have a place. */
  #reserveSlots(): void {
    const before = this.#slots;
    let n = before.length / 2;
    if (this.count <= n * LOAD_MAX) return;
    while (this.count > n * LOAD_MAX) n = n < DOUBLES_BELOW ? 2 * n : Math.ceil(1.5 * n);
    const slots = new Uint32Array(2 * n);
    for (let s = 0; s < before.length; s += 2) if (before[s + 1] !== 0) occupy(slots, before[s]!, before[s + 1]!);
    this.#slots = slots;
  }

  #reserveFound(n: number): void {
    if (n <= this.#found.length) return;
    this.#found = new Uint32Array(2 ** Math.ceil(Math.log2(n)));
    this.#absent = new Uint32Array(this.#found.length);
  }
}

const NO_SLOT = -1;

/** Where a hash's run begins: its share of the slots, so that any number of slots will do. */
function homeOf(hash: number, slots: number): number {
  return Math.floor((hash * slots) / 0x1_0000_0000);
}

/** The first slot with this hash behind slot `after` of its run, or of the whole run; NO_SLOT where there is none. */
function matchFrom(slots: Uint32Array, hash: number, after: number): number {
  const n = slots.length >>> 1;
  let slot = after === NO_SLOT ? homeOf(hash, n) : after + 1;
  for (; ; slot++) {
    if (slot === n) slot = 0;
    if (slots[2 * slot + 1] === 0) return NO_SLOT;
    if (slots[2 * slot] === hash) return slot;
  }
}

function slotOf(slots: Uint32Array, hash: number, placePlus1: number): number {
  let slot = matchFrom(slots, hash, NO_SLOT);
  while (slots[2 * slot + 1] !== placePlus1) slot = matchFrom(slots, hash, slot);
  return slot;
}

function occupy(slots: Uint32Array, hash: number, placePlus1: number): void {
  const n = slots.length >>> 1;
  let slot = homeOf(hash, n);
  while (slots[2 * slot + 1] !== 0) slot = slot + 1 === n ? 0 : slot + 1;
  slots[2 * slot] = hash;
  slots[2 * slot + 1] = placePlus1;
}

/** Empties a slot and moves back those behind it that may lie nearer to their home. */
function vacate(slots: Uint32Array, slot: number): void {
  const n = slots.length >>> 1;
  let hole = slot;
  for (let at = hole + 1; ; at++) {
    if (at === n) at = 0;
    if (slots[2 * at + 1] === 0) break;
    const home = homeOf(slots[2 * at]!, n);
    const distance = at >= home ? at - home : at + n - home;
    const toHole = at >= hole ? at - hole : at + n - hole;
    if (distance < toHole) continue;
    slots[2 * hole] = slots[2 * at]!;
    slots[2 * hole + 1] = slots[2 * at + 1]!;
    hole = at;
  }
  slots[2 * hole + 1] = 0;
}
