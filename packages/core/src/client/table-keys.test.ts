import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { partitionFunction, type PartitionMap } from "../partition/index.ts";
import { groupKeys, wordsOf, type Keys } from "./table-keys.ts";

const MAP: PartitionMap = {
  version: 1,
  heads: 1,
  partitionsLog2: 3,
  function: { kind: "hash" },
  nodes: [],
  entries: Array.from({ length: 8 }, (_, p) => ({ generation: 10 + p, headSince: 1, chain: [p % 3] })),
};

const bigs = (words: Uint32Array): bigint[] => [...new BigUint64Array(words.slice().buffer)];

describe("a key is refused", () => {
  test.each([
    [[1, 2 ** 53], /^keys\[1\] is 9007199254740992: .* give larger ids as bigint/],
    [[0.5], /^keys\[0\] is 0\.5/],
    [[NaN], /^keys\[0\] is NaN/],
    [[2n ** 64n], /^keys\[0\] is 18446744073709551616: keys have 64 bits/],
    [[-(2n ** 63n) - 1n], /keys have 64 bits/],
  ] as [Keys, RegExp][])("$0", (keys, message) => {
    expect(() => wordsOf(keys)).toThrow(message);
  });
});

test("all 64 bits of a key are kept, signed or not, in numbers and in arrays", () => {
  const top = 2n ** 64n - 1n;
  expect(bigs(wordsOf([-1, 5, Number.MAX_SAFE_INTEGER]))).toEqual([top, 5n, 2n ** 53n - 1n]);
  expect(bigs(wordsOf([-1n, top, -(2n ** 63n)]))).toEqual([top, top, 2n ** 63n]);
  expect(bigs(wordsOf(BigInt64Array.of(-1n, 7n)))).toEqual([top, 7n]);
  expect(bigs(wordsOf(BigUint64Array.of(0n, top, 3n).subarray(1)))).toEqual([top, 3n]);
  expect(bigs(wordsOf(Uint32Array.of(0xffff_ffff)))).toEqual([0xffff_ffffn]);
});

test("frames hold every unique key once, at its owner, ascending in each partition, and never too many", () => {
  const partitionOf = partitionFunction(MAP.function, MAP.entries.length);
  const someKeys = fc.array(fc.oneof(fc.bigInt({ min: 0n, max: 20n }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(someKeys, fc.integer({ min: 1, max: 9 }), (keys, keysMax) => {
      const { unique, numbers, parts } = groupKeys(wordsOf(keys), MAP, keysMax);
      const distinct = [...new Set(keys)];
      expect(unique).toBe(distinct.length);
      expect([...numbers].map((number) => distinct[number])).toEqual(keys);
      const sent: number[] = [];
      for (const f of parts) {
        const inFrame = bigs(f.keys);
        expect(inFrame).toEqual([...f.order].map((number) => distinct[number]));
        expect(inFrame.length).toBeLessThanOrEqual(keysMax);
        const node = f.partitions[0]! % 3;
        let at = 0;
        for (const [s, partition] of f.partitions.entries()) {
          expect(partition % 3).toBe(node);
          const segment = inFrame.slice(at, (at += f.counts[s]!));
          expect(segment).toEqual(segment.toSorted((a, b) => (a < b ? -1 : 1)));
          for (const key of segment)
            expect(partitionOf(Number(key & 0xffff_ffffn), Number(key >> 32n))).toBe(partition);
        }
        expect(at).toBe(inFrame.length);
        sent.push(...f.order);
      }
      expect(sent.toSorted((a, b) => a - b)).toEqual(distinct.map((_, number) => number));
    }),
  );
});
