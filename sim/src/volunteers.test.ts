/** Jobs with volunteers on a calm cluster, in every mode; and the checks of what volunteers were told can fail. */
import { asp, bsp, localSgd, ssp, type ConsistencySpec } from "@volary/core/consistency";
import { seededRandom } from "@volary/core/testing";
import { describe, expect, test } from "vitest";
import { calmRun } from "./calm-run.ts";
import { faultsOfBatches } from "./check-batches.ts";
import { checkRun } from "./check-run.ts";
import { faultsOfVolunteers } from "./check-volunteers.ts";
import { countingManifest } from "./counting-job.ts";
import { PLAIN_LIES, SMOOTH_LIES, type Lie } from "./lies.ts";
import { SeedModels } from "./seed-models.ts";
import type { LeafConnection } from "./simulated-volunteer.ts";
import type { VolunteersPlan } from "./volunteers-plan.ts";

const WORKERS = 2;
/** 150 rows in steps of 144, or 72 of each worker, and of what is left. */
const FIT = { batchSize: 144, epochs: 12 } as const;
const TOLERANCE = 0.05;

/** A run with three volunteers, one of whom lies, with all faults that are found in it. */
async function run(consistency: ConsistencySpec, lie: Lie | undefined) {
  const manifest = countingManifest({ workersMin: WORKERS, seed: 1, fit: { ...FIT, consistency } });
  const random = seededRandom(1);
  const models = new SeedModels({ computeMaxMs: 60, slowness: 1, isCounting: true }, random);
  const volunteer = { afterMs: 0, slowness: 0.3, busyShare: 0, lie: undefined };
  const plan: VolunteersPlan = {
    reducer: { leavesMax: 8, combine: "mean", audit: lie && (SMOOTH_LIES as readonly Lie[]).includes(lie) ? 1 : 0 },
    volunteers: [volunteer, volunteer, { ...volunteer, lie }],
    isExact: true,
    faults: { count: 0, everyMaxMs: 1 },
  };
  const openModel: Parameters<typeof calmRun>[0]["openModel"] = ({ host }) => models.ofWorker(host);
  const run = await calmRun({ manifest, workers: WORKERS, openModel, volunteers: { plan, models } });
  const { messages, volunteers, ...finished } = run;
  const faults = Object.values(await checkRun({ manifest, finished, messages, tolerance: TOLERANCE })).flat();
  if (consistency.mode !== "bsp") faults.push(...faultsOfBatches({ manifest, finished, messages }));
  faults.push(...faultsOfVolunteers({ volunteers: volunteers!.all, manifest, plan }), ...volunteers!.errors);
  return { faults, counts: volunteers!.counts };
}

const modes: readonly [string, ConsistencySpec][] = [
  ["bsp", bsp()],
  ["ssp", ssp({ stalenessSteps: 2 })],
  ["asp", asp()],
  ["local SGD", localSgd({ every: 4 })],
];

describe("volunteers", () => {
  test.each(modes)("%s: each sample counts once, whoever computed it", async (_, consistency) => {
    const { faults, counts } = await run(consistency, undefined);
    expect(faults).toEqual([]);
    expect(counts.leafAccepted).toBeGreaterThan(10);
    expect(counts).toMatchObject({ leafRefused: 0, leavesExpelled: 0 });
  });

  test.each([...PLAIN_LIES, ...SMOOTH_LIES])("a lie does not count: %s", async (lie) => {
    const { faults, counts } = await run(bsp(), lie);
    expect(faults).toEqual([]);
    expect(counts.leafRefused).toBeGreaterThan(0);
    expect(counts.leavesExpelled).toBe(1);
  });
});

describe("the check of what volunteers were told", () => {
  const manifest = countingManifest({ workersMin: 1, seed: 1 });
  const told = (of: Partial<LeafConnection>, code?: string) => {
    const connection = { begun: [1, 2], lied: new Set<number>(), accepted: [], refused: [], ...of };
    const ended = code === undefined ? undefined : { code, reason: "it differs", mayReturn: false };
    const volunteers = [{ name: "one", connections: [connection], ended }];
    return faultsOfVolunteers({ volunteers, manifest, plan: { isExact: true } });
  };
  const accepted = (task: number, step = task) => ({ task, step, samples: 16 });

  test("is content with tasks that count, and with late and lying ones that do not", () => {
    expect(told({ accepted: [accepted(1)], refused: [{ task: 2, code: "UPDATE_LATE" }] }, "SESSION_ENDED")).toEqual([]);
    expect(told({ lied: new Set([2]), refused: [{ task: 2, code: "UPDATE_NORM" }] }, "UPDATE_DIFFERS")).toEqual([]);
  });

  test.each<[string, Partial<LeafConnection>, string?]>([
    ["which it was not given", { accepted: [accepted(3)] }],
    ["twice what became of task 1", { accepted: [accepted(1)], refused: [{ task: 1, code: "UPDATE_LATE" }] }],
    ["two updates of one count in step 5", { accepted: [accepted(1, 5), accepted(2, 5)] }],
    ["a lie of one counts in step 2", { lied: new Set([2]), accepted: [accepted(2)] }],
    ["refused with UPDATE_NORM", { refused: [{ task: 1, code: "UPDATE_NORM" }] }],
    ["may not come again", {}, "UPDATE_DIFFERS"],
  ])("notices: %s", (fault, of, code) => {
    expect(told(of, code)).toEqual([expect.stringContaining(fault)]);
  });
});
