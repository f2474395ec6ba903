/**
 * Each sabotage is noticed, by the checkers that are there for it, in a seed that is well without it. Which seed that is
 * changes with what seeds draw: `npm run sim -- --sabotage all` finds others.
 */
import { SABOTAGES, type Sabotage } from "@volary/core/sabotage";
import { expect, test } from "vitest";
import { CHECKERS, runSeed, type Checker } from "./run-seed.ts";

interface Caught {
  seed: number;
  by: readonly Checker[];
}

const CAUGHT: Record<Sabotage, Caught> = {
  "ack-before-tail": { seed: 3, by: ["pushes", "reads", "own rows"] },
  "forget-identities-on-failover": { seed: 3, by: ["replicas"] },
  "serve-stale-generation": { seed: 61, by: ["reads"] },
  "accept-old-records": { seed: 56, by: ["pushes", "reads"] },
  "drop-one-forwarded-push": { seed: 3, by: ["pushes"] },
  "evict-on-replica-alone": { seed: 9, by: ["replicas"] },
  "commit-with-one-partition-unstaged": { seed: 24, by: ["steps", "training"] },
  "copy-without-forwarding": { seed: 9, by: ["replicas", "pushes"] },
  "switch-before-catch-up": { seed: 55, by: ["replicas"] },
  "reorder-without-hold": { seed: 27, by: ["replicas", "pushes", "reads", "own rows"] },
  "keep-generation": { seed: 56, by: ["pushes"] },
  "start-without-fence": { seed: 5, by: ["errors"] },
  "re-lease-with-new-identity": { seed: 9, by: ["pushes"] },
};

/** Many a cluster stands still for minutes of its own time; a machine may be busy. */
const TIMEOUT_MS = 120_000;

test.each(SABOTAGES)(
  "%s is noticed",
  async (sabotage) => {
    const { seed, by } = CAUGHT[sabotage];
    const { faults } = await runSeed(seed, { sabotages: new Set([sabotage]) });
    expect(faults.map(({ checker }) => checker)).toEqual(expect.arrayContaining([...by]));
    expect((await runSeed(seed)).faults).toEqual([]);
  },
  TIMEOUT_MS,
);

test("every checker notices one of them", () => {
  const found = Object.values(CAUGHT).flatMap(({ by }) => by);
  expect(CHECKERS.filter((checker) => !found.includes(checker))).toEqual([]);
});
