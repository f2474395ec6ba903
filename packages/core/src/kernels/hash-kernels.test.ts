import fc from "fast-check";
import { expect, test } from "vitest";
import { murmur3x64 } from "./oracle/hash.ts";
import { TestMemory } from "./test-memory.ts";

const memory = new TestMemory();
const { kernels } = memory;

/** Published digests, as two words: those of the empty text, of Wikipedia's example and of Guava's and spaolacci's tests. */
const KNOWN = [
  ["", "0000000000000000 0000000000000000"],
  ["hello", "cbd8a7b341bd9b02 5b1e906a48ae1d19"],
  ["hello, world", "342fac623a5ebc8e 4cdcbc079642414d"],
  ["abcdefghijklmno", "8abe2451890c2ffb 6a548c2d9c962a61"],
  ["The quick brown fox jumps over the lazy dog", "e34bbc7bbc071b6c 7a433ca9c49a9347"],
] as const;

function hash128(bytes: Uint8Array, offset = 0): Uint8Array {
  const at = memory.reset().put(bytes, offset);
  const out = memory.reserve(16);
  kernels.hash128(at, bytes.length, out);
  expect(memory.untouchedAround(out, 16)).toBe(true);
  return memory.bytes(out, 16);
}

test.each(KNOWN)("hash128() of %j is what others publish", (text, digest) => {
  const bytes = new TextEncoder().encode(text);
  for (const made of [hash128(bytes), murmur3x64(bytes)]) {
    const view = new DataView(made.buffer, made.byteOffset);
    const words = [view.getBigUint64(0, true), view.getBigUint64(8, true)];
    expect(words.map((word) => word.toString(16).padStart(16, "0")).join(" ")).toBe(digest);
  }
});

test("hash128() agrees with the oracle at any length and address, and takes bytes in pieces", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(15), fc.nat(6), (bytes, offset, blocks) => {
      const expected = murmur3x64(bytes);
      expect(hash128(bytes, offset)).toEqual(expected);

      const first = Math.min(16 * blocks, bytes.length - (bytes.length % 16));
      const rest = bytes.length - (bytes.length % 16) - first;
      const at = memory.reset().put(bytes, offset);
      const state = memory.put(new Uint8Array(16));
      kernels.hash128Blocks(at, first, state);
      kernels.hash128Blocks(at + first, rest, state);
      kernels.hash128Finish(at + first + rest, bytes.length % 16, bytes.length, state);
      expect(memory.bytes(state, 16)).toEqual(expected);
    }),
    { numRuns: 2000 },
  );
});
