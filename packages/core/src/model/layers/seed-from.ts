/** Seeds as functions of names: the same words give the same seed in every process. */

/** A 32-bit seed of some words: FNV-1a, then MurmurHash3's finaliser. Never 0, which tfjs takes for none. */
export function seedFrom(words: readonly (string | number)[]): number {
  let h = 0x811c9dc5;
  for (const char of words.join("/")) h = Math.imul(h ^ char.codePointAt(0)!, 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0 || 1;
}
