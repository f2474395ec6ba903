import fc from "fast-check";
import { expect, test } from "vitest";
import { Curve, type CurveValue } from "./curve.ts";

const at = (step: number, value: number, weight = 1): CurveValue => ({ step, value, weight, atMs: step * 10 });

const curveOf = (values: readonly CurveValue[], pointsMax: number): Curve => {
  const curve = new Curve({ pointsMax });
  for (const value of values) curve.add(value);
  return curve;
};

test("a curve refuses a size that does not halve", () => {
  for (const pointsMax of [0, 1, 7, 2.5]) expect(() => new Curve({ pointsMax })).toThrow(/give an even whole number/);
});

test("a short curve keeps every value", () => {
  const { points, valuesPerPoint } = curveOf([at(1, 0.5, 3), at(4, 0.25, 9)], 4);
  expect(points).toEqual([
    { step: 1, mean: 0.5, atMs: 10 },
    { step: 4, mean: 0.25, atMs: 40 },
  ]);
  expect(valuesPerPoint).toBe(1);
});

test("a full curve joins neighbours to their weighted mean", () => {
  const curve = curveOf([at(1, 1, 1), at(2, 4, 2), at(3, 5), at(4, 7), at(5, 100)], 4);
  expect(curve.points).toEqual([
    { step: 2, mean: 3, atMs: 20 },
    { step: 4, mean: 6, atMs: 40 },
    { step: 5, mean: 100, atMs: 50 },
  ]);
  expect(curve.valuesPerPoint).toBe(2);
});

test("a curve is bounded, and its points are the means of consecutive values", () => {
  const values = fc.array(
    fc.record({ value: fc.integer({ min: -99, max: 99 }), weight: fc.integer({ min: 1, max: 9 }) }),
    {
      maxLength: 300,
    },
  );
  fc.assert(
    fc.property(values, fc.integer({ min: 1, max: 8 }), (drawn, half) => {
      const added = drawn.map(({ value, weight }, i) => at(i + 1, value, weight));
      const { points, valuesPerPoint } = curveOf(added, 2 * half);
      expect(points.length).toBeLessThanOrEqual(2 * half);
      expect(points).toHaveLength(Math.ceil(added.length / valuesPerPoint));
      points.forEach(({ step, mean }, i) => {
        const group = added.slice(i * valuesPerPoint, (i + 1) * valuesPerPoint);
        const weight = group.reduce((sum, one) => sum + one.weight, 0);
        expect(step).toBe(group.at(-1)!.step);
        expect(mean).toBeCloseTo(group.reduce((sum, one) => sum + one.value * one.weight, 0) / weight, 9);
      });
    }),
  );
});

test("thinned() joins as few neighbours as make it fit", () => {
  const curve = curveOf([at(1, 1), at(2, 3), at(3, 5, 3), at(4, 9), at(5, 7)], 10);
  expect(curve.thinned(5)).toEqual(curve.points);
  expect(curve.thinned(3)).toEqual([
    { step: 2, mean: 2, atMs: 20 },
    { step: 4, mean: 6, atMs: 40 },
    { step: 5, mean: 7, atMs: 50 },
  ]);
  expect(new Curve().thinned(3)).toEqual([]);
});

test("a million steps fit into ten thousand points", () => {
  const curve = new Curve();
  for (let step = 1; step <= 1_000_000; step++) curve.add(at(step, step));
  expect(curve.points.length).toBeLessThanOrEqual(10_000);
  expect(curve.points.length).toBeGreaterThan(5_000);
  expect(curve.points[0]!.mean).toBe((1 + curve.valuesPerPoint) / 2);
});
