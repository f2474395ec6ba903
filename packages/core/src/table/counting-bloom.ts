/**
 * About how often keys were seen that have no row yet, in a byte a counter and no keys at all: a counting Bloom filter
 * (Fan, Cao, Almeida and Broder, ToN 2000) that adds to the smallest of a key's counters alone, which counts less too
 * much (Cohen and Matias, SIGMOD 2003, "minimal increase"; Estan and Varghese, SIGCOMM 2002). A key's k counters come
 * from two hashes (Kirsch and Mitzenmacher, ESA 2006).
 *
 * It never counts too little, so no key waits longer than it should; as many keys as it was made for are counted too
 * high with the probability it was made for. It does not grow: once more counters are taken than that number of keys
 * takes, all are halved, as TinyLFU does. It cannot forget one key: a key whose row went away is counted on from where
 * it was. What it says depends on the order of the calls alone.
 */
import { ProtocolError } from "../errors.ts";
import { mixA, slotHash } from "../hash.ts";
import type { KeyCounts } from "./admission.ts";

const COUNT_MAX = 255;
const NO_COUNTERS = new Uint8Array(0);

export class CountingBloom implements KeyCounts {
  /** Counters, and how many of them a key has. */
  readonly counters: number;
  readonly hashes: number;
  readonly #takenMax: number;
  /** Made when the first key comes. */
  #bytes: Uint8Array = NO_COUNTERS;
  /** Counters that are not 0. */
  #taken = 0;

  /**
   * @param o.keys keys that wait at a time, 1 or more
   * @param o.falsePositives share of keys that may be counted too high when so many wait, over 0 and below 1
   */
  constructor({ keys, falsePositives }: { keys: number; falsePositives: number }) {
    const { counters, hashes } = bloomShape({ keys, falsePositives });
    this.counters = counters;
    this.hashes = hashes;
    this.#takenMax = Math.ceil(counters * (1 - Math.exp((-hashes * keys) / counters)));
  }

  count(lo: number, hi: number): number {
    if (this.#bytes.length === 0) return 0;
    const first = slotHash(lo, hi);
    return this.#least(first, strideOf(first, lo));
  }

  add(lo: number, hi: number): number {
    if (this.#bytes.length === 0) this.#bytes = new Uint8Array(this.counters);
    const bytes = this.#bytes;
    const first = slotHash(lo, hi);
    const stride = strideOf(first, lo);
    const least = this.#least(first, stride);
    if (least === COUNT_MAX) return least;
    for (let i = 0; i < this.hashes; i++) {
      const at = this.#place(first, stride, i);
      if (bytes[at] !== least) continue;
      bytes[at] = least + 1;
      if (least === 0) this.#taken += 1;
    }
    if (this.#taken > this.#takenMax) this.#halve();
    return least + 1;
  }

  forget(): void {
    // Its counters are those of other keys, too.
  }

  get snapshotMax(): number {
    return Math.ceil(this.counters / 4);
  }

  snapshot(): Uint32Array<ArrayBuffer> {
    const words = new Uint32Array(Math.ceil(this.#bytes.length / 4));
    new Uint8Array(words.buffer).set(this.#bytes);
    return words;
  }

  restore(words: Uint32Array): void {
    const size = words.length === 0 ? 0 : this.counters;
    if (words.length > 0 && words.length !== this.snapshotMax)
      throw new ProtocolError(`${words.length} words of a filter that has ${this.counters} counters of a byte`);
    this.#bytes = new Uint8Array(words.buffer, words.byteOffset, size).slice();
    this.#taken = this.#bytes.reduce((taken, count) => taken + (count > 0 ? 1 : 0), 0);
  }

  bytes(): number {
    return this.#bytes.length;
  }

  #least(first: number, stride: number): number {
    let least = COUNT_MAX;
    for (let i = 0; i < this.hashes; i++) least = Math.min(least, this.#bytes[this.#place(first, stride, i)]!);
    return least;
  }

  #place(first: number, stride: number, i: number): number {
    return Math.floor((((first + Math.imul(i, stride)) >>> 0) * this.counters) / 2 ** 32);
  }

  #halve(): void {
    const bytes = this.#bytes;
    let taken = 0;
    for (let i = 0; i < bytes.length; i++) {
      const half = bytes[i]! >>> 1;
      bytes[i] = half;
      if (half > 0) taken += 1;
    }
    this.#taken = taken;
  }
}

/** The second hash, unlike that of another key of the same first one: those differ in their low words. */
function strideOf(first: number, lo: number): number {
  return mixA(first ^ mixA(lo ^ 0x3c6ef372)) | 1;
}

/** The fewest counters that hold `keys` keys at a rate of `falsePositives`, and how many of them a key then has. */
export function bloomShape({ keys, falsePositives }: { keys: number; falsePositives: number }): {
  counters: number;
  hashes: number;
} {
  const counters = Math.max(8, Math.ceil((-keys * Math.log(falsePositives)) / Math.LN2 ** 2));
  return { counters, hashes: Math.max(1, Math.round((counters / keys) * Math.LN2)) };
}
