/**
 * The generator behind epoch orders and sketches: xoshiro128++ (Blackman and Vigna, "Scrambled linear pseudorandom
 * number generators", 2021, https://prng.di.unimi.it/xoshiro128plusplus.c), its state filled by MurmurHash3's
 * finaliser; bounds are unbiased (Lemire, "Fast random integer generation in an interval", 2019).
 */

/** The four words of the state, never all zero. */
export type Generator128 = Uint32Array;

/** A generator of its own for each pair of u32. */
export function generatorOf(seed: number, stream: number): Generator128 {
  const state = new Uint32Array(4);
  for (let i = 0; i < 4; i++) state[i] = mix(mix(seed + Math.imul(i + 1, 0x9e3779b9)) + stream);
  state[3]! |= 1;
  return state;
}

/** MurmurHash3's finaliser of 32 bits: a bijection of the u32. */
export function mix(word: number): number {
  let h = word | 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

/** The next u32. */
export function next(state: Generator128): number {
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
export function below(random: Generator128, bound: number): number {
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

/** Fisher–Yates on order[from, to). */
export function shuffle(order: Uint32Array, from: number, to: number, random: Generator128): void {
  for (let size = to - from; size > 1; size--) {
    const pick = from + below(random, size);
    const last = from + size - 1;
    const held = order[last]!;
    order[last] = order[pick]!;
    order[pick] = held;
  }
}
