/** Every mode trains the toy job to its end on a calm cluster, and to about where `bsp()` does. */
import { asp, average, bsp, localSgd, nesterov, ssp, type ConsistencySpec } from "@volary/core/consistency";
import { expect, test } from "vitest";
import { calmRun } from "./calm-run.ts";
import { toyManifest, type ToyFit } from "./toy-job.ts";

const WORKERS = 3;
/** 150 rows in steps of 16, twice. */
const STEPS = 20;

const run = (fit: ToyFit) =>
  calmRun({ manifest: toyManifest({ workersMin: WORKERS, seed: 1, fit }), workers: WORKERS, psNodes: 2, replicas: 2 });

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
  const [calm, finished] = [await run({}), await run({ consistency, validate: "epoch" })];
  const { status, commits, history } = finished;
  expect(status).toMatchObject({ phase: "done", step: STEPS, samples: 300, evaluated: 40 });
  expect(commits.map(({ step }) => step)).toEqual(Array.from({ length: STEPS }, (__, i) => i + 1));
  expect(status.batches).toMatchObject({ finished: STEPS * WORKERS });
  expect(history.validations.map(({ step }) => step)).toEqual([10, 20]);
  expect(history.epochs.map(({ samples }) => samples)).toEqual([150, 150]);
  expect(status.metrics!["mse"]).toBeLessThan(1.5 * calm.status.metrics!["mse"]!);
});
