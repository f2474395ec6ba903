/**
 * What kill −9 does to a job, with real processes: a worker more or less is noticed by nobody, the last worker or a
 * parameter server ends the job, and the cluster lives on.
 */
import { epochOrder } from "@volary/core/data";
import { stepPlan } from "@volary/core/training";
import type { JobStatus } from "@volary/core/wire";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { ChildRole } from "./child-role.ts";
import { Cluster, type LocalOptions } from "./cluster.ts";
import type { Run } from "./run.ts";
import {
  CLICKS,
  clicksJob,
  STEPS_PER_EPOCH as STEPS,
  weightsOf,
  writeClicks,
  type LearntWeights,
} from "../testing/clicks.ts";
import { FaultCluster, volaryCommand } from "../testing/fault-cluster.ts";

const KILL_AFTER_STEP = 20;

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "volary-killed-"));
  await writeClicks(folder);
});
afterAll(() => rm(folder, { recursive: true }));

const job = () => clicksJob(folder);

/** A cluster that ends with the test. Deaths are what is tested, so they are no warnings. */
async function start(options: LocalOptions): Promise<Cluster> {
  const cluster = await Cluster.local({ ...options, device: "cpu", onWarning: () => {} });
  onTestFinished(() => cluster.stop());
  return cluster;
}

function kill(cluster: Cluster, name: string): void {
  process.kill(cluster.processes.find((each) => each.name === name)!.pid!, "SIGKILL");
}

/** Calls `then` once, when `KILL_AFTER_STEP` steps are committed. */
function onceUnderWay(then: () => void): (status: JobStatus) => void {
  let isDone = false;
  return ({ step }) => {
    if (isDone || step < KILL_AFTER_STEP) return;
    isDone = true;
    then();
  };
}

interface Trained {
  commits: Awaited<ReturnType<Run["commits"]>>;
  status: JobStatus;
  /** The smoothed loss that was told after each step, for most steps. */
  losses: ReadonlyMap<number, number>;
  weights: LearntWeights;
}

async function train(cluster: Cluster, onStatus: (status: JobStatus) => void = () => {}): Promise<Trained> {
  const losses = new Map<number, number>();
  const run = await cluster.train(job(), {
    onStatus: (status) => {
      if (status.loss !== null) losses.set(status.step, status.loss);
      onStatus(status);
    },
  });
  const trained = { commits: await run.commits(), status: run.status, losses, weights: await weightsOf(run) };
  run.close();
  return trained;
}

/** ‖Δ‖/‖w‖ over the rows of one table. */
function difference(of: ReadonlyMap<bigint, Float32Array>, other: ReadonlyMap<bigint, Float32Array>): number {
  let delta = 0;
  let norm = 0;
  for (const [key, row] of of) {
    const theirs = other.get(key)!;
    row.forEach((weight, d) => {
      delta += (weight - theirs[d]!) ** 2;
      norm += weight ** 2;
    });
  }
  return Math.sqrt(delta / norm);
}

/** How often each row of the epoch is in a slot of a committed step, by the plans of those steps. */
function visitsOf({ commits, terms }: Trained["commits"]): Uint8Array {
  const plan = stepPlan({ manifest: { fit: job().fit }, trainRows: CLICKS });
  const order = epochOrder({ rows: CLICKS, seed: job().seed, epoch: 0 });
  const members = new Map(terms.map((term) => [term.term, term.members]));
  const visits = new Uint8Array(CLICKS);
  for (const { step, attempt } of commits) {
    const slots = members.get(attempt)!.length;
    for (let slot = 0; slot < slots; slot++) {
      const { from, to } = plan.sliceOf({ step, slot, slots });
      for (const row of order.subarray(from, to)) visits[row]!++;
    }
  }
  return visits;
}

