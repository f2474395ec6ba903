/**
 * Each sabotage is noticed, by the checkers that are there for it, in a seed that is well without it. Any change of the
 * code may be a change of what happens in a seed: then one of the next seeds is as good.
 */
import { SABOTAGES, type Sabotage } from "@volary/core/sabotage";
import { expect, test } from "vitest";
import { runSeed } from "./run-seed.ts";
import { CHECKERS, type Checker, type Fault } from "./seed-result.ts";

const CAUGHT: readonly (readonly [Sabotage, number, readonly Checker[]])[] = [
  ["ack-before-tail", 7, ["pushes"]],
  ["forget-identities-on-failover", 3, ["replicas"]],
  ["serve-stale-generation", 39, ["reads"]],
  ["accept-old-records", 39, ["pushes", "reads"]],
  ["drop-one-forwarded-push", 6, ["replicas", "pushes"]],
  ["evict-on-replica-alone", 20, ["replicas"]],
  ["commit-with-one-partition-unstaged", 3, ["steps", "training", "same bits"]],
  ["copy-without-forwarding", 3, ["replicas"]],
  ["switch-before-catch-up", 402, ["replicas"]],
  ["switch-before-catch-up", 1, ["liveness"]],
  ["switch-before-catch-up", 2, ["errors"]],
  ["reorder-without-hold", 69, ["replicas", "pushes"]],
  ["keep-generation", 39, ["pushes", "reads"]],
  ["ignore-staleness-bound", 42, ["staleness"]],
  ["drop-without-return", 2, ["batches", "steps"]],
  ["forget-lost-batches", 2, ["batches", "steps"]],
  ["accept-late-slot", 2, ["batches", "steps"]],
  ["forget-batch-names", 19, ["training"]],
  ["commit-round-before-all-hold", 14, ["steps"]],
  ["start-without-fence", 184, ["steps", "training"]],
  ["forget-lost-leaf", 33, ["steps", "training"]],
  ["take-late-leaf-update", 32, ["volunteers"]],
  ["believe-leaves", 1, ["training", "volunteers"]],
  ["accept-leaf-before-commit", 81, ["volunteers"]],
  ["re-lease-with-new-identity", 3, ["pushes", "reads", "own rows"]],
];

/** So many seeds are tried, from the one that is known. */
const SEEDS_MAX = 60;
/** A machine may be busy. */
const TIMEOUT_MS = 120_000;

/** Faults of seeds without any sabotage: several are noticed in the same seed. */
const faultsWithout = new Map<number, readonly Fault[]>();

/** The first seed in which these checkers notice a sabotage. */
async function seedThatNotices(sabotage: Sabotage, from: number, by: readonly Checker[]): Promise<number | undefined> {
  for (let seed = from; seed < from + SEEDS_MAX; seed++) {
    const { faults } = await runSeed(seed, { sabotages: new Set([sabotage]) });
    const found = new Set(faults.map(({ checker }) => checker));
    if (by.every((checker) => found.has(checker))) return seed;
  }
  return undefined;
}

test.each(CAUGHT)(
  "%s is noticed from seed %i on, by %j",
  async (sabotage, from, by) => {
    const seed = await seedThatNotices(sabotage, from, by);
    if (seed === undefined) throw new Error(`not noticed in seeds ${from} to ${from + SEEDS_MAX - 1}`);
    if (seed !== from) console.log(`${sabotage}: seed ${seed} notices it now, not ${from}`);
    const faults = faultsWithout.get(seed) ?? (await runSeed(seed)).faults;
    faultsWithout.set(seed, faults);
    expect(faults).toEqual([]);
  },
  TIMEOUT_MS,
);

test("every sabotage is noticed, and every checker notices one", () => {
  expect(new Set(CAUGHT.map(([sabotage]) => sabotage))).toEqual(new Set(SABOTAGES));
  expect(new Set(CAUGHT.flatMap(([, , by]) => by))).toEqual(new Set(CHECKERS));
});
