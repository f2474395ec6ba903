/**
 * The order of one epoch: blocks of rows permuted, then the rows within a window of blocks. It is a pure function
 * of (seed, epoch), so every worker derives it and no order ever travels.
 *
 * The generator is xoshiro128++ (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2021,
 * https://prng.di.unimi.it/xoshiro128plusplus.c), its state filled by MurmurHash3's finaliser; bounds are unbiased
 * (Lemire, "Fast random integer generation in an interval", 2019).
 */

export interface EpochOrderOptions {
  rows: number;
  /** u32. */
  seed: number;
  epoch: number;
  /** Rows that lie together on disk, and are read together. */
  blockRows?: number;
  /** Blocks whose rows are mixed with each other. All by default: right for sets up to 512 MB. */
  windowBlocks?: number;
}

/**
 * @returns row numbers, each below `rows` exactly once, shape [rows]
 * @throws {RangeError} an option out of its bounds
 */
export function epochOrder(options: EpochOrderOptions): Uint32Array {
  const { rows, seed, epoch, blockRows = 4096, windowBlocks = 0xffff_ffff } = options;
  checkWhole({ name: "rows", value: rows, min: 0, max: 0xffff_ffff });
  checkWhole({ name: "seed", value: seed, min: 0, max: 0xffff_ffff });
  checkWhole({ name: "epoch", value: epoch, min: 0, max: 0xffff_ffff });
  checkWhole({ name: "blockRows", value: blockRows, min: 1, max: 0xffff_ffff });
  checkWhole({ name: "windowBlocks", value: windowBlocks, min: 1, max: 0xffff_ffff });

  const random = generatorOf(seed, epoch);
  const blocks = ascending(Math.ceil(rows / blockRows));
  if (windowBlocks >= blocks.length) {
    const order = ascending(rows);
    shuffle(order, 0, rows, random);
    return order;
  }
  shuffle(blocks, 0, blocks.length, random);
  return shuffleWindows({ rows, blockRows, windowBlocks, blocks, random });
}

interface Windows {
  rows: number;
  blockRows: number;
  windowBlocks: number;
  blocks: Uint32Array;
  random: Generator128;
}

function shuffleWindows({ rows, blockRows, windowBlocks, blocks, random }: Windows): Uint32Array {
  const order = new Uint32Array(rows);
  let at = 0;
  let windowStart = 0;
  for (let b = 0; b < blocks.length; b++) {
    const first = blocks[b]! * blockRows;
    const end = Math.min(rows, first + blockRows);
    for (let row = first; row < end; row++) order[at++] = row;
    if ((b + 1) % windowBlocks !== 0 && b + 1 < blocks.length) continue;
    shuffle(order, windowStart, at, random);
    windowStart = at;
  }
  return order;
}

/** Fisher–Yates on order[from, to). */
function shuffle(order: Uint32Array, from: number, to: number, random: Generator128): void {
  for (let size = to - from; size > 1; size--) {
    const pick = from + below(random, size);
    const last = from + size - 1;
    const held = order[last]!;
    order[last] = order[pick]!;
    order[pick] = held;
  }
}

function ascending(length: number): Uint32Array {
  const order = new Uint32Array(length);
  for (let i = 0; i < length; i++) order[i] = i;
  return order;
}

/** The four words of xoshiro128++, never all zero. */
type Generator128 = Uint32Array;

function generatorOf(seed: number, epoch: number): Generator128 {
  const state = new Uint32Array(4);
  for (let i = 0; i < 4; i++) state[i] = mix(mix(seed + Math.imul(i + 1, 0x9e3779b9)) + epoch);
  state[3]! |= 1;
  return state;
}

function mix(word: number): number {
  let h = word | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function next(state: Generator128): number {
  const sum = (state[0]! + state[3]!) | 0;
  const word = ((sum << 7) | (sum >>> 25)) + state[0]!;
  const shifted = state[1]! << 9;
  state[2]! ^= state[0]!;
  state[3]! ^= state[1]!;
  state[1]! ^= state[2]!;
  state[0]! ^= state[3]!;
  state[2]! ^= shifted;
  state[3] = (state[3]! << 11) | (state[3]! >>> 21);
  return word >>> 0;
}

/** A number in [0, bound): the high word of word × bound, drawn again where the low word shows bias. */
function below(random: Generator128, bound: number): number {
  let word = next(random);
  let low = Math.imul(word, bound) >>> 0;
  if (low < bound) {
    const biased = (0x1_0000_0000 - bound) % bound;
    while (low < biased) {
      word = next(random);
      low = Math.imul(word, bound) >>> 0;
    }
  }
  // word × bound takes up to 64 bits, a double holds 53: multiply by halves.
  const lowHalf = word * (bound & 0xffff);
  return Math.floor((word * (bound >>> 16) + Math.floor(lowHalf / 0x1_0000)) / 0x1_0000);
}

function checkWhole({ name, value, min, max }: { name: string; value: number; min: number; max: number }): void {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`epochOrder: ${name} must be a whole number from ${min} to ${max}, got ${value}`);
  }
}
