/**
 * The memory of one PS node's rows: as many WebAssembly memories as its limit needs. A partition lives in one of
 * them, and has an equal share of the limit, whichever jobs use it.
 */
import { Arena } from "./arena.ts";

/** wasm32 ends at 4 GiB. */
const ARENA_BYTES_MAX = 2 ** 32;

/** One partition's part of the memory. */
export interface MemoryShare {
  readonly arena: Arena;
  /** Rows and their bookkeeping may take this much. */
  readonly bytesMax: number;
  /** What they take now, over all jobs; kept by who allocates. */
  bytes: number;
}

export interface TableMemoryOptions {
  /** Rows of all partitions may take this much. */
  bytesMax?: number;
  /** Size of one memory, 4 GiB at most; smaller ones are for tests. */
  arenaBytes?: number;
}

export class TableMemory {
  readonly bytesMax: number;
  readonly #arenaBytes: number;
  readonly #arenas: Arena[] = [];
  readonly #shares = new Map<number, MemoryShare>();

  constructor({ bytesMax = ARENA_BYTES_MAX, arenaBytes = ARENA_BYTES_MAX }: TableMemoryOptions = {}) {
    this.bytesMax = bytesMax;
    this.#arenaBytes = arenaBytes;
  }

  /** The memory that frames arrive in. */
  get first(): Arena {
    return this.#arena(0);
  }

  /** Space taken in all memories, what frames take in passing included. */
  get bytesUsed(): number {
    return this.#arenas.reduce((bytes, arena) => bytes + arena.bytesUsed, 0);
  }

  /**
   * The share of a partition: the same one each time.
   *
   * @param place of the partition among those of the node, so that neighbours share a memory
   * @param places how many partitions the node has
   */
  shareOf(partition: number, { place, places }: { place: number; places: number }): MemoryShare {
    let share = this.#shares.get(partition);
    if (!share) {
      // A sixteenth stays free for frames in passing and for what grows.
      const arenas = Math.max(1, Math.ceil(this.bytesMax / (this.#arenaBytes * (15 / 16))));
      const arena = this.#arena(Math.floor((place * arenas) / places));
      share = { arena, bytesMax: Math.floor(this.bytesMax / places), bytes: 0 };
      this.#shares.set(partition, share);
    }
    return share;
  }

  #arena(number: number): Arena {
    while (this.#arenas.length <= number) this.#arenas.push(new Arena(this.#arenaBytes));
    return this.#arenas[number]!;
  }
}
