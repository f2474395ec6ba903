import { expect, test } from "vitest";
import { standardJob } from "./standard-jobs.ts";
import { trialInput, trialWeights, type TrialJob } from "./trial-job.ts";

const job = async (loss: TrialJob["compile"]["loss"], outputs: number): Promise<TrialJob> => {
  const { model, fit } = await standardJob("a deep factorization machine");
  return { samples: 4, model: { ...model, outputs }, compile: { loss }, fit: { classWeight: fit.classWeight } };
};

test("trialInput() draws the same every time, of the shapes that the job has", async () => {
  const input = trialInput(await job("binaryCrossentropy", 1), 4);
  expect(trialInput(await job("binaryCrossentropy", 1), 4)).toEqual(input);
  expect([input.rows.length, input.numbers.length, input.masks]).toEqual([4 * 24 * 16, 0, undefined]);
  expect(input.rows.every((value) => value >= -1 && value < 1)).toBe(true);
  expect(new Set(input.rows).size).toBeGreaterThan(1500);
});

test.each([
  ["binaryCrossentropy", 1, [0, 1, 0, 1]],
  ["sparseCategoricalCrossentropy", 3, [0, 1, 2, 0]],
  ["categoricalCrossentropy", 2, [1, 0, 0, 1, 1, 0, 0, 1]],
] as const)("trialInput() labels as the loss wants: %s", async (loss, outputs, label) => {
  expect([...trialInput(await job(loss, outputs), 4).label]).toEqual(label);
});

test("trialWeights() are of the size of a layer's own, and positive where they may be variances", () => {
  const weights = trialWeights([
    { shape: [100, 3], size: 300 },
    { shape: [5], size: 5 },
  ]);
  expect(weights).toHaveLength(305);
  expect(weights.subarray(0, 300).every((value) => Math.abs(value) <= 0.1)).toBe(true);
  expect(weights.subarray(300).every((value) => value > 0)).toBe(true);
});
