/** Whole lives of clusters: fresh ones every time, and some that are the same each time. */
import { expect, test } from "vitest";
import { runSeed } from "./run-seed.ts";
import type { SeedResult } from "./seed-result.ts";

const FIXED_SEEDS = 40;
const FRESH_SEEDS = 60;
/** Fresh seeds begin here: another number each time, unless it is given. */
const FIRST_FRESH = Number(process.env["VOLARY_FIRST_SEED"] ?? Math.floor(Date.now() / 1000) % 2 ** 31);
/** Many clusters, on a machine that may be busy. */
const TIMEOUT_MS = 600_000;

/** @throws {AssertionError} a seed breaks a promise; it says how to replay it */
async function runSeeds(first: number, count: number): Promise<SeedResult[]> {
  const runs: SeedResult[] = [];
  for (let seed = first; seed < first + count; seed++) {
    const run = await runSeed(seed);
    expect(run.faults, reportOf(run)).toEqual([]);
    runs.push(run);
  }
  return runs;
}

function reportOf({ seed, faults, trace }: SeedResult): string {
  const all = faults.map(({ checker, message }) => `${checker}: ${message}`);
  return `seed ${seed}: npm run sim -- --seeds 1 --first-seed ${seed} --trace\n${[...all, ...trace].join("\n")}`;
}

/** Counts that are 0 in all runs. */
function absentIn(runs: readonly SeedResult[]): string[] {
  const sums = new Map<string, number>();
  for (const { seed: _seed, faults: _faults, trace: _trace, ...counts } of runs)
    for (const [name, n] of Object.entries(counts)) sums.set(name, (sums.get(name) ?? 0) + n);
  return [...sums].filter(([, sum]) => sum === 0).map(([name]) => name);
}

test(
  `fresh seeds keep every promise: ${FRESH_SEEDS} from ${FIRST_FRESH} on`,
  async () => {
    console.log(`fresh seeds: npm run sim -- --seeds ${FRESH_SEEDS} --first-seed ${FIRST_FRESH}`);
    expect(await runSeeds(FIRST_FRESH, FRESH_SEEDS)).toHaveLength(FRESH_SEEDS);
  },
  TIMEOUT_MS,
);

test(
  `the first ${FIXED_SEEDS} seeds go through every fault, and keep every promise`,
  async () => {
    expect(absentIn(await runSeeds(1, FIXED_SEEDS))).toEqual([]);
  },
  TIMEOUT_MS,
);

test("one seed gives one history", async () => {
  const runs = [await runSeed(3), await runSeed(3)];
  expect(runs[0]!.trace.length).toBeGreaterThan(10);
  expect(runs[1]).toEqual(runs[0]);
});
