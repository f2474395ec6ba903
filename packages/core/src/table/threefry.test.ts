import { expect, test } from "vitest";
import { threefry } from "./threefry.ts";

const ONES = [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff] as const;

/** `tests/kat_vectors` of Random123: threefry4x32 with 20 rounds. */
const known: [string, readonly [number, number, number, number], readonly number[], string][] = [
  ["zeros", [0, 0, 0, 0], [0, 0, 0, 0], "9c6ca96a e17eae66 fc10ecd4 5256a7d8"],
  ["ones", ONES, ONES, "2a881696 57012287 f6c7446e a16a6732"],
  [
    "digits of π",
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    [0xa4093822, 0x299f31d0, 0x082efa98, 0xec4e6c89],
    "59cd1dbb b8879579 86b5d00c ac8b6d84",
  ],
];

test.each(known)("threefry() gives the known answer for %s", (_, counter, key, words) => {
  const out = new Uint32Array(4);
  threefry(out, Uint32Array.from(key), ...counter);
  expect([...out].map((word) => word.toString(16).padStart(8, "0")).join(" ")).toBe(words);
});
