import { expect, test } from "vitest";
import { runBench } from "./processes/bench-run.ts";

const TIMEOUT_MS = 300_000;
/** A node takes no limit below 64 MB, and a quarter of the rows must fill it. */
const SMALL = ["--rows", "1000000", "--draws", "2000", "--rounds", "1", "--gigabytes", "0.1"];
const LIMITED = ["--memory-max-megabytes", "64"];

test("rows are right in memory and on disk, and refusals help", { timeout: TIMEOUT_MS }, async () => {
  const { code, stderr, report } = await runBench("memory", "--minutes", "0.05", ...SMALL, ...LIMITED);
  expect(code, stderr).toBe(0);
  expect(report).toMatchObject({
    name: "memory",
    metrics: {
      largeIntact: true,
      spillIntact: true,
      pushesRefused: expect.toSatisfy((pushes: number) => pushes > 0),
      refusalsNameRemedies: true,
      servedThroughout: true,
    },
  });
});

test("a limit that is not kept, slow and wrong rows are noticed", { timeout: TIMEOUT_MS }, async () => {
  const { code, stderr } = await runBench("memory", "--control", "--minutes", "0", ...SMALL, ...LIMITED);
  expect(code, stderr).toBe(0);
  expect(stderr).toContain("control: what was broken on purpose was noticed by every check");
});
