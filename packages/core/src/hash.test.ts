import { describe, expect, test } from "vitest";
import { partitionOf, slotHash, textHash } from "./hash.ts";

/** Key sets that weak hashes trip over: N keys each as [low word, high word]. */
const N = 1 << 16;
const keySets: [string, (i: number) => [number, number]][] = [
  ["0, 1, 2 …", (i) => [i, 0]],
  ["multiples of 256", (i) => [(i * 256) >>> 0, 0]],
  ["multiples of 65,536", (i) => [(i << 16) >>> 0, i >>> 16]],
  ["high words", (i) => [0, i]],
  ["equal words", (i) => [i, i]],
  ["word and complement", (i) => [i, ~i >>> 0]],
  ["negative int64", (i) => [~i >>> 0, 0xffffffff]],
];

/** χ² of counts against their mean, divided by its degrees of freedom: near 1 for a random function. */
function unevenness(counts: Uint32Array): number {
  const mean = counts.reduce((a, b) => a + b) / counts.length;
  return counts.reduce((sum, n) => sum + (n - mean) ** 2 / mean, 0) / (counts.length - 1);
}

describe.each(keySets)("of the keys %s", (_, key) => {
  test("partitionOf() fills 256 partitions evenly", () => {
    const counts = new Uint32Array(256);
    for (let i = 0; i < N; i++) counts[partitionOf(...key(i), 8)]! += 1;
    expect(unevenness(counts)).toBeLessThan(1.4);
  });

  test("slotHash() spreads the keys of one partition over its low bits evenly", () => {
    const counts = new Uint32Array(64);
    for (let i = 0; i < N; i++) if (partitionOf(...key(i), 4) === 3) counts[slotHash(...key(i)) & 63]! += 1;
    expect(unevenness(counts)).toBeLessThan(1.9);
  });

  test("slotHash() seldom gives two keys the same 32 bits", () => {
    const hashes = new Set(Array.from({ length: N }, (__, i) => slotHash(...key(i))));
    expect(hashes.size).toBeGreaterThan(N - 10);
  });
});

test("changing any bit of a key changes the partition half of the time", () => {
  for (let bit = 0; bit < 64; bit++) {
    let changed = 0;
    for (let i = 0; i < 4096; i++) {
      const lo = slotHash(i, 1);
      const hi = slotHash(i, 2);
      const other: [number, number] = bit < 32 ? [(lo ^ (1 << bit)) >>> 0, hi] : [lo, (hi ^ (1 << (bit - 32))) >>> 0];
      if (partitionOf(lo, hi, 1) !== partitionOf(...other, 1)) changed += 1;
    }
    expect(changed / 4096).toBeGreaterThan(0.45);
    expect(changed / 4096).toBeLessThan(0.55);
  }
});

test("one partition owns every key", () => {
  expect(partitionOf(123, 456, 0)).toBe(0);
});

test("doubling the partitions splits each in two", () => {
  for (let i = 0; i < 1000; i++) expect(partitionOf(i, i * 7, 9) >>> 1).toBe(partitionOf(i, i * 7, 8));
});

test("hashes are the ones rows were stored by", () => {
  expect([partitionOf(0, 0, 16), partitionOf(1, 0, 16), partitionOf(0xffffffff, 0xffffffff, 16)]).toEqual([
    54611, 32667, 36922,
  ]);
  expect(["", "ps-1", "ü"].map(textHash)).toEqual([2696557840, 3026345747, 3461862356]);
});
