import { expect, test } from "vitest";
import { runBench } from "./processes/bench-run.ts";

const TIMEOUT_MS = 300_000;
/** On as many nodes, so that one that comes back has only to copy, and no rows move. */
const REPLICAS = ["--replicas", "3"];

test("a killed node costs no push, no pull and no bit of a training", { timeout: TIMEOUT_MS }, async () => {
  const { code, stderr, report } = await runBench("failover", "--kills", "2", ...REPLICAS);
  expect(code, stderr).toBe(0);
  expect(report).toMatchObject({
    name: "failover",
    metrics: { kills: 2, lost: 0, doubled: 0, unresolved: 0, failedPulls: 0, rowsIntact: true, bitIdentical: true },
  });
});

test("nodes that hang, miscounted pushes and a flipped bit are noticed", { timeout: TIMEOUT_MS }, async () => {
  const { code, stderr } = await runBench("failover", "--control", "--kills", "1", ...REPLICAS);
  expect(code, stderr).toBe(0);
  expect(stderr).toContain("control: what was broken on purpose was noticed by every check");
});
