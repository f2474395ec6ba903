/** A table of rows for tests of its kernels. It makes room wherever a kernel wants some. */
import type { RowMemory } from "./row-memory.ts";

/** Words of a table's descriptor; see `../table-kernels.ts`. */
export const DESCRIPTOR = { slotCount: 1, usedMax: 2, used: 3, live: 4, stride: 5, freeRow: 6, bump: 7, bumpEnd: 8 };

export class KernelTable {
  readonly memory: RowMemory;
  /** The descriptor. */
  readonly at: number;
  readonly descriptor: Uint32Array;
  readonly #rowsPerBlock: number;
  /** Two arrays of slots, of which the table has one. */
  readonly #slotArrays: [number, number];
  readonly #keysAt: number;
  readonly #rowsAt: number;

  /** @param sizes at most: slots of the table, keys of one call */
  constructor(
    memory: RowMemory,
    { stride, slotsMax, keysMax, rowsPerBlock }: Record<"stride" | "slotsMax" | "keysMax" | "rowsPerBlock", number>,
  ) {
    this.memory = memory;
    this.#rowsPerBlock = rowsPerBlock;
    this.at = memory.take(64);
    this.descriptor = memory.wordsAt(this.at, 16).fill(0);
    this.descriptor[DESCRIPTOR.stride] = stride;
    this.#slotArrays = [memory.take(4 * slotsMax), memory.take(4 * slotsMax)];
    this.#keysAt = memory.take(8 * keysMax);
    this.#rowsAt = memory.take(4 * keysMax);
  }

  /** Addresses of the rows of keys, until the next call: 0 for one that is absent. */
  find(keys: readonly bigint[]): { rows: Uint32Array; absent: number } {
    const absent = this.memory.kernels.tableFind(this.at, this.#put(keys), keys.length, this.#rowsAt);
    return { rows: this.memory.wordsAt(this.#rowsAt, keys.length), absent };
  }

  /** Addresses of the rows of keys, until the next call; they are made where they are not there, the low bit set. */
  insert(keys: readonly bigint[]): Uint32Array {
    const keysAt = this.#put(keys);
    const { kernels } = this.memory;
    for (let done = 0; ;) {
      done += kernels.tableInsert(this.at, keysAt + 8 * done, keys.length - done, this.#rowsAt + 4 * done);
      if (done === keys.length) return this.memory.wordsAt(this.#rowsAt, keys.length);
      this.#makeRoom();
    }
  }

  delete(rows: ArrayLike<number>): void {
    this.memory.words.set(rows, this.#rowsAt / 4);
    this.memory.kernels.tableDelete(this.at, this.#rowsAt, rows.length);
  }

  rehash(slots: number): void {
    this.#slotArrays.reverse();
    this.memory.wordsAt(this.#slotArrays[0], slots).fill(0);
    this.memory.kernels.tableRehash(this.at, this.#slotArrays[0], slots);
    this.descriptor[DESCRIPTOR.usedMax] = Math.min(slots - 1, Math.ceil(slots * 0.8));
  }

  keyOf(row: number): bigint {
    const [lo, hi] = this.memory.wordsAt(row & ~7, 2);
    return (BigInt(hi!) << 32n) | BigInt(lo!);
  }

  #put(keys: readonly bigint[]): number {
    this.memory.words.set(wordsOf(keys), this.#keysAt / 4);
    return this.#keysAt;
  }

  /** Slots where these are used up, else rows. */
  #makeRoom(): void {
    const d = this.descriptor;
    if (d[DESCRIPTOR.used]! >= d[DESCRIPTOR.usedMax]!) {
      this.rehash(Math.max(5, Math.ceil(d[DESCRIPTOR.live]! * 1.7)));
    } else {
      const bytes = this.#rowsPerBlock * d[DESCRIPTOR.stride]!;
      d[DESCRIPTOR.bump] = this.memory.take(bytes);
      d[DESCRIPTOR.bumpEnd] = d[DESCRIPTOR.bump]! + bytes;
    }
  }
}

/** Low word, high word of each key. */
export function wordsOf(keys: readonly bigint[]): Uint32Array {
  return new Uint32Array(BigUint64Array.from(keys).buffer);
}
