import { expect, test } from "vitest";
import { runBench } from "./processes/bench-run.ts";

const TIMEOUT_MS = 300_000;

test("a careful worker exchanges less and learns the same", { timeout: TIMEOUT_MS }, async () => {
  const { code, stderr, report } = await runBench("traffic", "--steps", "2");
  expect(code, stderr).toBe(0);
  expect(report).toMatchObject({
    name: "traffic",
    metrics: {
      ratio: expect.toSatisfy((ratio: number) => ratio < 0.5),
      lossDifference: expect.toSatisfy((difference: number) => difference <= 0.005),
    },
  });
});

test(
  "as many bytes as a careless worker's, and rows that do not learn, are noticed",
  { timeout: TIMEOUT_MS },
  async () => {
    const { code, stderr } = await runBench("traffic", "--control", "--steps", "4");
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("control: what was broken on purpose was noticed by every check");
  },
);
