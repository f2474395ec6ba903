/**
 * Strings numbered in the order they are first met, keyed by their UTF-8 bytes: a table with few distinct strings
 * makes few JavaScript strings, however many rows it has. Open addressing with linear probing; the hash multiplies and
 * shifts word by word and ends as MurmurHash3 does. A slot holds all that a probe compares, the short string itself
 * included, so that a look-up in a large dictionary misses the cache once or twice, not five times.
 */
import { ClusterError } from "../../errors.ts";
import { stringColumn, type StringColumn } from "./string-column.ts";

/**
 * Words of a slot. Of a string of up to 8 bytes: its bytes as two words, so that nothing else is looked at. Of a longer
 * one: hash and first byte. Then code + 1 (0 where the slot is free), and the length.
 */
const WORDS = 4;
const CODE = 2;
const LENGTH = 3;
const SHORT = 8;

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
    return to - from <= SHORT ? this.#codeOfShort(bytes, from, to) : this.#codeOfLong(bytes, from, to);
  }

  #codeOfShort(bytes: Uint8Array, from: number, to: number): number {
    const length = to - from;
    let first = 0;
    let second = 0;
    if (length === SHORT) {
      first = (bytes[from]! | (bytes[from + 1]! << 8) | (bytes[from + 2]! << 16) | (bytes[from + 3]! << 24)) >>> 0;
      second = (bytes[from + 4]! | (bytes[from + 5]! << 8) | (bytes[from + 6]! << 16) | (bytes[from + 7]! << 24)) >>> 0;
    } else {
      for (let at = to - 1; at >= from + 4; at--) second = (second << 8) | bytes[at]!;
      for (let at = Math.min(to, from + 4) - 1; at >= from; at--) first = (first << 8) | bytes[at]!;
      first >>>= 0;
      second >>>= 0;
    }
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = (hashOfShort(first, second, length) * WORDS) & mask;
    for (; slots[slot + CODE] !== 0; slot = (slot + WORDS) & mask) {
      if (slots[slot] === first && slots[slot + 1] === second && slots[slot + LENGTH] === length) {
        return slots[slot + CODE]! - 1;
      }
    }
    if (!this.#admits(first | second, bytes, from, to)) return -1;
    slots[slot] = first;
    slots[slot + 1] = second;
    return this.#append(bytes, from, to, slot);
  }

  #codeOfLong(bytes: Uint8Array, from: number, to: number): number {
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
    hash = mixed(hash);
    const slots = this.#slots;
    const own = this.#bytes;
    const mask = slots.length - 1;
    let slot = (hash * WORDS) & mask;
    for (; slots[slot + CODE] !== 0; slot = (slot + WORDS) & mask) {
      if (slots[slot] !== hash || slots[slot + LENGTH] !== length) continue;
      const start = slots[slot + 1]! - from;
      let difference = 0;
      for (at = from; at < to; at++) difference |= own[start + at]! ^ bytes[at]!;
      if (difference === 0) return slots[slot + CODE]! - 1;
    }
    if (!this.#admits(seen, bytes, from, to)) return -1;
    slots[slot] = hash;
    slots[slot + 1] = this.#size === 0 ? 0 : this.#ends[this.#size - 1]!;
    return this.#append(bytes, from, to, slot);
  }

  /** Is it UTF-8? @param seen all its bytes, ored together in any way */
  #admits(seen: number, bytes: Uint8Array, from: number, to: number): boolean {
    if ((seen & 0x8080_8080) === 0) return true;
    if (!isUtf8(bytes.subarray(from, to))) return false;
    this.#isAscii = false;
    return true;
  }

  /** Forgets all strings, and keeps the memory. */
  clear(): void {
    this.#slots.fill(0);
    this.#size = 0;
    this.#isAscii = true;
  }

  /** The column of strings with these codes. */
  column(codes: Uint32Array): StringColumn {
    const size = this.#size;
    const ends = this.#ends.slice(0, size);
    const bytes = this.#bytes.slice(0, size === 0 ? 0 : ends[size - 1]!);
    return stringColumn({ codes, utf8: { size, ends, bytes }, isAscii: this.#isAscii });
  }

  /** A new string, whose slot has its first two words already. */
  #append(bytes: Uint8Array, from: number, to: number, slot: number): number {
    const code = this.#size;
    const start = code === 0 ? 0 : this.#ends[code - 1]!;
    const end = start + to - from;
    if (end > BYTES_MAX) {
      throw new ClusterError("LIMIT_EXCEEDED", "the distinct strings of a column take more than 4 GB: hash them");
    }
    this.#size++;
    if (end > this.#bytes.length) this.#bytes = enlarged(this.#bytes, new Uint8Array(Math.max(end, 2 * start)));
    // Strings are short: a loop is faster than a view of their bytes and a call to copy it.
    const own = this.#bytes;
    for (let at = from, i = start; at < to; at++, i++) own[i] = bytes[at]!;
    if (code === this.#ends.length) this.#ends = enlarged(this.#ends, new Uint32Array(2 * code));
    this.#ends[code] = end;
    this.#slots[slot + CODE] = code + 1;
    this.#slots[slot + LENGTH] = to - from;
    if (2 * WORDS * this.#size > this.#slots.length) this.#slots = rehashed(this.#slots);
    return code;
  }
}

function hashOfShort(first: number, second: number, length: number): number {
  let hash = Math.imul(length ^ first, 0x9e3779b1);
  hash ^= hash >>> 15;
  return mixed(Math.imul(hash ^ second, 0x9e3779b1));
}

/** As MurmurHash3 ends. */
function mixed(hash: number): number {
  const once = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  return (once ^ (once >>> 13)) >>> 0;
}

const SLOTS = 256;
const BYTES_MAX = 0xffff_ffff;
const STRICT = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

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
    if (from[at + CODE] === 0) continue;
    const length = from[at + LENGTH]!;
    const hash = length <= SHORT ? hashOfShort(from[at]!, from[at + 1]!, length) : from[at]!;
    let slot = (hash * WORDS) & mask;
    while (slots[slot + CODE] !== 0) slot = (slot + WORDS) & mask;
    for (let word = 0; word < WORDS; word++) slots[slot + word] = from[at + word]!;
  }
  return slots;
}

function enlarged<T extends { set(from: T): void }>(from: T, to: T): T {
  to.set(from);
  return to;
}
