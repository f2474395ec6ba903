import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { text } from "node:stream/consumers";
import { expect, test } from "vitest";

/** Nine workers have to start, each with all of tfjs. */
const TIMEOUT_MS = 300_000;

/** The bench from source, at a size that takes seconds. */
async function parity(...args: string[]) {
  const bench = path.join(import.meta.dirname, "parity.ts");
  const command = ["--conditions=volary-source", bench, "--json", "--steps", "12", "--batch-size", "256", ...args];
  const child = spawn(process.execPath, command, { stdio: ["ignore", "pipe", "pipe"] });
  const exited = once(child, "exit") as Promise<[number | null]>;
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = await exited;
  return { code, stderr, report: JSON.parse(stdout.trim().split("\n").at(-1) || "null") as unknown };
}

test("parity stays within its bounds", { timeout: TIMEOUT_MS }, async () => {
  const { code, stderr, report } = await parity();
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
  const { code, stderr, report } = await parity("--control");
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
