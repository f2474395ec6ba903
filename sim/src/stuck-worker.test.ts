/** A worker that is there and says so, whose model never comes back: no mode waits for it for ever. */
import { asp, bsp, consistencyOf, localSgd, ssp, type ConsistencySpec } from "@volary/core/consistency";
import { LIMITS } from "@volary/core/limits";
import type { SimulatedHost } from "@volary/core/testing";
import type { GradientModel } from "@volary/core/training";
import { describe, expect, test } from "vitest";
import { calmRun } from "./calm-run.ts";
import { faultsOfBatches } from "./check-batches.ts";
import { checkRun } from "./check-run.ts";
import { faultsOfStaleness } from "./check-staleness.ts";
import { countingManifest, countingModel } from "./counting-job.ts";
import { toyManifest, toyModel } from "./toy-job.ts";

const WORKERS = 3;
const STUCK = "worker-1";
/** 150 rows in steps of 16, the last one of 6: so many of all workers, four times. */
const STEPS = 40;

interface Stuck {
  consistency: ConsistencySpec;
  /** The batch at which it gets stuck: the how manieth of its own, from 1. */
  at: number;
  /** How long for. */
  ms: number;
}

/** A run in which every batch takes 200 ms but one, of one worker. */
async function run({ consistency, at, ms }: Stuck) {
  const isAtOnce = consistencyOf(consistency).gradients === "at-once";
  const fit = { consistency, epochs: 4, validate: "epoch" } as const;
  const manifest = (isAtOnce ? countingManifest : toyManifest)({ workersMin: WORKERS, seed: 1, fit });
  let steps = 0;
  const openModel = ({ host }: { host: SimulatedHost }): GradientModel => {
    const model = isAtOnce ? countingModel() : toyModel();
    return {
      ...model,
      step: async (input) => {
        if (host.name === STUCK) steps++;
        const isStuck = host.name === STUCK && steps === at;
        if (isStuck && ms === Infinity) await new Promise(() => {});
        await new Promise<void>((resolve) => void host.clock.after(isStuck ? ms : 200, resolve));
        return model.step(input);
      },
    };
  };
  const { messages, ...finished } = await calmRun({ manifest, workers: WORKERS, openModel });
  const faults = [
    ...Object.values(await checkRun({ manifest, finished, messages })).flat(),
    ...faultsOfBatches({ manifest, finished, messages }),
    ...(consistency.mode === "ssp" ? faultsOfStaleness(messages, consistency.stalenessSteps) : []),
  ];
  return { finished, faults };
}

const modes: readonly [string, ConsistencySpec][] = [
  ["a quorum of all", bsp({ quorum: 1 })],
  ["a quorum of most", bsp({ quorum: 0.6 })],
  ["ssp", ssp({ stalenessSteps: 2 })],
  ["ssp without slack", ssp({ stalenessSteps: 0 })],
  ["asp", asp()],
  ["local SGD", localSgd({ every: 4 })],
  ["rounds by time", localSgd({ every: { seconds: 2 } })],
];

describe.each(modes)("%s", (_, consistency) => {
  test.each([1, 12])("trains every batch once where a worker is stuck for good from its batch %i on", async (at) => {
    const { finished, faults } = await run({ consistency, at, ms: Infinity });
    expect(faults).toEqual([]);
    expect(finished.status).toMatchObject({ phase: "done", step: STEPS, samples: 600 });
  });

  test.each([5_000, LIMITS.leftOutMsMin + LIMITS.leftOutMs])("and takes it up again after %i ms", async (ms) => {
    const { finished, faults } = await run({ consistency, at: 12, ms });
    expect(faults).toEqual([]);
    expect(finished.status).toMatchObject({ phase: "done", step: STEPS, samples: 600 });
  });
});

test("ssp gives a stuck worker's batches to others, as asp does, and stays within its bound", async () => {
  const { finished } = await run({ consistency: ssp({ stalenessSteps: 1 }), at: 12, ms: Infinity });
  expect(finished.terms).toHaveLength(1);
  expect(finished.status.batches).toMatchObject({ stalenessMax: 1, repeated: 2 });
});

test.each([
  ["a quorum of all", bsp({ quorum: 1 })],
  ["local SGD", localSgd({ every: 4 })],
])("%s leaves it out for a while, as bsp does", async (_, consistency) => {
  const { finished } = await run({ consistency, at: 12, ms: Infinity });
  expect(finished.terms.slice(0, 2).map(({ members }) => members)).toEqual([
    [1, 2, 3],
    [1, 3],
  ]);
});

test.each([
  ["bsp", bsp()],
  ["asp", asp()],
])("%s: held-out rows are evaluated by others where a worker is stuck with them", async (_, consistency) => {
  const fit = { consistency, epochs: 2, validate: "epoch" } as const;
  const manifest = toyManifest({ workersMin: WORKERS, seed: 1, fit });
  let predictions = 0;
  const openModel = (): GradientModel => {
    const model = toyModel();
    const predict: GradientModel["predict"] = async (at) => {
      if (predictions++ === 0) await new Promise(() => {});
      return model.predict(at);
    };
    return { ...model, predict };
  };
  const { messages, ...finished } = await calmRun({ manifest, workers: WORKERS, openModel });
  expect(Object.values(await checkRun({ manifest, finished, messages })).flat()).toEqual([]);
  expect(finished.status).toMatchObject({ phase: "done", evaluated: 40 });
  expect(finished.history.validations.map(({ step }) => step)).toEqual([10, 20]);
  expect(predictions).toBe(3);
});
