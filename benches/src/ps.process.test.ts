import { expect, test } from "vitest";
import { runBench } from "./processes/bench-run.ts";

const TIMEOUT_MS = 300_000;
const SMALL = ["--rows", "4000", "--draws", "2000", "--batches", "2", "--rounds", "2"];

const positive = expect.toSatisfy((value: number) => value > 0);

test("every system answers with the rows that are due", { timeout: TIMEOUT_MS }, async () => {
  const { code, stderr, report } = await runBench("ps", ...SMALL);
  expect(code, stderr).toBe(0);
  expect(report).toMatchObject({
    name: "ps",
    metrics: {
      pullRowsPerSecond: positive,
      pushRowsPerSecond: positive,
      bookkeepingBytesPerRow: positive,
      pull10MVs1M: positive,
      rowsIntact: true,
    },
    machine: { cores: positive, node: process.versions.node },
  });
});

test("a slow client, a flipped bit and a row that is not pushed are noticed", { timeout: TIMEOUT_MS }, async () => {
  const { code, stderr, report } = await runBench("ps", "--control", ...SMALL);
  expect(code, stderr).toBe(0);
  expect(stderr).toContain("control: what was broken on purpose was noticed by every check");
  expect(report).toMatchObject({ metrics: { rowsIntact: false } });
});