describe("kill −9 of one worker of three, in the middle of an epoch", () => {
  let processes: FaultCluster;
  let undisturbed: Trained;
  beforeAll(async () => {
    processes = await FaultCluster.start({ workers: 3, ps: 2, replicas: 1 });
    undisturbed = await train(processes.client);
    expect(undisturbed.commits.terms).toHaveLength(1);
    expect(undisturbed.losses.get(STEPS)).toBeLessThan(0.65); // from ln 2: there is a curve to follow
  });
  afterAll(() => processes?.stop());

  test.each([
    ["the leader", 0],
    ["another rank", 2],
  ])("costs no row of the epoch and changes no result: %s", async (_, rank) => {
    const { client: cluster } = processes;
    if ((await cluster.status()).workers.length < 3) await processes.startWorker("worker-4");
    // Ranks go by the numbers that the coordinator gave the workers.
    const workers = (await cluster.status()).workers.toSorted((a, b) => a.worker - b.worker);
    const victim = workers[rank]!;
    const { commits, status, losses, weights } = await train(
      cluster,
      onceUnderWay(() => void processes.kill(victim.name)),
    );

    const [first, last] = [commits.terms[0]!, commits.terms.at(-1)!];
    expect(first.members).toEqual(workers.map(({ worker }) => worker));
    expect(last.members).toEqual(first.members.filter((worker) => worker !== victim.worker));
    expect(status).toMatchObject({ phase: "done", step: STEPS, samples: CLICKS, workers: 2 });
    const attempts = commits.commits.map(({ attempt }) => attempt);
    expect(attempts[KILL_AFTER_STEP - 1]).toBe(first.term);
    expect(attempts.at(-1)).toBe(last.term);
    expect(attempts).toEqual(attempts.toSorted((a, b) => a - b));

    expect(commits.commits.map(({ step }) => step)).toEqual(Array.from({ length: STEPS }, (__, i) => i + 1));
    expect(visitsOf(commits)).toEqual(new Uint8Array(CLICKS).fill(1));

    // A step has the same samples in both runs, whoever computes them, and begins at the same weights; so losses
    // differ by rounding only (by 2e-8). One update lost or applied twice moves them by 1e-3.
    const both = [...losses.keys()].filter((step) => undisturbed.losses.has(step));
    expect(both.filter((step) => attempts[step - 1] === last.term).length).toBeGreaterThan(0);
    for (const step of both) {
      const expected = undisturbed.losses.get(step)!;
      expect(Math.abs(losses.get(step)! - expected) / expected, `loss after step ${step}`).toBeLessThan(1e-5);
    }

    for (const [name, rows] of undisturbed.weights) {
      expect(new Set(weights.get(name)!.keys())).toEqual(new Set(rows.keys()));
      expect(difference(rows, weights.get(name)!), name).toBeLessThan(1e-4);
    }
  });
});

test("kill −9 of the only worker ends the job, and the next one runs on a new worker", async () => {
  const cluster = await start({ workers: 1, ps: 1 });
  const ended = train(
    cluster,
    onceUnderWay(() => kill(cluster, "worker-1")),
  );
  await expect(ended).rejects.toMatchObject({
    code: "JOB_FAILED",
    message: expect.stringMatching(/job "clicks".* failed: the last worker is lost .*; run the job again/),
  });

  const args = ["--machine", "--coordinator", cluster.address, "--name", "replacement", "--device", "cpu"];
  const command = volaryCommand("worker", ...args);
  const replacement = new ChildRole({ role: "worker", name: "replacement", command });
  onTestFinished(() => replacement.stop());
  await replacement.ready();
  expect((await train(cluster)).status).toMatchObject({ phase: "done", step: STEPS, workers: 1 });
});

test("kill −9 of a parameter server ends the job with the remedy, and the next one runs on those left", async () => {
  const cluster = await start({ workers: 1, ps: 2 });
  const ended = train(
    cluster,
    onceUnderWay(() => kill(cluster, "ps-2")),
  );
  await expect(ended).rejects.toMatchObject({
    code: "JOB_FAILED",
    message: expect.stringMatching(/job "clicks".* failed: PS node ps-2 is lost .*; run the job again/),
  });
  const sameCluster = await Cluster.connect(cluster.address);
  onTestFinished(() => sameCluster.stop());
  expect((await train(sameCluster)).status).toMatchObject({ phase: "done", step: STEPS });
});
