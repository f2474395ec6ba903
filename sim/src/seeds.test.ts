/** Whole lives of clusters: fresh ones every time, and some that are the same each time. */
import { expect, test } from "vitest";
import { runSeed, type SeedResult } from "./run-seed.ts";

const FIXED_SEEDS = 40;
const FRESH_SEEDS = 60;
/** Fresh seeds begin here: another number each time, unless it is given. */
const FIRST_FRESH = Number(process.env["VOLARY_FIRST_SEED"] ?? Math.floor(Date.now() / 1000) % 2 ** 31);

function report({ seed, faults, trace }: SeedResult): string {
  const all = faults.map(({ checker, message }) => `${checker}: ${message}`);
  return `seed ${seed}: npm run sim -- --seeds 1 --first-seed ${seed} --trace\n${[...all, ...trace].join("\n")}`;
}

test(`fresh seeds keep every promise: ${FRESH_SEEDS} from ${FIRST_FRESH} on`, async () => {
  for (let seed = FIRST_FRESH; seed < FIRST_FRESH + FRESH_SEEDS; seed++) {
    const run = await runSeed(seed);
    expect(run.faults, report(run)).toEqual([]);
  }
});

test(`the first ${FIXED_SEEDS} seeds keep every promise`, async () => {
  for (let seed = 1; seed <= FIXED_SEEDS; seed++) {
    const run = await runSeed(seed);
    expect(run.faults, report(run)).toEqual([]);
  }
});

test("one seed gives one history", async () => {
  const runs = [await runSeed(3), await runSeed(3)];
  expect(runs[0]!.trace.length).toBeGreaterThan(10);
  expect(runs[1]).toEqual(runs[0]);
});
