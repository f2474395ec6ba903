import fc from "fast-check";
import { expect, test } from "vitest";
import { LIMITS } from "../limits.ts";
import { partitionOf } from "../hash.ts";
import { partitionFunction, partitionFunctionSchema } from "./partition-function.ts";

test("a number of partitions that is no power of two is refused", () => {
  for (const partitions of [0, 3, -4, 2.5, NaN, 2 * LIMITS.partitionsMax]) {
    expect(() => partitionFunction({ kind: "hash" }, partitions)).toThrow(
      new RangeError(`${partitions} partitions: the number must be a power of two from 1 to ${LIMITS.partitionsMax}`),
    );
  }
});

test("more ranges than keys are refused", () => {
  expect(() => partitionFunction({ kind: "range", keyBits: 4 }, 256)).toThrow(
    new RangeError("256 ranges of 4-bit keys would be empty: set keyBits to 8 or more"),
  );
  expect(partitionFunctionSchema.safeParse({ kind: "range", keyBits: 65 }).success).toBe(false);
});

test("hash is the hash of the key", () => {
  expect(partitionFunction({ kind: "hash" }, 256)(7, 9)).toBe(partitionOf(7, 9, 8));
});

test("range is the quotient of the key by the length of a range, and the last for larger keys", () => {
  fc.assert(
    fc.property(
      fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
      fc.integer({ min: 0, max: 63 }),
      fc.integer({ min: 0, max: 12 }),
      fc.integer({ min: 0, max: 64 }),
      (wide, narrowing, log2, bits) => {
        const key = wide >> BigInt(narrowing);
        const keyBits = Math.max(log2, bits, 1);
        const rangeLength = 2n ** BigInt(keyBits - log2);
        const last = 2n ** BigInt(log2) - 1n;
        const quotient = key / rangeLength;
        const partition = partitionFunction({ kind: "range", keyBits }, 2 ** log2);
        expect(BigInt(partition(Number(key & 0xffffffffn), Number(key >> 32n)))).toBe(
          quotient < last ? quotient : last,
        );
      },
    ),
    { numRuns: 2000 },
  );
});
