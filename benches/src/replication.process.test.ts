import { expect, test } from "vitest";
import { runBench } from "./processes/bench-run.ts";

const TIMEOUT_MS = 300_000;
const SMALL = ["--steps", "30", "--rows", "5000", "--draws", "2000", "--rounds", "2"];

test("a step's rows travel once along a chain", { timeout: TIMEOUT_MS }, async () => {
  const { code, stderr, report } = await runBench("replication", ...SMALL);
  expect(code, stderr).toBe(0);
  expect(report).toMatchObject({
    name: "replication",
    metrics: {
      chainBytesOverIdeal: expect.toSatisfy((ratio: number) => ratio >= 0.8 && ratio <= 1.3),
      pushesVsUnreplicated: expect.toSatisfy((ratio: number) => ratio > 0),
    },
  });
});

test("one replica more than is counted, and a slow client, are noticed", { timeout: TIMEOUT_MS }, async () => {
  const { code, stderr } = await runBench("replication", "--control", ...SMALL);
  expect(code, stderr).toBe(0);
  expect(stderr).toContain("control: what was broken on purpose was noticed by every check");
});
