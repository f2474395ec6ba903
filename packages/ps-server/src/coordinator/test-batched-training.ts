/**
 * A coordinator with workers and PS nodes that do as theirs would, for tests of jobs whose batches it gives out: which
 * batches were applied, in which committed step or round. The test says who does something next.
 */
import type { JobManifest } from "@volary/core/job";
import type { Sabotages } from "@volary/core/sabotage";
import { batchesPerStep, samplesOfBatch, stepPlan, type StepPlan } from "@volary/core/training";
import type { Control, ControlOf, JobStatus } from "@volary/core/wire";
import { Cluster, MANIFEST, metricsOf } from "./test-coordinator.ts";

export interface ModelWorker {
  readonly link: number;
  readonly worker: number;
  /** What it was given and has not done, oldest first. */
  given: ControlOf<"batch">[];
  term: ControlOf<"term"> | undefined;
  done: number;
  /** Was it told to leave the job? It comes back once it is given that anew. */
  isOut: boolean;
  /** Rounds it has the dense weights of, and what it trained since. */
  round: number;
  since: number[];
}

interface ModelPartition {
  attempt: number;
  committed: { step: number; attempt: number };
  readonly slots: Map<number, number>;
  staged: number[] | undefined;
  /** Batches of each committed step. */
  readonly steps: number[][];
}

export interface BatchedOptions {
  fit?: Partial<JobManifest["fit"]>;
  workersMin?: number;
  nodes?: number;
  replicas?: number;
  trainRows?: number;
  testRows?: number;
  sabotages?: Sabotages;
}

export class BatchedCluster {
  readonly c: Cluster;
  readonly manifest: JobManifest;
  readonly plan: StepPlan;
  readonly job: number;
  readonly client: number;
  readonly workers: ModelWorker[] = [];
  /** By link: the number of the node. */
  readonly nodes = new Map<number, number>();
  /** Every batch that was given, and those that were applied at once when its worker heard of it. */
  readonly grants: { worker: number; batch: ControlOf<"batch">; applied: ReadonlySet<number> }[] = [];
  /** Batches that a worker was given before it was told to evaluate what precedes them. */
  readonly givenBeforePause: number[] = [];
  /** Batches whose gradients were applied at once. */
  readonly applied = new Set<number>();
  /** Batches of each round that was committed. */
  readonly rounds: number[][] = [];
  readonly partitions: ModelPartition[];
  readonly #data: { trainRows: number; testRows: number; fingerprint: string };
  /** What workers brought to rounds that they hold, by worker: it counts once the round is committed. */
  readonly #held = new Map<number, { term: number; batches: readonly number[] }>();

  constructor({
    fit,
    workersMin = 2,
    nodes = 1,
    replicas = 1,
    trainRows = 100,
    testRows = 0,
    sabotages,
  }: BatchedOptions) {
    this.c = new Cluster({ replicas, ...(sabotages ? { sabotages } : {}) });
    this.c.now = 1;
    this.manifest = { ...MANIFEST, workersMin, fit: { ...MANIFEST.fit, ...fit } };
    this.plan = stepPlan({ manifest: this.manifest, trainRows });
    this.#data = { trainRows, testRows, fingerprint: "same" };
    for (let n = 1; n <= nodes; n++) {
      const link = this.c.ps(`ps-${n}`);
      this.nodes.set(link, n);
    }
    const { client, job } = this.c.run([...this.nodes.keys()], this.manifest);
    this.client = client;
    this.job = job;
    this.partitions = this.c.map.entries.map(() => ({
      attempt: 0,
      committed: { step: 0, attempt: 0 },
      slots: new Map(),
      staged: undefined,
      steps: [],
    }));
    for (let n = 0; n < workersMin; n++) this.join();
  }

  /** Batches of the whole job. */
  get batches(): number[] {
    return Array.from({ length: this.plan.steps * batchesPerStep(this.manifest) }, (_, batch) => batch);
  }

  get status(): JobStatus {
    return this.c.coordinator.status(this.c.now).jobs[0]!;
  }

  get isOver(): boolean {
    return !["training", "evaluating"].includes(this.status.phase);
  }

  get counts(): NonNullable<JobStatus["batches"]> {
    return this.status.batches!;
  }

