import { expect, test } from "vitest";
import { parityOf, type TrialGradients } from "./parity.ts";

const VARIABLES = [
  { name: "dense_1/kernel", size: 2 },
  { name: "dense_1/bias", size: 1 },
];
const gradients = (rows: number[], dense: number[], lossSum = 4): TrialGradients => ({
  rowGrads: Float32Array.from(rows),
  denseGrads: Float32Array.from(dense),
  lossSum,
  variables: VARIABLES,
});

const right = gradients([1, -2], [4, 8, 0.5]);

test("gradients that are the same differ by nothing", () => {
  expect(parityOf(right, right)).toEqual({ difference: 0, where: "nothing" });
});

test.each([
  ["the rows", gradients([1, -2.5], [4, 8, 0.5]), 0.25],
  ["dense_1/kernel", gradients([1, -2], [3, 8, 0.5]), 0.125],
  ["dense_1/bias", gradients([1, -2], [3, 8, 0.75]), 0.5],
  ["the loss", gradients([1, -2], [4, 8, 0.5], 5), 0.25],
  ["dense_1/kernel", gradients([1, -2], [4, NaN, 0.5]), 1],
  ["the rows", gradients([1], [4, 8, 0.5]), 1],
])("parityOf() names what differs most, as a share of the tensor's largest: %s", (where, got, difference) => {
  expect(parityOf(got, right)).toEqual({ difference, where });
});

test("what should be 0 is compared with the step's largest gradient", () => {
  const flat = gradients([1, -2], [4, 8, 0]);
  expect(parityOf(gradients([1, -2], [4, 8, 4e-9]), flat).difference).toBeCloseTo(5e-4, 8);
});
