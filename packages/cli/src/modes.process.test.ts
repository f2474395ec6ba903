/**
 * What training in each mode whose batches the coordinator gives out notices of kill −9, with real processes: of a worker,
 * of a PS node that has replicas, and of the last worker that began the job, once another one has come.
 */
import { asp, bsp, localSgd, ssp } from "@volary/core";
import type { ConsistencySpec } from "@volary/core/consistency";
import type { JobStatus } from "@volary/core/wire";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { BATCH, CLICKS, clicksJob, STEPS_PER_EPOCH, writeClicks } from "./testing/clicks.ts";
import { FaultCluster } from "./testing/fault-cluster.ts";

/** More than there is time for: training ends once all faults are made. */
const EPOCHS = 50;
const WORKERS = 2;
/** Each with a replica of all rows: one that comes back takes them at once. */
const PS = 3;
/** Steps that a newcomer trains beside an old member before that is killed; rounds where it must be given weights. */
const STEPS_TOGETHER = 10;
const ROUNDS_TOGETHER = 3;
/** Steps after the last fault. */
const STEPS_ALONE = 10;
/** Batches that may be finished of steps that are not. */
const BATCHES_AHEAD = 8;

let folder = "";
let cluster: FaultCluster;
const workers = ["worker-1", "worker-2"];
let newest = WORKERS;

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "volary-modes-"));
  await writeClicks(folder);
  cluster = await FaultCluster.start({ ps: PS, workers: WORKERS, replicas: PS });
});
afterAll(async () => {
  await cluster.stop();
  await rm(folder, { recursive: true });
});

async function startWorker(): Promise<void> {
  const name = `worker-${++newest}`;
  workers.push(name);
  await cluster.startWorker(name);
}

async function killOldestWorker(): Promise<void> {
  await cluster.kill(workers.shift()!);
}

/** Of the first steps of a job. */
function samplesOf(steps: number): number {
  const epochs = Math.floor(steps / STEPS_PER_EPOCH);
  return epochs * CLICKS + (steps % STEPS_PER_EPOCH) * BATCH;
}

/** Makes its faults one after another, each when its time has come. */
class Faults {
  readonly #faults: { when: (status: JobStatus) => boolean; run: () => Promise<void> }[];
  #made: Promise<void> = Promise.resolve();
  #isBusy = false;

  constructor(faults: { when: (status: JobStatus) => boolean; run: () => Promise<void> }[]) {
    this.#faults = faults;
  }

  look(status: JobStatus): void {
    if (this.#isBusy || !this.#faults[0]?.when(status)) return;
    const { run } = this.#faults.shift()!;
    this.#isBusy = true;
    this.#made = this.#made.then(run).finally(() => (this.#isBusy = false));
  }

  /** Are all made? */
  get areMade(): boolean {
    return this.#faults.length === 0 && !this.#isBusy;
  }

  /** Resolves once those that were begun are made. */
  async end(): Promise<void> {
    await this.#made;
  }
}

test.each<[string, ConsistencySpec]>([
  ["asp", asp()],
  ["ssp", ssp({ stalenessSteps: 3 })],
  ["a quorum", bsp({ quorum: 0.5 })],
  ["local SGD", localSgd({ every: 2 })],
])("all batches are finished once, by whoever is left: %s", async (_, consistency) => {
  while (workers.length < WORKERS) await startWorker();
  await cluster.untilWhole({ nodes: PS });
  const [first, second] = [...workers];
  let joined: { step: number; rounds: number } | undefined;
  const faults = new Faults([
    { when: ({ step }) => step >= 5, run: killOldestWorker },
    { when: ({ step }) => step >= 15, run: () => cluster.kill("ps-2") },
    { when: ({ step }) => step >= 20, run: startWorker },
    {
      when: ({ step, workers: members, batches }) => {
        if (members === WORKERS) joined ??= { step, rounds: batches!.rounds };
        if (!joined || step < joined.step + STEPS_TOGETHER) return false;
        return batches!.rounds === 0 || batches!.rounds >= joined.rounds + ROUNDS_TOGETHER;
      },
      run: killOldestWorker,
    },
  ]);
  let [seen, endAt] = [0, Infinity];
  const { fit, ...job } = clicksJob(folder, { epochs: EPOCHS });
  const run = await cluster.client.train(
    { ...job, fit: { ...fit, consistency } },
    {
      workersMin: WORKERS,
      onStatus: (status) => {
        seen = status.step;
        faults.look(status);
        if (faults.areMade) endAt = Math.min(endAt, status.step + STEPS_ALONE);
      },
      callbacks: { onBatchEnd: () => ({ stopTraining: seen >= endAt }) },
    },
  );
  const { status } = run;
  run.close();
  await faults.end();
  await cluster.startPs("ps-2");

  expect(faults.areMade).toBe(true);
  expect(workers).not.toContain(first);
  expect(workers).not.toContain(second);
  const { step, batches } = status;
  expect(status).toMatchObject({ phase: "done", workers: 1, samples: samplesOf(step) });
  expect(batches!.finished).toBeGreaterThanOrEqual(WORKERS * step);
  expect(batches!.finished).toBeLessThan(WORKERS * step + BATCHES_AHEAD);
  expect(batches!.repeated).toBeGreaterThan(0);
  expect(status.loss).toBeLessThan(Math.LN2); // where it began
});
