import { expect, test } from "vitest";
import { runBench } from "./processes/bench-run.ts";

const TIMEOUT_MS = 300_000;

test("an epoch read from disk has every row once, as it was written", { timeout: TIMEOUT_MS }, async () => {
  const { code, stderr, report } = await runBench("data", "--gigabytes", "0.02");
  expect(code, stderr).toBe(0);
  const positive = expect.toSatisfy((value: number) => value > 0);
  expect(report).toEqual({
    name: "data",
    metrics: {
      csvMegabytesPerSecond: positive,
      csvMegabytesPerCpuSecond: positive,
      csvOpenMegabytesPerSecond: positive,
      csvInMemoryMegabytesPerSecond: positive,
      csvParseMegabytesPerSecond: positive,
      udsvMegabytesPerSecond: positive,
      parquetValuesPerSecond: positive,
      rssGrowthMegabytes: positive,
      rowsIntact: true,
    },
    machine: expect.objectContaining({ cores: expect.any(Number), node: process.versions.node }),
  });
});

test("a row at a time, the file in memory and a changed digit are noticed", { timeout: TIMEOUT_MS }, async () => {
  const { code, stderr, report } = await runBench("data", "--control", "--gigabytes", "0.1");
  expect(code, stderr).toBe(0);
  expect(stderr).toContain("control: what was broken on purpose was noticed by every check");
  expect(report).toMatchObject({ metrics: { rowsIntact: false } });
});
