/** Every mode trains the toy job to its end on a calm cluster, and to about where `bsp()` does. */
import {
  asp,
  average,
  bsp,
  consistencyOf,
  localSgd,
  nesterov,
  ssp,
  type ConsistencySpec,
} from "@volary/core/consistency";
import type { JobManifest } from "@volary/core/job";
import type { GradientModel } from "@volary/core/training";
import { expect, test } from "vitest";
import { calmRun } from "./calm-run.ts";
import { faultsOfBatches } from "./check-batches.ts";
import { checkRun } from "./check-run.ts";
import { faultsOfStaleness } from "./check-staleness.ts";
import { countingManifest, countingModel } from "./counting-job.ts";
import { toyManifest, toyModel, type ToyFit } from "./toy-job.ts";

const WORKERS = 3;
/** 150 rows in steps of 16, twice. */
const STEPS = 20;

/** Trains a job, and looks for faults with all that the coordinator said. */
async function run(manifest: JobManifest, openModel: () => GradientModel = () => toyModel()) {
  const { messages, ...finished } = await calmRun({ manifest, openModel, workers: WORKERS, psNodes: 2, replicas: 2 });
  const { work } = consistencyOf(manifest.fit.consistency);
  const faults = [
    ...Object.values(await checkRun({ manifest, finished, messages })).flat(),
    ...(work === "batches" ? faultsOfBatches({ manifest, finished, messages }) : []),
  ];
  return { finished, messages, faults };
}

const toy = (fit: ToyFit) => toyManifest({ workersMin: WORKERS, seed: 1, fit });
const counting = (fit: ToyFit) => countingManifest({ workersMin: WORKERS, seed: 1, fit });

const modes: readonly [string, ConsistencySpec][] = [
  ["a quorum of all", bsp({ quorum: 1 })],
  ["a quorum of half", bsp({ quorum: 0.5 })],
  ["ssp", ssp({ stalenessSteps: 2 })],
  ["ssp without slack", ssp({ stalenessSteps: 0 })],
  ["asp", asp()],
  ["local SGD", localSgd({ every: 4 })],
  ["local SGD in int8", localSgd({ every: 3, outer: average(), compression: "int8" })],
  ["DiLoCo", localSgd({ every: 3, outer: nesterov(0.7, 0.5), compression: "bfloat16" })],
  ["rounds by time", localSgd({ every: { seconds: 0.05 } })],
];

test.each(modes)("%s", async (_, consistency) => {
  const calm = await run(toy({}));
  const { finished, faults } = await run(toy({ consistency, validate: "epoch" }));
  const { status, commits, history } = finished;
  expect(faults).toEqual([]);
  expect(status).toMatchObject({ phase: "done", step: STEPS, samples: 300, evaluated: 40 });
  expect(commits.map(({ step }) => step)).toEqual(Array.from({ length: STEPS }, (__, i) => i + 1));
  expect(status.batches).toMatchObject({ finished: STEPS * WORKERS });
  expect(history.validations.map(({ step }) => step)).toEqual([10, 20]);
  expect(history.epochs.map(({ samples }) => samples)).toEqual([150, 150]);
  expect(status.metrics!["mse"]).toBeLessThan(1.5 * calm.finished.status.metrics!["mse"]!);
});

test.each(modes.filter(([, spec]) => consistencyOf(spec).gradients === "at-once"))(
  "%s: each batch is in the rows once, and no worker runs too far ahead",
  async (_, consistency) => {
    const { messages, faults } = await run(counting({ consistency, validate: { everySteps: 3 } }), countingModel);
    expect(faults).toEqual([]);
    if (consistency.mode === "ssp") expect(faultsOfStaleness(messages, consistency.stalenessSteps)).toEqual([]);
  },
);
