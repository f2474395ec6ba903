import { describe, expect, test } from "vitest";
import { initializerOf } from "./initializer.ts";
import type { InitializerSpec } from "./table-spec.ts";

function draw(spec: InitializerSpec, { seed = 1, table = 2, lo = 3, hi = 4, dim = 8 } = {}): Float32Array {
  const out = new Float32Array(dim);
  initializerOf(spec, { seed, table })(lo, hi, out, 0, dim);
  return out;
}

/** Many values of one table. */
function sample(spec: InitializerSpec): Float32Array {
  const initializer = initializerOf(spec, { seed: 5, table: 6 });
  const dim = 10;
  const out = new Float32Array(20_000 * dim);
  for (let key = 0; key < 20_000; key++) initializer(key, 0, out, key * dim, dim);
  return out;
}

function moments(values: Float32Array): { mean: number; stddev: number; min: number; max: number } {
  let sum = 0;
  let squares = 0;
  let min = Infinity;
  let max = -Infinity;
  for (const x of values) {
    sum += x;
    squares += x * x;
    min = Math.min(min, x);
    max = Math.max(max, x);
  }
  const mean = sum / values.length;
  return { mean, stddev: Math.sqrt(squares / values.length - mean * mean), min, max };
}

const random: InitializerSpec[] = [
  { kind: "uniform", min: -0.05, max: 0.05 },
  { kind: "normal", mean: 0, stddev: 0.05 },
  { kind: "truncated-normal", mean: 0, stddev: 0.05 },
];

test("an empty range is refused", () => {
  expect(() => initializerOf({ kind: "uniform", min: 1, max: 0 }, { seed: 0, table: 0 })).toThrow(
    new RangeError("uniform initializer from 1 to 0: min must not be above max"),
  );
});

test("a negative spread is refused", () => {
  expect(() => initializerOf({ kind: "normal", mean: 0, stddev: -1 }, { seed: 0, table: 0 })).toThrow(
    new RangeError("normal initializer with stddev -1: it must be at least 0"),
  );
});

describe.each(random)("$kind", (spec) => {
  test("is a function of seed, table, key and component, and of each of them", () => {
    const values = draw(spec);
    expect(draw(spec)).toEqual(values);
    expect(new Set(values).size).toBe(values.length);
    for (const other of [{ seed: 9 }, { table: 9 }, { lo: 9 }, { hi: 9 }]) {
      expect(draw(spec, other)[0]).not.toBe(values[0]);
    }
  });

  test("does not depend on how many components are drawn, nor on what was drawn before", () => {
    const initializer = initializerOf(spec, { seed: 1, table: 2 });
    const out = new Float32Array(12).fill(7);
    initializer(99, 99, out, 0, 5);
    initializer(3, 4, out, 1, 5);
    expect([...out.subarray(1, 6)]).toEqual([...draw(spec).subarray(0, 5)]);
    expect([...out.subarray(6)]).toEqual([7, 7, 7, 7, 7, 7]);
  });
});

test("values are the ones rows were created with", () => {
  const [uniform, normal, truncated] = random.map((spec) => [...new Uint32Array(draw(spec, { dim: 5 }).buffer)]);
  expect(uniform).toEqual([0x3d0f8b62, 0x3d06a9e1, 0xbc778c23, 0xbd3d2b70, 0xbcac4f6b]);
  expect(normal).toEqual([0x3c5d76e7, 0xbccd2a69, 0x3d905943, 0x3c8d27af, 0xbc8d8cc1]);
  expect(truncated).toEqual(normal);
  const again = draw({ kind: "truncated-normal", mean: 0, stddev: 1 }, { lo: 6 });
  expect(again[3]).toBe(Math.fround(0.6979634165763855)); // the normal value here is −2.05
});

test("uniform has the mean and spread of a uniform distribution", () => {
  const { mean, stddev, min, max } = moments(sample({ kind: "uniform", min: 1, max: 3 }));
  expect(mean).toBeCloseTo(2, 2);
  expect(stddev).toBeCloseTo(2 / Math.sqrt(12), 2);
  expect(min).toBeGreaterThanOrEqual(1);
  expect(max).toBeLessThanOrEqual(3);
});

test("normal has the mean and spread asked for and reaches beyond 4 of it", () => {
  const { mean, stddev, max } = moments(sample({ kind: "normal", mean: 3, stddev: 2 }));
  expect(mean).toBeCloseTo(3, 1);
  expect(stddev).toBeCloseTo(2, 1);
  expect(max).toBeGreaterThan(3 + 4 * 2);
});

test("truncated normal stays within 2 spreads and has the spread of what is left", () => {
  const { mean, stddev, min, max } = moments(sample({ kind: "truncated-normal", mean: 1, stddev: 0.5 }));
  expect(mean).toBeCloseTo(1, 2);
  expect(stddev).toBeCloseTo(0.8796 * 0.5, 2);
  expect(min).toBeGreaterThanOrEqual(0);
  expect(max).toBeLessThanOrEqual(2);
});

test("truncated normal keeps each normal value that is within bounds", () => {
  const normal = sample({ kind: "normal", mean: 0, stddev: 1 });
  const truncated = sample({ kind: "truncated-normal", mean: 0, stddev: 1 });
  for (const [i, z] of normal.entries())
    if (Math.abs(z) < 2 && truncated[i] !== z) throw new Error(`value ${i} differs`);
});

test("zeros and constants fill just the row", () => {
  const out = new Float32Array(4).fill(7);
  initializerOf({ kind: "constant", value: 0.5 }, { seed: 0, table: 0 })(1, 2, out, 1, 2);
  expect([...out]).toEqual([7, 0.5, 0.5, 7]);
  initializerOf({ kind: "zeros" }, { seed: 0, table: 0 })(1, 2, out, 1, 2);
  expect([...out]).toEqual([7, 0, 0, 7]);
});
