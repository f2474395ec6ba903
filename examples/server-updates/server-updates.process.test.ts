/** The README's command and what it says it prints; the updates by themselves. */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import type { ServerUpdate } from "@volary/core/optimizer";
import { clippedSgd, count, max, sum } from "./updates.ts";

const ROOT = path.join(import.meta.dirname, "../..");
const readme = await readFile(path.join(import.meta.dirname, "README.md"), "utf8");
const block = (kind: string): string => new RegExp(`^\`\`\`${kind}\n([\\s\\S]*?)^\`\`\``, "m").exec(readme)![1]!;

/** A row after pushes. */
function after(update: ServerUpdate, weights: number[], pushes: number[][], options = {}): number[] {
  const dim = weights.length;
  const row = {
    weights: Float32Array.from(weights),
    state: new Float32Array(update.stateWidth(dim)),
    options: { ...update.options, ...options },
  };
  for (const [i, push] of pushes.entries())
    update.update({ ...row, gradient: Float32Array.from(push), updates: i + 1 });
  return [...row.weights];
}

test("the README's command prints what the README says", async () => {
  const [npm, verb, script, dashes, ...args] = block("sh").trim().split(" ");
  expect([npm, verb, script, dashes]).toEqual(["npm", "run", "node", "--"]);
  const { stdout } = await promisify(execFile)(process.execPath, ["--conditions=volary-source", ...args], {
    cwd: ROOT,
  });
  expect(stdout).toBe(block("text"));
}, 120_000);

test("the README shows an update as it stands in the file", async () => {
  const file = await readFile(path.join(import.meta.dirname, "updates.ts"), "utf8");
  const [imported, ...shown] = block("ts").trim().split("\n\n");
  for (const part of [imported!, ...shown]) expect(file).toContain(part);
});

test("count counts pushes, sum adds them, max keeps the greatest", () => {
  const pushes = [
    [1, 0, -2],
    [5, 0, 0],
  ];
  expect(after(count, [0, 0, 7], pushes)).toEqual([2, 0, 8]);
  expect(after(sum, [0, 0, 7], pushes)).toEqual([6, 0, 5]);
  expect(after(max, [0, -1, 7], pushes)).toEqual([5, 0, 7]);
});

test("clipped SGD takes the direction of a long gradient, short ones as they are, and keeps its momentum", () => {
  const options = { learningRate: 1, length: 5, momentum: 0.5 };
  expect(after(clippedSgd, [0, 0], [[30, 40]], options)).toEqual([-3, -4]);
  expect(
    after(
      clippedSgd,
      [0, 0],
      [
        [0, 1],
        [0, 0],
      ],
      options,
    ),
  ).toEqual([0, -1.5]);
});
