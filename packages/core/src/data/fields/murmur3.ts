/**
 * The hash behind string keys and crosses: MurmurHash3_x86_128 (Austin Appleby, 2011, public domain,
 * https://github.com/aappleby/smhasher/blob/master/src/MurmurHash3.cpp), of which a key is the first 64 bits.
 * It works on 32-bit words only, so it needs no BigInt here and gives the same keys in every browser.
 *
 * Everything hashed starts with one block of salt, 16 bytes made from a name. The state after that block is kept
 * ({@link Salt}), so a salt costs nothing per value.
 */

import type { Utf8Strings } from "../spec/dataset.ts";

/** The four words of the state after the salt's block. */
export type Salt = Uint32Array;

export const SALT_BYTES = 16;

const C1 = 0x239b961b;
const C2 = 0xab0e9789;
const C3 = 0x38b34ae5;
const C4 = 0xa1e38b93;

/** The salt of `name`: its own hash, absorbed as a first block. */
export function saltOf(name: string): Salt {
  const digest = new Uint32Array(4);
  murmur128(new Uint32Array(4), new TextEncoder().encode(name), 0, digest);
  const salt = new Uint32Array(4);
  absorb(salt, digest[0]!, digest[1]!, digest[2]!, digest[3]!);
  return salt;
}

/** Writes the 64-bit keys of `strings`, hashed over their UTF-8, as u32 pairs. */
export function hashStrings(salt: Salt, strings: readonly string[]): Uint32Array {
  const encoder = new TextEncoder();
  const pairs = new Uint32Array(2 * strings.length);
  const digest = new Uint32Array(4);
  let bytes = new Uint8Array(256);
  for (let i = 0; i < strings.length; i++) {
    const text = strings[i]!;
    // A UTF-16 unit takes at most three bytes of UTF-8.
    if (3 * text.length > bytes.length) bytes = new Uint8Array(3 * text.length);
    const length = writeAscii(text, bytes) ? text.length : encoder.encodeInto(text, bytes).written;
    digest.set(salt);
    const whole = length & ~15;
    for (let at = 0; at < whole; at += 16) {
      absorb(digest, wordAt(bytes, at), wordAt(bytes, at + 4), wordAt(bytes, at + 8), wordAt(bytes, at + 12));
    }
    finishWith(digest, bytes, whole, length, SALT_BYTES + length);
    pairs[2 * i] = digest[0]!;
    pairs[2 * i + 1] = digest[1]!;
  }
  return pairs;
}

/** As {@link hashStrings}, of strings that are UTF-8 already. */
export function hashUtf8(salt: Salt, { size, bytes, ends }: Utf8Strings): Uint32Array {
  const pairs = new Uint32Array(2 * size);
  const digest = new Uint32Array(4);
  for (let i = 0, from = 0; i < size; i++) {
    const to = ends[i]!;
    digest[0] = salt[0]!;
    digest[1] = salt[1]!;
    digest[2] = salt[2]!;
    digest[3] = salt[3]!;
    const lengthBytes = SALT_BYTES + to - from;
    for (; from + 16 <= to; from += 16) {
      absorb(digest, wordAt(bytes, from), wordAt(bytes, from + 4), wordAt(bytes, from + 8), wordAt(bytes, from + 12));
    }
    finishWith(digest, bytes, from, to, lengthBytes);
    pairs[2 * i] = digest[0]!;
    pairs[2 * i + 1] = digest[1]!;
    from = to;
  }
  return pairs;
}

/** Most strings are short and ASCII, which a loop writes faster than an encoder. */
function writeAscii(text: string, bytes: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 127) return false;
    bytes[i] = unit;
  }
  return true;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
}

/**
 * Hashes the i-th values of all `parts` (64 bits each, as u32 pairs, little-endian in the hashed bytes) into the
 * i-th pair of `out`, for i < `count`.
 */