  join(): ModelWorker {
    const who = this.c.worker(`w${this.c.link()}`);
    const joined: ModelWorker = { ...who, given: [], done: 0, term: undefined, isOut: false, round: 0, since: [] };
    this.workers.push(joined);
    this.c.ready(who.link, this.job, this.#data);
    return joined;
  }

  lose(worker: ModelWorker): void {
    this.workers.splice(this.workers.indexOf(worker), 1);
    this.c.close(worker.link);
  }

  loseNode(link: number): void {
    this.nodes.delete(link);
    this.c.close(link);
  }

  /** A long time passes, and nobody is silent. */
  passLong(ms: number): void {
    for (let rest = ms; rest > 0; rest -= 1000) this.pass(Math.min(rest, 1000));
  }

  /** Time passes, and nobody is silent. */
  pass(ms: number): void {
    for (const link of [...this.nodes.keys(), ...this.workers.map((w) => w.link)])
      this.c.say(link, { type: "heartbeat" });
    this.c.tick(ms);
  }

  /** A worker or a node heeds the first message that it was told; false where there is none. */
  heed(link: number): boolean {
    const worker = this.workers.find((each) => each.link === link);
    if (worker?.isOut && this.c.types(link)[0] === "assign") {
      worker.isOut = false;
      this.c.ready(link, this.job, this.#data);
      return true;
    }
    const control = this.c.tellings(link).shift();
    if (!control) return false;
    if (worker) this.#heedAsWorker(worker, control);
    else this.#heedAsNode(link, control);
    return true;
  }

  /** All heed what they were told, until nobody was told anything more. */
  settle(): void {
    for (let any = true; any;) {
      any = false;
      for (const link of [...this.nodes.keys(), ...this.workers.map((w) => w.link)]) if (this.heed(link)) any = true;
    }
  }

  /** A worker does its oldest batch. @param o.to nodes that its push reaches, of a step's; all without it */
  work(worker: ModelWorker, { to = [...this.nodes.keys()] }: { to?: readonly number[] } = {}): number {
    const given = worker.given.shift()!;
    const { job, manifest, plan } = this;
    const { batch, lease } = given;
    if (this.partitions.length > 0 && this.#isStaged) for (const link of to) this.push(link, given);
    else this.applied.add(batch);
    worker.done++;
    worker.since.push(batch);
    const samples = samplesOfBatch(manifest, plan, batch);
    const done = { samples, lossSum: samples / 2, computeMs: 1, rows: 10, cachedRows: 4 };
    this.c.say(worker.link, { type: "batch-done", job, lease, batch, ...done });
    return batch;
  }

  /** A node gets the push of a batch. */
  push(link: number, { step, term, slot, batch }: ControlOf<"batch">): void {
    const heads = this.#headsOf(link);
    for (const partition of heads) {
      if (partition.committed.step !== step - 1 || partition.attempt !== term || partition.staged) return;
      partition.slots.set(slot, batch);
    }
    const at = { step, attempt: term, heads: this.c.map.heads };
    if (heads.length > 0) this.c.say(link, { type: "slot-in", job: this.job, ...at, slot });
  }

  get #isStaged(): boolean {
    const { consistency } = this.manifest.fit;
    return consistency.mode === "bsp";
  }

  #headsOf(link: number): ModelPartition[] {
    const node = this.nodes.get(link);
    return this.partitions.filter((_, i) => this.c.map.entries[i]!.chain[0] === node);
  }

  #heedAsWorker(worker: ModelWorker, control: Control): void {
    const { job, c } = this;
    const { link } = worker;
    const term = worker.term?.term ?? 0;
    if (control.type === "end" && control.phase === "training") {
      worker.isOut = true;
      Object.assign(worker, { term: undefined, round: 0, since: [], given: [] });
      this.#held.delete(worker.worker);
    } else if (control.type === "term") worker.term = control;
    else if (control.type === "batch") {
      this.grants.push({ worker: worker.worker, batch: control, applied: new Set(this.applied) });
      worker.given.push(control);
    } else if (control.type === "call-round") {
      if (control.term !== term) return;
      this.#held.set(worker.worker, { term, batches: [...worker.since] });
      c.say(link, { type: "round-held", job, term, round: control.round });
    } else if (control.type === "commit-round") this.#commitRound(worker, control);
    else if (control.type === "store-dense") {
      c.say(link, { type: "trained", job, term: control.term, step: control.step });
    } else if (control.type === "evaluate") {
      const pause = control.step * batchesPerStep(this.manifest);
      const own = this.grants.filter((grant) => grant.worker === worker.worker);
      this.givenBeforePause.push(...own.map(({ batch: { batch } }) => batch).filter((batch) => batch >= pause));
      c.say(link, { type: "lease-request", job, purpose: "evaluate", term: control.term });
    } else if (control.type === "lease") {
      const { lease, from, to } = control;
      c.say(link, { type: "evaluated", job, lease, metrics: metricsOf(to - from) });
      c.say(link, { type: "lease-request", job, purpose: "evaluate", term });
    }
  }

