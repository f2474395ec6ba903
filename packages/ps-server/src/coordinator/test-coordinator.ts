/** A coordinator by its messages, for tests: who was told what, with a clock that the test moves. */
import { expect } from "vitest";
import type { JobManifest } from "@volary/core/job";
import { LIMITS } from "@volary/core/limits";
import { newMetrics } from "@volary/core/metrics";
import type { PartitionMap } from "@volary/core/partition";
import type { Control, ControlOf, ControlType, JobStatus } from "@volary/core/wire";
import { Coordinator, type CoordinatorOptions } from "./coordinator.ts";
import type { CoordinatorEffect } from "./effects.ts";

export const MANIFEST: JobManifest = {
  name: "flights",
  seed: 1,
  model: { topology: {}, embeddings: [], numbers: [], variables: [], outputs: 1 },
  tables: [],
  data: {
    format: { kind: "parquet" },
    files: [{ kind: "file", path: "x" }],
    badRowsMax: 0,
    fields: {},
    label: { kind: "column", column: "y" },
  },
  compile: { optimizer: { kind: "sgd", learningRate: 0.1 }, loss: "meanSquaredError", metrics: ["mse"] },
  fit: { epochs: 1, batchSize: 10, consistency: { mode: "bsp" }, shuffle: true, validate: "end" },
  workersMin: 2,
};
export const DATA = { trainRows: 1000, testRows: 40_000, fingerprint: "same" };

/** A coordinator and what each of its links was told since it was last asked. */
export class Cluster {
  now = 0;
  readonly saves: [string, unknown][] = [];
  readonly logs: string[] = [];
  readonly closed = new Map<number, string>();
  readonly coordinator: Coordinator;
  readonly #told = new Map<number, Control[]>();
  #nextLink = 1;

  constructor(options: CoordinatorOptions = {}) {
    this.coordinator = new Coordinator({ partitionsLog2: 2, ...options });
  }

  get map(): PartitionMap {
    return this.coordinator.map!;
  }

  link(): number {
    return this.#nextLink++;
  }

  say(link: number, control: Control): void {
    this.#carryOut(this.coordinator.handleControl(link, control, this.now));
  }

  close(link: number): void {
    this.#carryOut(this.coordinator.handleClose(link, this.now));
  }

  tick(ms: number): void {
    this.now += ms;
    this.#carryOut(this.coordinator.tick(this.now));
  }

  /** The first message of a type that a link was told and that was not taken yet. */
  told<T extends ControlType>(link: number, type: T): ControlOf<T> {
    const found = this.tellings(link).findIndex((control) => control.type === type);
    expect(found, `link ${link} was told ${JSON.stringify(this.tellings(link))}, no ${type}`).toBeGreaterThan(-1);
    return this.tellings(link).splice(found, 1)[0] as ControlOf<T>;
  }

  types(link: number): ControlType[] {
    return this.tellings(link).map(({ type }) => type);
  }

  tellings(link: number): Control[] {
    if (!this.#told.has(link)) this.#told.set(link, []);
    return this.#told.get(link)!;
  }

  forget(): void {
    this.#told.clear();
  }

  /** @param node the number it had, if it kept its rows */
  ps(name: string, node?: number): number {
    const link = this.link();
    this.say(link, { type: "ps-join", name, address: `ws://${name}:1`, ...(node === undefined ? {} : { node }) });
    return link;
  }

  /** What another coordinator finds in the store. */
  get records(): Map<string, unknown> {
    const records = new Map(structuredClone(this.saves));
    for (const [key, value] of records) if (value === undefined) records.delete(key);
    return records;
  }

  worker(name: string): { link: number; worker: number } {
    const link = this.link();
    this.say(link, { type: "worker-join", name, address: `ws://${name}:1`, backend: "cpu" });
    return { link, worker: this.told(link, "worker-joined").worker };
  }

  /** Submits a job, lets every PS node open it, and runs it. */
  run(nodes: readonly number[], manifest = MANIFEST): { client: number; job: number } {
    const client = this.link();
    this.say(client, { type: "submit", manifest });
    const { job } = this.told(nodes[0]!, "open-job");
    for (const node of nodes) this.say(node, { type: "job-opened", job });
    this.told(client, "submitted");
    this.say(client, { type: "watch", job });
    this.say(client, { type: "run-job", job });
    return { client, job };
  }

  ready(link: number, job: number, data = DATA): void {
    this.told(link, "assign");
    this.say(link, { type: "ready", job, ...data });
  }

  /** What a client was last told of its job. */
  status(client: number): JobStatus {
    this.tick(LIMITS.newsEveryMs);
    const all = this.tellings(client).filter((control) => control.type === "job-status");
    return all.at(-1)!.status;
  }

  #carryOut(effects: readonly CoordinatorEffect[]): void {
    for (const effect of effects) {
      if (effect.kind === "control") this.tellings(effect.link).push(effect.control);
      else if (effect.kind === "save") this.saves.push([effect.key, effect.value]);
      else if (effect.kind === "close") this.closed.set(effect.link, effect.reason);
      else this.logs.push(effect.message);
    }
  }
}

/** Two PS nodes or more, two workers, one job in training. */
export function training(options: CoordinatorOptions = {}, nodeCount = 2) {
  const c = new Cluster(options);
  const nodes = Array.from({ length: nodeCount }, (_, i) => c.ps(`ps-${i + 1}`));
  const [a, b] = [c.worker("a"), c.worker("b")];
  const { client, job } = c.run(nodes);
  c.ready(a.link, job);
  c.ready(b.link, job);
  return { c, nodes, a, b, client, job };
}

export function evaluating(cluster = training()) {
  const { c, a, b, job } = cluster;
  for (let step = 1; step <= 100; step++) commit(c, a.link, job, step);
  c.say(a.link, { type: "trained", job, term: 1, step: 100 });
  c.told(a.link, "evaluate");
  c.told(b.link, "evaluate");
  return cluster;
}

export function commit(c: Cluster, link: number, job: number, step: number, attempt = 1): void {
  c.say(link, { type: "progress", job, term: attempt, commits: [{ step, attempt, samples: 10, lossSum: 5 }] });
}

/** A state of `samples` predictions that are all off by `error`. */
export function metricsOf(samples: number, error = 1) {
  const metrics = newMetrics(MANIFEST);
  const scores = new Float32Array(samples).fill(error);
  metrics.update({ samples, labels: new Float32Array(samples), labelWidth: 1, scores, outputs: 1 });
  return metrics.toJSON();
}
