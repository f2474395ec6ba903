/**
 * The order of one epoch: all rows mixed with all, or, where they do not fit in memory, blocks of rows permuted and
 * then the rows within a window of blocks. It is a pure function of (seed, epoch), so every worker derives it and no
 * order ever travels.
 */
import { generatorOf, mix, shuffle } from "./fields/xoshiro.ts";

export interface EpochOrderOptions {
  rows: number;
  /** u32. */
  seed: number;
  /** From 0. */
  epoch: number;
  /**
   * Rows that lie together, and are read together, and how many such blocks have their rows mixed with each other.
   * Undefined: all rows with all.
   */
  blocks?: { blockRows: number; windowBlocks: number } | undefined;
  /** Are rows mixed at all? They are by default. */
  shuffle?: boolean;
}

/** Windows that are kept: a step's samples may begin in one and end in the next. */
const WINDOWS_KEPT = 2;

/**
 * The order of one epoch, computed where it is asked for. With blocks it holds at most two windows of rows beside the
 * permutation of the blocks; without, all rows, from the first slice on.
 */
export class EpochOrder {
  readonly rows: number;
  readonly #windows: Windows | undefined;
  readonly #kept = new Map<number, Uint32Array>();

  /** @throws {RangeError} an option out of its bounds */
  constructor(options: EpochOrderOptions) {
    const { rows, seed, epoch, blocks, shuffle: isMixed = true } = options;
    checkWhole({ name: "rows", value: rows, min: 0, max: 0xffff_ffff });
    checkWhole({ name: "seed", value: seed, min: 0, max: 0xffff_ffff });
    checkWhole({ name: "epoch", value: epoch, min: 0, max: 0xffff_ffff });
    if (blocks !== undefined) {
      checkWhole({ name: "blockRows", value: blocks.blockRows, min: 1, max: 0xffff_ffff });
      checkWhole({ name: "windowBlocks", value: blocks.windowBlocks, min: 1, max: 0xffff_ffff });
    }
    this.rows = rows;
    if (isMixed) this.#windows = windowsOf({ rows, seed, epoch, ...(blocks ?? WHOLE_SET) });
  }

  /**
   * @returns the row numbers at [from, to) of the order; the caller owns them
   * @throws {RangeError} not within 0 … rows
   */
  slice(from: number, to: number): Uint32Array {
    if (!Number.isInteger(from) || !Number.isInteger(to) || from < 0 || from > to || to > this.rows)
      throw new RangeError(`EpochOrder: slice(${from}, ${to}) is no range within its ${this.rows} rows`);
    const out = new Uint32Array(to - from);
    if (this.#windows === undefined) {
      for (let i = 0; i < out.length; i++) out[i] = from + i;
      return out;
    }
    const { starts } = this.#windows;
    for (let w = windowAt(starts, from); w < starts.length && starts[w]! < to; w++) {
      const window = this.#window(w);
      const first = Math.max(0, from - starts[w]!);
      const end = Math.min(window.length, to - starts[w]!);
      out.set(window.subarray(first, end), starts[w]! + first - from);
    }
    return out;
  }

  #window(w: number): Uint32Array {
    let window = this.#kept.get(w);
    if (window !== undefined) return window;
    window = shuffledWindow(this.#windows!, w);
    this.#kept.set(w, window);
    for (const old of this.#kept.keys()) {
      if (this.#kept.size <= WINDOWS_KEPT) break;
      this.#kept.delete(old);
    }
    return window;
  }
}

/** The whole order of an epoch whose rows are all mixed with all, shape [rows]. */
export function epochOrder({ rows, seed, epoch }: Omit<EpochOrderOptions, "blocks" | "shuffle">): Uint32Array {
  return new EpochOrder({ rows, seed, epoch }).slice(0, rows);
}

const WHOLE_SET = { blockRows: 0xffff_ffff, windowBlocks: 1 };

interface Windows {
  rows: number;
  seed: number;
  epoch: number;
  blockRows: number;
  windowBlocks: number;
  /** Block numbers in the order they are read. */
  blocks: Uint32Array;
  /** Place in the order where each window begins. */
  starts: Float64Array;
}

type WindowOptions = Pick<Windows, "rows" | "seed" | "epoch" | "blockRows" | "windowBlocks">;

function windowsOf(o: WindowOptions): Windows {
  const { rows, blockRows, windowBlocks } = o;
  const blocks = ascending(Math.ceil(rows / blockRows));
  if (windowBlocks < blocks.length) shuffle(blocks, 0, blocks.length, generatorOf(o.seed, o.epoch));
  const starts = new Float64Array(Math.ceil(blocks.length / windowBlocks));
  let at = 0;
  for (let b = 0; b < blocks.length; b++) {
    if (b % windowBlocks === 0) starts[b / windowBlocks] = at;
    at += Math.min(blockRows, rows - blocks[b]! * blockRows);
  }
  return { ...o, blocks, starts };
}

function shuffledWindow({ rows, seed, epoch, blockRows, windowBlocks, blocks }: Windows, w: number): Uint32Array {
  const own = blocks.subarray(w * windowBlocks, (w + 1) * windowBlocks);
  const isWhole = own.length === blocks.length;
  // A window alone holds every row in its place; more than one draws its rows with a generator of its own.
  const order = isWhole ? ascending(rows) : rowsOf(own, blockRows, rows);
  shuffle(order, 0, order.length, isWhole ? generatorOf(seed, epoch) : generatorOf(mix(seed + mix(w + 1)), epoch));
  return order;
}

function rowsOf(blocks: Uint32Array, blockRows: number, rows: number): Uint32Array {
  let length = 0;
  for (const block of blocks) length += Math.min(blockRows, rows - block * blockRows);
  const order = new Uint32Array(length);
  let at = 0;
  for (const block of blocks) {
    const end = Math.min(rows, (block + 1) * blockRows);
    for (let row = block * blockRows; row < end; row++) order[at++] = row;
  }
  return order;
}

/** The last window that begins at or before `at`. */
function windowAt(starts: Float64Array, at: number): number {
  let low = 0;
  let high = starts.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if (starts[middle]! <= at) low = middle;
    else high = middle - 1;
  }
  return low;
}

function ascending(length: number): Uint32Array {
  const order = new Uint32Array(length);
  for (let i = 0; i < length; i++) order[i] = i;
  return order;
}

function checkWhole({ name, value, min, max }: { name: string; value: number; min: number; max: number }): void {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`EpochOrder: ${name} must be a whole number from ${min} to ${max}, got ${value}`);
  }
}
