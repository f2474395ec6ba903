import { expect, it } from "vitest";
import { sampleWeights } from "./sample-weights.ts";

const weightsOf = (o: Parameters<typeof sampleWeights>[0]) => sampleWeights(o) && [...sampleWeights(o)!];

it("are those of the data where there are no class weights", () => {
  const weight = Float32Array.of(2, 0);
  const label = Float32Array.of(1, 1);
  expect(sampleWeights({ label, labelWidth: 1 })).toBeUndefined();
  expect(sampleWeights({ label, labelWidth: 1, weight })).toBe(weight);
});

it("are multiplied by the weight of the label's class; a class without one weighs 1", () => {
  const classWeight = { 0: 0.5, 2: 3 };
  const label = Float32Array.of(0, 1, 2);
  expect(weightsOf({ label, labelWidth: 1, classWeight })).toEqual([0.5, 1, 3]);
  expect(weightsOf({ label, labelWidth: 1, classWeight, weight: Float32Array.of(2, 2, 0) })).toEqual([1, 2, 0]);
  const oneHot = Float32Array.of(0, 0, 1, 1, 0, 0, 0, 1, 0);
  expect(weightsOf({ label: oneHot, labelWidth: 3, classWeight })).toEqual([3, 0.5, 1]);
});
