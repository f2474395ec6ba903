import { expect, it } from "vitest";
import { LIMITS } from "@volary/core/limits";
import { Clocks } from "./clocks.ts";
import { Lateness } from "./lateness.ts";
import { StepResults } from "./step-results.ts";

it("clocks know the slowest, and how far ahead anyone began", () => {
  const clocks = new Clocks();
  expect(clocks.slowest).toBe(0);
  clocks.join(1);
  clocks.join(2);
  for (let times = 0; times < 3; times++) {
    clocks.begin(1);
    clocks.finish(1);
  }
  expect([clocks.begunBy(1), clocks.slowest, clocks.stalenessMax]).toEqual([3, 0, 2]);
  clocks.leave(2);
  expect(clocks.slowest).toBe(3);
  clocks.join(3);
  expect([clocks.begunBy(3), clocks.slowest]).toEqual([3, 3]);
  clocks.join(1); // it is here already
  clocks.begin(1);
  clocks.level();
  expect([clocks.begunBy(1), clocks.begunBy(3), clocks.slowest]).toEqual([4, 4, 4]);
  clocks.finish(1); // of a batch that did not count any more
  expect(clocks.slowest).toBe(4);
});

it("a batch is late by what the newest took, and not before there are any", () => {
  const lateness = new Lateness();
  expect(lateness.deadlineMs).toBe(Infinity);
  lateness.note(10);
  expect(lateness.deadlineMs).toBe(LIMITS.lateMsMin);
  for (const ms of [4000, 5000, 6000]) lateness.note(ms);
  expect(lateness.deadlineMs).toBe(4500 + 1000 * LIMITS.lateDeviations);
  for (let times = 0; times < 64; times++) lateness.note(9000);
  expect(lateness.deadlineMs).toBe(9000);
});

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
