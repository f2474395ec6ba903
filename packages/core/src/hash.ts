/**
 * Hashes of 64-bit keys: one that says which partition owns a key, and an unrelated one for indexes inside it.
 * A key is its low and high 32-bit words; all arithmetic is u32 (`Math.imul`), so it is fast and the same everywhere.
 *
 * Both chain two of the best known two-multiplication mixes (C. Wellons, hash-prospector, "lowbias32" family), one
 * per word. Each mix is a bijection, so keys that differ in one word never collide in all 32 bits.
 */

/** The partition of a key: the high bits of its hash. Part of the stored format: never change it. */
export function partitionOf(lo: number, hi: number, partitionsLog2: number): number {
  return partitionsLog2 === 0 ? 0 : mixA(mixA(lo ^ 0x9e3779b9) ^ hi) >>> (32 - partitionsLog2);
}

/** 32 bits for the slots of an index: take the low ones. Unrelated to {@link partitionOf}. */
export function slotHash(lo: number, hi: number): number {
  return mixB(mixB(hi ^ 0x7f4a7c15) ^ lo);
}

/** 32 bits of a text, for ring points: FNV-1a over its UTF-16 units, then mixed. */
export function textHash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    h = Math.imul(h ^ (unit & 0xff), 0x01000193);
    h = Math.imul(h ^ (unit >>> 8), 0x01000193);
  }
  return mixA(h);
}

/** A bijection of u32 that changes half of the bits when one changes. */
export function mixA(x: number): number {
  let h = x;
  h = Math.imul(h ^ (h >>> 16), 0x21f0aaad);
  h = Math.imul(h ^ (h >>> 15), 0xd35a2d97);
  return (h ^ (h >>> 15)) >>> 0;
}

function mixB(x: number): number {
  let h = x;
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b);
  return (h ^ (h >>> 16)) >>> 0;
}
