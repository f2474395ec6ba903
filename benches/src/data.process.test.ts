import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";

const TIMEOUT_MS = 300_000;

/** The bench from source, at a size that takes seconds. */
async function data(...args: string[]) {
  const bench = path.join(import.meta.dirname, "data.ts");
  const command = ["--conditions=volary-source", bench, "--json", ...args];
  const child = spawn(process.execPath, command, { stdio: ["ignore", "pipe", "pipe"] });
  const exited = once(child, "exit") as Promise<[number | null]>;
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await exited;
  return { code, stderr, report: JSON.parse(stdout.trim().split("\n").at(-1) || "null") as unknown };
}

test("an epoch read from disk has every row once, as it was written", { timeout: TIMEOUT_MS }, async () => {
  const { code, stderr, report } = await data("--gigabytes", "0.02");
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
  const { code, stderr, report } = await data("--control", "--gigabytes", "0.1");
  expect(code, stderr).toBe(0);
  expect(stderr).toContain("control: what was broken on purpose was noticed by every check");
  expect(report).toMatchObject({ metrics: { rowsIntact: false } });
});
