/**
 * Workers that come and go: one is killed by kill −9, and another joins, in turns. Does each sample count once, and
 * how much is trained per worker and second, next to workers that stay?
 */
import { setTimeout as delay } from "node:timers/promises";
import path from "node:path";
import { asp, average, bsp, localSgd, ssp, type ConsistencySpec } from "@volary/core";
import { seededRandom } from "@volary/core/testing";
import type { JobStatus } from "@volary/core/wire";
import { Cluster } from "volary";
import { nodeChild, type Child } from "../processes/child.ts";
import { startCluster } from "../processes/cluster.ts";
import { ledgerJob, visitsOf, writeSamples } from "./ledger-job.ts";
import type { PacedWorkerRequest } from "./paced-worker-process.ts";

const WORKERS = 4;
const NODES = 2;
const BATCH = 64;
const STEP_MS = 100;
/** In a control, of the run with churn. */
const SLOW_STEP_MS = 250;
const STEPS_PER_EPOCH = 20;
const SEED = 13;

export const CHURN_MODES = {
  bsp: bsp(),
  ssp: ssp({ stalenessSteps: 8 }),
  asp: asp(),
  localSgd: localSgd({ every: 10, outer: average() }),
} as const satisfies Record<string, ConsistencySpec>;

export interface ChurnOptions {
  folder: string;
  /** That the run takes where nobody leaves, about. */
  seconds: number;
  /** Between two changes. */
  everySeconds: number;
  modes: readonly (keyof typeof CHURN_MODES)[];
  mode: "measure" | "control";
}

export interface Churn {
  /** Samples per worker and second with churn, over those without: the least of all modes. */
  churnRatio: number;
  /** Was each sample trained once in each epoch, with churn and without? */
  churnEachOnce: boolean;
  /** Workers that were killed, and others that joined. */
  churns: number;
}

export async function measureChurn(o: ChurnOptions): Promise<Churn> {
  const epochs = Math.max(1, Math.round((1000 * o.seconds) / STEP_MS / STEPS_PER_EPOCH));
  const file = await writeSamples(o.folder, { samples: STEPS_PER_EPOCH * BATCH });
  const all: Churn = { churnRatio: Infinity, churnEachOnce: true, churns: 0 };
  for (const name of o.modes) {
    const job = ledgerJob({ file, batchSize: BATCH, epochs, consistency: CHURN_MODES[name] });
    const isControl = o.mode === "control";
    const workers = isControl ? 2 : WORKERS;
    const calm = await runWith({ job, epochs, workers, worker: { stepMs: STEP_MS, ledger: "once" } });
    const churned = await runWith({
      job,
      epochs,
      workers,
      worker: isControl ? { stepMs: SLOW_STEP_MS, ledger: "one-twice" } : { stepMs: STEP_MS, ledger: "once" },
      everySeconds: o.everySeconds,
    });
    const ratio = churned.samplesPerWorkerSecond / calm.samplesPerWorkerSecond;
    console.error(
      `${name}: ${churned.churns} changes in ${churned.seconds.toFixed(0)} s, ${churned.workers.toFixed(2)} workers ` +
        `on average; ${ratio.toFixed(2)} of the samples per worker and second of ${calm.seconds.toFixed(0)} calm ones; ` +
        `each sample once in each epoch: ${calm.eachOnce ? "yes" : "no"}, with churn ${churned.eachOnce ? "yes" : "no"}`,
    );
    all.churnRatio = Math.min(all.churnRatio, ratio);
    all.churnEachOnce &&= calm.eachOnce && churned.eachOnce;
    all.churns += churned.churns;
  }
  return all;
}

interface Ran {
  samplesPerWorkerSecond: number;
  /** Mean over the time of training. */
  workers: number;
  seconds: number;
  churns: number;
  eachOnce: boolean;
}

/** @param o.everySeconds nobody comes or goes without it */
async function runWith(o: {
  job: ReturnType<typeof ledgerJob>;
  epochs: number;
  workers: number;
  worker: Pick<PacedWorkerRequest, "stepMs" | "ledger">;
  everySeconds?: number;
}): Promise<Ran> {
  const cluster = await startCluster({ ps: NODES });
  const workers = new Workers({ coordinator: cluster.address, sliceSamples: BATCH / o.workers, ...o.worker });
  const client = await Cluster.connect(cluster.address);
  const abort = new AbortController();
  try {
    await Promise.all(Array.from({ length: o.workers }, () => workers.join()));
    const members = new MeanMembers();
    const churning = new AbortController();
    let churns: Promise<number> | undefined;
    const run = await client.train(o.job, {
      signal: abort.signal,
      onStatus: (status) => {
        members.take(status);
        if (status.phase !== "training" || o.everySeconds === undefined) return;
        churns ??= churn({ workers, everyMs: 1000 * o.everySeconds, signal: churning.signal });
        churns.catch(() => abort.abort());
      },
    });
    churning.abort();
    const visits = await visitsOf(run);
    const { samples } = run.status;
    const seconds = run.trainSeconds;
    run.close();
    const eachOnce =
      visits.samples === STEPS_PER_EPOCH * BATCH && visits.least === o.epochs && visits.most === o.epochs;
    const mean = members.mean();
    return {
      samplesPerWorkerSecond: samples / seconds / mean,
      workers: mean,
      seconds,
      churns: (await churns) ?? 0,
      eachOnce: eachOnce && samples === visits.samples * o.epochs,
    };
  } finally {
    await workers.stop();
    await client.stop();
    await cluster.stop();
  }
}

/** Kills one and starts one, in turns, until it is told to end; resolves with the number of changes. */
async function churn(o: { workers: Workers; everyMs: number; signal: AbortSignal }): Promise<number> {
  const { workers, everyMs, signal } = o;
  const random = seededRandom(SEED);
  let changes = 0;
  for (;;) {
    await delay(everyMs, undefined, { signal }).catch(() => {});
    if (signal.aborted) return changes;
    if (changes % 2 === 0) await workers.killOne((n) => random.below(n));
    else await workers.join();
    changes++;
  }
}

/** Worker processes, of which some are dead. */
class Workers {
  readonly #request: Omit<PacedWorkerRequest, "name">;
  readonly #alive: Child[] = [];
  #started = 0;

  constructor(request: Omit<PacedWorkerRequest, "name">) {
    this.#request = request;
  }

  /** Resolves when it is of the cluster. */
  async join(): Promise<void> {
    const name = `worker-${++this.#started}`;
    const request: PacedWorkerRequest = { ...this.#request, name };
    const file = path.join(import.meta.dirname, `paced-worker-process${path.extname(import.meta.filename)}`);
    const child = nodeChild({ name, file, args: [JSON.stringify(request)] });
    this.#alive.push(child);
    await child.nextObject();
  }

  async killOne(below: (n: number) => number): Promise<void> {
    const [child] = this.#alive.splice(below(this.#alive.length), 1);
    await child!.killed();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#alive.map((child) => child.stop()));
  }
}

/** Workers that a job had as its members, over the time of its training. */
class MeanMembers {
  #workers: number | undefined;
  #sinceMs = 0;
  #trainedMs = 0;
  #memberMs = 0;

  take({ phase, workers }: JobStatus): void {
    const nowMs = performance.now();
    if (this.#workers !== undefined) {
      this.#trainedMs += nowMs - this.#sinceMs;
      this.#memberMs += this.#workers * (nowMs - this.#sinceMs);
    }
    this.#workers = phase === "training" ? workers : undefined;
    this.#sinceMs = nowMs;
  }

  mean(): number {
    return this.#memberMs / this.#trainedMs;
  }
}
