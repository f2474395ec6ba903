import { expect, it } from "vitest";
import { StepResults } from "./step-results.ts";

it("results of steps come in their order, once all their batches are in", () => {
  const results = new StepResults({ batchesPerStep: 2 });
  const add = (step: number, samples: number) => results.add({ step, samples, lossSum: samples / 2 });
  expect(add(2, 10)).toEqual([]);
  expect(add(1, 7)).toEqual([]);
  expect(add(2, 11)).toEqual([]);
  expect(add(1, 8)).toEqual([
    { step: 1, samples: 15, lossSum: 7.5 },
    { step: 2, samples: 21, lossSum: 10.5 },
  ]);
  expect(() => add(2, 1)).toThrow("step 2 has a batch too many");
});
