import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SALT_BYTES, hashPairs, hashStrings, murmur128, saltOf } from "./murmur3.ts";

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

function digestOf(bytes: Uint8Array): number[] {
  const digest = new Uint32Array(4);
  murmur128(new Uint32Array(4), bytes, 0, digest);
  return [...digest];
}

describe("murmur128()", () => {
  // From Python's mmh3 5: mmh3.hash_bytes(data, 0, x64arch=False), as little-endian words.
  it.each([
    ["", [0, 0, 0, 0]],
    ["a", [2811532092, 1431744539, 1431744539, 1431744539]],
    ["hello", [723797152, 3683770103, 2598056374, 2598056374]],
    ["The quick brown fox jumps over the lazy dog", [789939139, 3975031911, 1568405100, 3857259820]],
  ])("gives the published hash of %j", (text, words) => {
    expect(digestOf(utf8(text))).toEqual(words);
  });

  it("gives the published hash of whole blocks, and of blocks with a tail", () => {
    expect(digestOf(Uint8Array.from({ length: 16 }, (_, i) => i))).toEqual([
      1814415397, 1435599086, 3931340916, 2309315567,
    ]);
    expect(digestOf(Uint8Array.from({ length: 33 }, (_, i) => i))).toEqual([
      1356731834, 1996067126, 552056432, 571328385,
    ]);
  });
});

/** What salting means: the hash of (the hash of the name, the bytes). */
function saltedHash(name: string, bytes: Uint8Array): number[] {
  const salt = new Uint8Array(Uint32Array.from(digestOf(utf8(name))).buffer);
  const salted = new Uint8Array(SALT_BYTES + bytes.length);
  salted.set(salt);
  salted.set(bytes, SALT_BYTES);
  return digestOf(salted).slice(0, 2);
}

describe("hashStrings()", () => {
  it("is the first 64 bits of the hash over salt and UTF-8", () => {
    fc.assert(
      fc.property(fc.string(), fc.array(fc.string({ unit: "grapheme" }), { maxLength: 5 }), (name, strings) => {
        const expected = strings.flatMap((text) => saltedHash(name, utf8(text)));
        expect([...hashStrings(saltOf(name), strings)]).toEqual(expected);
      }),
    );
  });
});

describe("hashPairs()", () => {
  it("is the first 64 bits of the hash over salt and the parts' 8 bytes each", () => {
    const word = fc.integer({ min: 0, max: 0xffff_ffff });
    const rows = fc
      .integer({ min: 1, max: 5 })
      .chain((parts) =>
        fc.array(fc.array(word, { minLength: 2 * parts, maxLength: 2 * parts }), { minLength: 1, maxLength: 5 }),
      );
    fc.assert(
      fc.property(fc.string(), rows, (name, words_RP) => {
        const parts = Array.from({ length: words_RP[0]!.length / 2 }, (_, p) =>
          Uint32Array.from(words_RP.flatMap((words) => words.slice(2 * p, 2 * p + 2))),
        );
        const out = new Uint32Array(2 * words_RP.length);
        hashPairs(saltOf(name), parts, words_RP.length, out);
        const bytesOf = (words: number[]): Uint8Array => new Uint8Array(Uint32Array.from(words).buffer);
        expect([...out]).toEqual(words_RP.flatMap((words) => saltedHash(name, bytesOf(words))));
      }),
    );
  });
});

it("hashStrings() gives the key of each string's UTF-8, whatever its length and script", () => {
  const salt = saltOf("city");
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: fc.constantFrom("z", "a", "é", "🦩", "\ud800"), maxLength: 400 })),
      (strings) => {
        const pairs = hashStrings(salt, strings);
        for (const [i, text] of strings.entries()) {
          const digest = new Uint32Array(4);
          murmur128(salt, new TextEncoder().encode(text), SALT_BYTES, digest);
          expect(pairs.slice(2 * i, 2 * i + 2)).toEqual(digest.slice(0, 2));
        }
      },
    ),
  );
});
