import { expect, test } from "vitest";
import { runBench } from "./processes/bench-run.ts";

const TIMEOUT_MS = 300_000;
const SMALL = ["--seconds", "3", "--seeds", "1", "--flights", "2560", "--churn-seconds", "2", "--churn-every", "2"];

test(
  "modes by another name, gradients that count twice and other learning rates are noticed",
  { timeout: TIMEOUT_MS },
  async () => {
    const { code, stderr } = await runBench("modes", "--control", ...SMALL, "--churn-mode", "bsp");
    expect(code, stderr).toBe(0);
    expect(stderr).toContain("control: what was broken on purpose was noticed by every check");
  },
);

test(
  "a part of the dense state learns as the whole does, in a quarter of the memory; rounds take few bytes",
  { timeout: TIMEOUT_MS },
  async () => {
    const { code, stderr, report } = await runBench("modes", "--part", "sharded", "--part", "bytes");
    expect(code, stderr).toBe(0);
    expect(report).toMatchObject({
      name: "modes",
      metrics: {
        localSgdDenseBytesRatio: expect.toSatisfy((ratio: number) => ratio <= 0.01),
        shardedMemoryRatio: expect.toSatisfy((ratio: number) => ratio <= 0.3),
        shardedDifference: expect.toSatisfy((difference: number) => difference <= 1e-6),
      },
    });
  },
);
