import fc from "fast-check";
import { expect, test } from "vitest";
import { firstNotAscending, isFinite } from "./oracle/checks.ts";
import { TestMemory } from "./test-memory.ts";

const memory = new TestMemory();
const { kernels } = memory;

const key = fc.oneof(
  fc.bigInt(0n, 20n),
  fc.bigInt(0n, 2n ** 64n - 1n),
  fc.bigInt(0n, 9n).map((x) => x << 32n),
);

test("firstNotAscending() names the first key that does not ascend, compared as unsigned", () => {
  const firstOf = (keys: readonly bigint[], offset = 0) =>
    kernels.firstNotAscending(
      memory.reset().put(new Uint32Array(BigUint64Array.from(keys).buffer), offset),
      keys.length,
    );
  expect(firstOf([])).toBe(-1);
  expect(firstOf([2n ** 64n - 1n])).toBe(-1);
  expect(firstOf([1n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n])).toBe(-1);
  expect(firstOf([2n ** 32n, 2n ** 32n - 1n])).toBe(1);
  expect(firstOf([1n, 2n, 2n, 1n])).toBe(2);
  fc.assert(
    fc.property(fc.array(key, { maxLength: 30 }), fc.boolean(), fc.nat(15), (list, sorted, offset) => {
      const keys = sorted ? list.toSorted((a, b) => (a < b ? -1 : a > b ? 1 : 0)) : list;
      expect(firstOf(keys, offset)).toBe(firstNotAscending(keys));
    }),
    { numRuns: 1000 },
  );
});

test("allFinite() finds one NaN or infinity anywhere, and no other value", () => {
  const bad = fc.constantFrom(NaN, Infinity, -Infinity);
  const good = fc.oneof(fc.float({ noNaN: true, noDefaultInfinity: true }), fc.constantFrom(3.4028234663852886e38, -0));
  const values = fc.array(fc.oneof({ weight: 30, arbitrary: good }, { weight: 1, arbitrary: bad }), { maxLength: 50 });
  fc.assert(
    fc.property(values, fc.nat(15), (list, offset) => {
      const floats = Float32Array.from(list);
      expect(kernels.allFinite(memory.reset().put(floats, offset), floats.length)).toBe(isFinite(floats) ? 1 : 0);
    }),
    { numRuns: 1000 },
  );
});
