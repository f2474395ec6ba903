/**
 * The memory of one PS node's rows: as many WebAssembly memories as its limit needs. A partition lives in one of
 * them, and has an equal share of the limit, whichever jobs use it. Shares change as partitions come and go.
 */
import { Arena } from "./arena.ts";
import type { OpenColdStore } from "./cold-store.ts";

/** wasm32 ends at 4 GiB. */
const ARENA_BYTES_MAX = 2 ** 32;
/** Of a memory that rows may take; the rest is for what steps stage, for frames in passing and for what grows. */
const ROWS_SHARE = 7 / 8;

/** One partition's part of the memory. */
export interface MemoryShare {
  /** Where its rows live. */
  readonly arena: Arena;
  /** Rows and their bookkeeping may take this much. */
  bytesMax: number;
  /** What they take now, over all jobs; kept by who allocates. */
  bytes: number;
  /** What steps that are staged may take more of it when they are committed; kept by who staged them. */
  pledged: number;
  /** Where rows may go when there is no room for them; undefined where they stay in memory. */
  readonly cold?: ColdMemory | undefined;
  /** Of all partitions. */
  readonly counts?: MemoryCounts | undefined;
}

/** What happened for want of room, over all partitions. */
export interface MemoryCounts {
  /** Rows that tables dropped because they were too old or too many. */
  rowsEvicted: number;
  /** Pushes that were refused because their rows had no room. */
  pushesRefused: number;
}

/** Rows of all partitions that lie on disk. */
export interface ColdMemory {
  readonly open: OpenColdStore;
  /** Rows there, and the bytes of their stores; kept by who spills. */
  rows: number;
  bytes: number;
  /** Rows that ever went there. */
  rowsSpilled: number;
}

export interface TableMemoryOptions {
  /** Rows of all partitions may take this much. */
  bytesMax?: number;
  /** Size of one memory, 4 GiB at most; smaller ones are for tests. */
  arenaBytes?: number;
  /** Opens the stores of rows that memory has no room for; without it they stay in memory. */
  openCold?: OpenColdStore | undefined;
}

export class TableMemory {
  readonly bytesMax: number;
  readonly cold: ColdMemory | undefined;
  readonly counts: MemoryCounts = { rowsEvicted: 0, pushesRefused: 0 };
  readonly #arenaBytes: number;
  readonly #arenas: Arena[] = [];
  readonly #shares = new Map<number, MemoryShare>();

  /** By default one memory. */
  constructor({ arenaBytes = ARENA_BYTES_MAX, bytesMax = arenaBytes * ROWS_SHARE, openCold }: TableMemoryOptions = {}) {
    if (openCold) this.cold = { open: openCold, rows: 0, bytes: 0, rowsSpilled: 0 };
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
   * The share of a partition: the same one each time, as large as it should be now. Neighbours are in one memory, the
   * same one whatever else the node holds.
   *
   * @param o.partitions of the map
   * @param o.places how many partitions the node has
   */
  shareOf(partition: number, { partitions, places }: { partitions: number; places: number }): MemoryShare {
    const bytesMax = this.#shareBytes(places);
    let share = this.#shares.get(partition);
    if (!share) {
      // As many shares in each memory as fit if the node had all partitions, spread over the memories that this takes.
      const fit = Math.max(1, Math.floor((this.#arenaBytes * ROWS_SHARE) / this.#shareBytes(partitions)));
      const arena = this.#arena(Math.floor((partition * Math.ceil(partitions / fit)) / partitions));
      const { cold, counts } = this;
      share = { arena, bytesMax, bytes: 0, pledged: 0, cold, counts };
      this.#shares.set(partition, share);
    }
    share.bytesMax = bytesMax;
    return share;
  }

  /**
   * Divides the limit anew, because partitions came or went. A share that has more than its part keeps its rows, and
   * takes no new ones.
   *
   * @param places how many partitions the node has, 1 at least
   */
  divide(places: number): void {
    const bytesMax = this.#shareBytes(places);
    for (const share of this.#shares.values()) share.bytesMax = bytesMax;
  }

  #shareBytes(places: number): number {
    return Math.floor(Math.min(this.bytesMax / places, this.#arenaBytes * ROWS_SHARE));
  }

  #arena(number: number): Arena {
    while (this.#arenas.length <= number) this.#arenas.push(new Arena(this.#arenaBytes));
    return this.#arenas[number]!;
  }
}