export function hashPairs(salt: Salt, parts: readonly Uint32Array[], count: number, out: Uint32Array): void {
  const s1 = salt[0]!;
  const s2 = salt[1]!;
  const s3 = salt[2]!;
  const s4 = salt[3]!;
  const length = SALT_BYTES + 8 * parts.length;
  const blocks = parts.length >> 1;
  const odd = parts.length & 1;
  const last = parts[parts.length - 1]!;
  for (let i = 0; i < 2 * count; i += 2) {
    let h1 = s1;
    let h2 = s2;
    let h3 = s3;
    let h4 = s4;
    for (let b = 0; b < blocks; b++) {
      const left = parts[2 * b]!;
      const right = parts[2 * b + 1]!;
      h1 ^= Math.imul(rotl(Math.imul(left[i]!, C1), 15), C2);
      h1 = (Math.imul((rotl(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0;
      h2 ^= Math.imul(rotl(Math.imul(left[i + 1]!, C2), 16), C3);
      h2 = (Math.imul((rotl(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0;
      h3 ^= Math.imul(rotl(Math.imul(right[i]!, C3), 17), C4);
      h3 = (Math.imul((rotl(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0;
      h4 ^= Math.imul(rotl(Math.imul(right[i + 1]!, C4), 18), C1);
      h4 = (Math.imul((rotl(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0;
    }
    if (odd === 1) {
      h2 ^= Math.imul(rotl(Math.imul(last[i + 1]!, C2), 16), C3);
      h1 ^= Math.imul(rotl(Math.imul(last[i]!, C1), 15), C2);
    }
    h1 ^= length;
    h2 ^= length;
    h3 ^= length;
    h4 ^= length;
    h1 = (h1 + h2 + h3 + h4) | 0;
    const f2 = mix((h2 + h1) | 0);
    h1 = (mix(h1) + f2 + mix((h3 + h1) | 0) + mix((h4 + h1) | 0)) | 0;
    out[i] = h1;
    out[i + 1] = f2 + h1;
  }
}

/**
 * Writes MurmurHash3_x86_128 of `bytes` to `digest` (4 words), starting from the state `start`, into which
 * `startBytes` (a multiple of 16) were absorbed before.
 */
export function murmur128(start: Uint32Array, bytes: Uint8Array, startBytes: number, digest: Uint32Array): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const whole = bytes.length & ~15;
  digest.set(start);
  for (let at = 0; at < whole; at += 16) {
    absorb(
      digest,
      view.getUint32(at, true),
      view.getUint32(at + 4, true),
      view.getUint32(at + 8, true),
      view.getUint32(at + 12, true),
    );
  }
  finish(digest, bytes.subarray(whole), startBytes + bytes.length);
}

/** Mixes one block of 16 bytes, given as four words, into the state. */
export function absorb(state: Uint32Array, k1: number, k2: number, k3: number, k4: number): void {
  let h1 = state[0]!;
  let h2 = state[1]!;
  let h3 = state[2]!;
  let h4 = state[3]!;
  h1 ^= Math.imul(rotl(Math.imul(k1, C1), 15), C2);
  h1 = (Math.imul((rotl(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0;
  h2 ^= Math.imul(rotl(Math.imul(k2, C2), 16), C3);
  h2 = (Math.imul((rotl(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0;
  h3 ^= Math.imul(rotl(Math.imul(k3, C3), 17), C4);
  h3 = (Math.imul((rotl(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0;
  h4 ^= Math.imul(rotl(Math.imul(k4, C4), 18), C1);
  h4 = (Math.imul((rotl(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0;
  state[0] = h1;
  state[1] = h2;
  state[2] = h3;
  state[3] = h4;
}

/** Mixes in the tail (under 16 bytes) and the length, and finishes the state into a digest, in place. */
export function finish(state: Uint32Array, tail: Uint8Array, lengthBytes: number): void {
  finishWith(state, tail, 0, tail.length, lengthBytes);
}

/** The tail is bytes [from, to). */
function finishWith(state: Uint32Array, bytes: Uint8Array, from: number, to: number, lengthBytes: number): void {
  let h1 = state[0]! ^ Math.imul(rotl(Math.imul(tailWord(bytes, from, to), C1), 15), C2) ^ lengthBytes;
  let h2 = state[1]! ^ Math.imul(rotl(Math.imul(tailWord(bytes, from + 4, to), C2), 16), C3) ^ lengthBytes;
  let h3 = state[2]! ^ Math.imul(rotl(Math.imul(tailWord(bytes, from + 8, to), C3), 17), C4) ^ lengthBytes;
  let h4 = state[3]! ^ Math.imul(rotl(Math.imul(tailWord(bytes, from + 12, to), C4), 18), C1) ^ lengthBytes;
  h1 = (h1 + h2 + h3 + h4) | 0;
  h2 = mix((h2 + h1) | 0);
  h3 = mix((h3 + h1) | 0);
  h4 = mix((h4 + h1) | 0);
  h1 = (mix(h1) + h2 + h3 + h4) | 0;
  state[0] = h1;
  state[1] = h2 + h1;
  state[2] = h3 + h1;
  state[3] = h4 + h1;
}

/** The word at `at`, of which the bytes from `to` on are 0. */
function tailWord(bytes: Uint8Array, at: number, to: number): number {
  if (at + 4 <= to) return wordAt(bytes, at);
  let word = 0;
  for (let i = Math.min(to, at + 4) - 1; i >= at; i--) word = (word << 8) | bytes[i]!;
  return word;
}

function rotl(word: number, bits: number): number {
  return (word << bits) | (word >>> (32 - bits));
}

function mix(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}