  #commitRound(worker: ModelWorker, { term, round, newcomers }: ControlOf<"commit-round">): void {
    const held = Array.from(this.#held.values()).filter((each) => each.term === term);
    this.rounds[round - 1] ??= held.flatMap(({ batches }) => batches);
    if (round !== worker.round + 1) return;
    if (newcomers.includes(worker.worker)) return;
    worker.round = round;
    worker.since = [];
    if (worker.term!.members[0]!.worker !== worker.worker) return;
    for (const newcomer of newcomers) {
      const to = this.workers.find((each) => each.worker === newcomer);
      if (!to) continue;
      to.round = round;
      this.c.say(to.link, { type: "dense-ready", job: this.job, round });
    }
  }

  #heedAsNode(link: number, control: Control): void {
    if (!("heads" in control) || control.heads !== this.c.map.heads) return;
    const { job, c } = this;
    const { heads } = control;
    const own = this.#headsOf(link);
    if (control.type === "fence") {
      const newest = own.map(({ committed }) => committed).reduce((a, b) => (b.step > a.step ? b : a));
      const whole = own.every(({ committed }) => committed.step === newest.step);
      c.say(link, { type: "promise", job, term: control.term, heads, committed: newest, whole });
    } else if (control.type === "start") {
      for (const each of own) {
        if (each.committed.step !== control.step - 1 || each.attempt >= control.attempt) continue;
        each.attempt = control.attempt;
        each.slots.clear();
        each.staged = undefined;
      }
    } else if (control.type === "close") this.#close(link, own, control);
    else if (control.type === "commit") {
      const { step, attempt } = control;
      const mayCommit = own.every(
        (each) =>
          each.committed.step === step || (each.committed.step === step - 1 && each.attempt === attempt && each.staged),
      );
      if (!mayCommit) return;
      for (const each of own) if (each.committed.step < step) commitStep(each, { step, attempt });
      c.say(link, { type: "committed", job, step, attempt, heads });
    }
  }

  #close(link: number, own: ModelPartition[], { step, attempt, slots, heads }: ControlOf<"close">): void {
    const isOpen = ({ committed, attempt: own, slots: inside }: ModelPartition) =>
      committed.step === step - 1 && own === attempt && slots.every((slot) => inside.has(slot));
    if (!own.every(isOpen)) return;
    for (const each of own) each.staged ??= slots.map((slot) => each.slots.get(slot)!);
    this.c.say(link, { type: "staged", job: this.job, step, attempt, heads });
  }
}

/** A job in training, its first two workers with the batches that they were given. */
export function started(options: BatchedOptions) {
  const cluster = new BatchedCluster(options);
  cluster.settle();
  const [a, b] = cluster.workers as [ModelWorker, ModelWorker];
  return { cluster, a, b, c: cluster.c, job: cluster.job };
}

/** All train until nobody has anything to do. */
export function finish(cluster: BatchedCluster): void {
  for (let turns = 0; !cluster.isOver && turns < 2000; turns++) {
    for (const worker of cluster.workers) if (worker.given.length > 0) cluster.work(worker);
    cluster.settle();
  }
}

export const batchesOf = ({ given }: ModelWorker): number[] => given.map(({ batch }) => batch);

function commitStep(partition: ModelPartition, committed: { step: number; attempt: number }): void {
  partition.committed = committed;
  partition.steps.push(partition.staged!);
  partition.staged = undefined;
  partition.slots.clear();
}
