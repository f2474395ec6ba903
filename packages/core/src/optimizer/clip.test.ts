import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { clipByNorm, clipByValue } from "./index.ts";

const clipped = (clip: typeof clipByNorm, values: readonly number[], limit: number): number[] => {
  const vector = Float32Array.of(77, ...values, 77);
  clip(vector, 1, values.length, limit);
  expect([vector[0], vector.at(-1)]).toEqual([77, 77]);
  return [...vector.subarray(1, -1)];
};

describe("clipByValue()", () => {
  test("cuts each component to the limit in float32, and keeps the others to the bit", () => {
    expect(clipped(clipByValue, [3, -3, 0.25, -0, 1e-40], 0.1)).toEqual([0.1, -0.1, 0.1, -0, 1e-40].map(Math.fround));
  });
});

describe("clipByNorm()", () => {
  test("scales what is longer, and keeps what is not to the bit", () => {
    expect(clipped(clipByNorm, [3, 4], 5)).toEqual([3, 4]);
    expect(clipped(clipByNorm, [3, 4], 2.5)).toEqual([1.5, 2]);
    expect(clipped(clipByNorm, [0, 0], 1)).toEqual([0, 0]);
  });

  test("keeps the direction, and ends at the limit, however large the vector", () => {
    const component = fc.float({ min: Math.fround(-3e38), max: Math.fround(3e38), noNaN: true });
    fc.assert(
      fc.property(fc.array(component, { minLength: 1, maxLength: 20 }), (values) => {
        const result = clipped(clipByNorm, values, 2);
        const before = Math.hypot(...values);
        expect(Math.hypot(...result)).toBeLessThan(2 * (1 + 1e-6));
        for (const [i, value] of values.entries())
          expect(Math.abs(result[i]! - (before > 2 ? (value * 2) / before : value))).toBeLessThan(1e-6);
      }),
    );
  });
});
