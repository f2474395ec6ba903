/**
 * Strings numbered in the order they are first met, keyed by their UTF-8 bytes: a table with few distinct strings
 * makes few JavaScript strings, however many rows it has. Open addressing with linear probing; the hash multiplies and
 * shifts word by word and ends as MurmurHash3 does. A slot holds all that a probe compares, so that a look-up in a
 * large dictionary misses the cache twice, not five times.
 */
import { ClusterError } from "../../errors.ts";

/** Words of a slot: hash, code + 1 (0 where the slot is free), first byte, length. */
const WORDS = 4;

export class ByteDictionary {
  /** At most half full; the number of slots is a power of two. */
  #slots = new Uint32Array(WORDS * SLOTS);
  /** Entry c is `#bytes[#ends[c - 1], #ends[c])`. */
  #ends = new Uint32Array(SLOTS / 2);
  #bytes = new Uint8Array(8 * SLOTS);
  #size = 0;
  #isAscii = true;

  get size(): number {
    return this.#size;
  }

  /**
   * The code of the string `bytes[from, to)`, a new one where it is new.
   *
   * @returns −1 where the bytes are not UTF-8
   * @throws {ClusterError} LIMIT_EXCEEDED: the distinct strings are more than 4 GB together
   */
  codeOf(bytes: Uint8Array, from: number, to: number): number {
    const length = to - from;
    let hash = length;
    let seen = 0;
    let at = from;
    // Four bytes at a time: the loads overlap, and a multiplication waits for the one before it only once a word.
    for (const last = to - 4; at <= last; at += 4) {
      const word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
      seen |= word;
      hash = Math.imul(hash ^ word, 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    for (; at < to; at++) {
      seen |= bytes[at]!;
      hash = Math.imul(hash ^ bytes[at]!, 0x01000193);
    }
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = (hash ^ (hash >>> 13)) >>> 0;
    const slots = this.#slots;
    const own = this.#bytes;
    const mask = slots.length - 1;
    let slot = (hash * WORDS) & mask;
    for (; slots[slot + 1] !== 0; slot = (slot + WORDS) & mask) {
      if (slots[slot] !== hash || slots[slot + 3] !== length) continue;
      const start = slots[slot + 2]! - from;
      let difference = 0;
      for (at = from; at < to; at++) difference |= own[start + at]! ^ bytes[at]!;
      if (difference === 0) return slots[slot + 1]! - 1;
    }
    if ((seen & 0x8080_8080) !== 0) {
      if (!isUtf8(bytes.subarray(from, to))) return -1;
      this.#isAscii = false;
    }
    return this.#append(bytes, from, to, hash, slot);
  }

  /** Forgets all strings, and keeps the memory. */
  clear(): void {
    this.#slots.fill(0);
    this.#size = 0;
    this.#isAscii = true;
  }

  /** The strings in the order of their codes. */
  strings(): string[] {
    const strings = Array.from<string>({ length: this.#size });
    let start = 0;
    if (!this.#isAscii) {
      for (let code = 0; code < this.#size; code++) {
        strings[code] = DECODER.decode(this.#bytes.subarray(start, this.#ends[code]));
        start = this.#ends[code]!;
      }
      return strings;
    }
    // ASCII is one character a byte: decoded many at a time and cut, which is faster than one by one.
    for (let code = 0; code < this.#size;) {
      let last = code;
      while (last + 1 < this.#size && this.#ends[last + 1]! - start <= DECODE_BYTES) last++;
      const text = DECODER.decode(this.#bytes.subarray(start, this.#ends[last]));
      let cut = 0;
      for (; code <= last; code++) {
        const end = this.#ends[code]! - start;
        strings[code] = text.slice(cut, end);
        cut = end;
      }
      start = this.#ends[last]!;
    }
    return strings;
  }

  #append(bytes: Uint8Array, from: number, to: number, hash: number, slot: number): number {
    const code = this.#size++;
    const start = code === 0 ? 0 : this.#ends[code - 1]!;
    const end = start + to - from;
    if (end > BYTES_MAX) {
      throw new ClusterError("LIMIT_EXCEEDED", "the distinct strings of a column take more than 4 GB: hash them");
    }
    if (end > this.#bytes.length) this.#bytes = enlarged(this.#bytes, new Uint8Array(Math.max(end, 2 * start)));
    // Strings are short: a loop is faster than a view of their bytes and a call to copy it.
    const own = this.#bytes;
    for (let at = from, i = start; at < to; at++, i++) own[i] = bytes[at]!;
    if (code === this.#ends.length) this.#ends = enlarged(this.#ends, new Uint32Array(2 * code));
    this.#ends[code] = end;
    this.#slots[slot] = hash;
    this.#slots[slot + 1] = code + 1;
    this.#slots[slot + 2] = start;
    this.#slots[slot + 3] = to - from;
    if (2 * WORDS * this.#size > this.#slots.length) this.#slots = rehashed(this.#slots);
    return code;
  }
}

const SLOTS = 256;
const BYTES_MAX = 0xffff_ffff;
const DECODER = new TextDecoder("utf-8", { ignoreBOM: true });
const STRICT = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });
const DECODE_BYTES = 4_194_304;

export function isUtf8(bytes: Uint8Array): boolean {
  try {
    STRICT.decode(bytes);
    return true;
  } catch {
    return false;
  }
}

function rehashed(from: Uint32Array): Uint32Array<ArrayBuffer> {
  const slots = new Uint32Array(2 * from.length);
  const mask = slots.length - 1;
  for (let at = 0; at < from.length; at += WORDS) {
    if (from[at + 1] === 0) continue;
    let slot = (from[at]! * WORDS) & mask;
    while (slots[slot + 1] !== 0) slot = (slot + WORDS) & mask;
    for (let word = 0; word < WORDS; word++) slots[slot + word] = from[at + word]!;
  }
  return slots;
}

function enlarged<T extends { set(from: T): void }>(from: T, to: T): T {
  to.set(from);
  return to;
}
