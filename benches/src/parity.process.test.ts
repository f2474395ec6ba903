import { expect, test } from "vitest";
import { runBench } from "./processes/bench-run.ts";

/** Nine workers have to start, each with all of tfjs. */
const TIMEOUT_MS = 300_000;
const SMALL = ["--steps", "12", "--batch-size", "256"];

test("parity stays within its bounds", { timeout: TIMEOUT_MS }, async () => {
  const { code, stderr, report } = await runBench("parity", ...SMALL);
  expect(code, stderr).toBe(0);
  expect(report).toEqual({
    name: "parity",
    metrics: {
      splitDifferenceSgd: expect.toSatisfy((difference: number) => difference <= 1e-5),
      splitDifferenceAdam: expect.toSatisfy((difference: number) => difference <= 1e-3),
      bitIdentical: true,
      plainTfjsDifference: expect.toSatisfy((difference: number) => difference <= 1e-4),
    },
    machine: expect.objectContaining({ cores: expect.any(Number), node: process.versions.node }),
  });
});

test("parity notices learning rates 1 % off and a single flipped bit", { timeout: TIMEOUT_MS }, async () => {
  const { code, stderr, report } = await runBench("parity", "--control", ...SMALL);
  expect(code, stderr).toBe(0);
  expect(stderr).toContain("control: what was broken on purpose was noticed by every check");
  expect(report).toMatchObject({
    metrics: {
      splitDifferenceSgd: expect.toSatisfy((difference: number) => difference > 1e-5),
      splitDifferenceAdam: expect.toSatisfy((difference: number) => difference > 1e-3),
      bitIdentical: false,
      plainTfjsDifference: expect.toSatisfy((difference: number) => difference > 1e-4),
    },
  });
});
