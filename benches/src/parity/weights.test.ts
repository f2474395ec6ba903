import { beforeEach, expect, test } from "vitest";
import { areIdentical, differenceOf, flipOneBit, type Weights } from "./weights.ts";

const of = (keys: bigint[], rows: number[], bias: number): Weights => ({
  tables: new Map([["route", { keys: BigUint64Array.from(keys), values: Float32Array.from(rows) }]]),
  dense: new Map([["bias", Float32Array.of(bias)]]),
});

let weights: Weights;
beforeEach(() => {
  weights = of([1n, 7n], [3, 4, 0, 0.5], 2);
});

test("the same weights are identical and no distance apart", () => {
  const same = of([1n, 7n], [3, 4, 0, 0.5], 2);
  expect(areIdentical(weights, same)).toBe(true);
  expect(differenceOf(weights, same, "row")).toBe(0);
});

test("the difference is that of the worst table, row or dense tensor", () => {
  const rowOff = of([1n, 7n], [3, 4, 0.1, 0.5], 2);
  expect(differenceOf(weights, rowOff, "row")).toBeCloseTo(0.1 / 0.5);
  expect(differenceOf(weights, rowOff, "table")).toBeCloseTo(0.1 / Math.sqrt(25.25));
  expect(differenceOf(weights, of([1n, 7n], [3, 4, 0, 0.5], 3), "table")).toBe(0.5);
});

test("tables of other keys are 1 apart, and not identical", () => {
  for (const other of [of([1n, 8n], [3, 4, 0, 0.5], 2), of([1n], [3, 4], 2)]) {
    expect(differenceOf(weights, other, "table")).toBe(1);
    expect(areIdentical(weights, other)).toBe(false);
  }
});

test("one flipped bit, or the sign of a zero, is no longer identical", () => {
  expect(areIdentical(weights, of([1n, 7n], [3, 4, -0, 0.5], 2))).toBe(false);
  const flipped = of([1n, 7n], [3, 4, 0, 0.5], 2);
  flipOneBit(flipped);
  expect(areIdentical(weights, flipped)).toBe(false);
  expect(differenceOf(weights, flipped, "table")).toBeLessThan(1e-6);
});
