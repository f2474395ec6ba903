import { expect, test } from "vitest";
import { runBench } from "./processes/bench-run.ts";

const TIMEOUT_MS = 300_000;
const SMALL = ["--tables", "3", "--rows", "2000", "--rounds", "1", "--steps", "12"];

const positive = expect.toSatisfy((value: number) => value > 0);

test("tfjs and a cluster learn the same from the same batches", { timeout: TIMEOUT_MS }, async () => {
  const { code, stderr, report } = await runBench("sparse-vs-tfjs", ...SMALL);
  expect(code, stderr).toBe(0);
  expect(report).toMatchObject({
    name: "sparse-vs-tfjs",
    metrics: { speedup: positive, lossDifference: expect.toSatisfy((difference: number) => difference <= 1e-5) },
  });
});

test("tiny tables and another learning rate are noticed", { timeout: TIMEOUT_MS }, async () => {
  const { code, stderr } = await runBench("sparse-vs-tfjs", "--control", ...SMALL);
  expect(code, stderr).toBe(0);
  expect(stderr).toContain("control: what was broken on purpose was noticed by every check");
});
