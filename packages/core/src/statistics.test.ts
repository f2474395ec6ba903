import { expect, it } from "vitest";
import { LIMITS } from "./limits.ts";
import { lowerMedian, median, unusuallyLong } from "./statistics.ts";

it("the median is the value in the middle, or the mean of two; values need not be in order, and stay in theirs", () => {
  const values = [10, 9, 1];
  expect(median(values)).toBe(9);
  expect(values).toEqual([10, 9, 1]);
  expect(median([4, 100, 1, 2])).toBe(3);
  expect(median([7])).toBe(7);
});

it("the lower median is always one of the values", () => {
  expect(lowerMedian([10, 9, 1])).toBe(9);
  expect(lowerMedian([4, 100, 1, 2])).toBe(2);
  expect(lowerMedian([7, 5])).toBe(5);
});

it("what is unusually long follows from how far times are apart, and one wild time changes little", () => {
  expect(unusuallyLong([5])).toBe(5);
  expect(unusuallyLong([10, 12, 14])).toBe(12 + 2 * LIMITS.lateDeviations);
  expect(unusuallyLong([10, 12, 1_000_000])).toBe(12 + 2 * LIMITS.lateDeviations);
});
