/** The coordinator by its messages, with a clock that the test moves. */
import { describe, expect, it } from "vitest";
import type { JobManifest } from "@volary/core/job";
import { LIMITS } from "@volary/core/limits";
import { Metrics, newMetrics } from "@volary/core/metrics";
import type { Control, ControlOf, ControlType, JobStatus } from "@volary/core/wire";
import { Coordinator } from "./coordinator.ts";
import type { CoordinatorEffect } from "./effects.ts";

const MANIFEST: JobManifest = {
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
const DATA = { trainRows: 1000, testRows: 40_000, fingerprint: "same" };

/** A coordinator and what each of its links was told since it was last asked. */
class Cluster {
  now = 0;
  readonly saves: [string, unknown][] = [];
  readonly logs: string[] = [];
  readonly closed = new Map<number, string>();
  readonly coordinator: Coordinator;
  readonly #told = new Map<number, Control[]>();
  #nextLink = 1;

  constructor(records?: ReadonlyMap<string, unknown>) {
    this.coordinator = new Coordinator({ partitionsLog2: 2, ...(records ? { records } : {}) });
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

  ps(name: string): number {
    const link = this.link();
    this.say(link, { type: "ps-join", name, address: `ws://${name}:1` });
    return link;
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

/** Two PS nodes, two workers, one job in training. */
function training() {
  const c = new Cluster();
  const nodes = [c.ps("ps-1"), c.ps("ps-2")];
  const [a, b] = [c.worker("a"), c.worker("b")];
  const { client, job } = c.run(nodes);
  c.ready(a.link, job);
  c.ready(b.link, job);
  return { c, nodes, a, b, client, job };
}

function evaluating(cluster = training()) {
  const { c, a, b, job } = cluster;
  for (let step = 1; step <= 100; step++) commit(c, a.link, job, step);
  c.say(a.link, { type: "trained", job, term: 1, step: 100 });
  c.told(a.link, "evaluate");
  c.told(b.link, "evaluate");
  return cluster;
}

function commit(c: Cluster, link: number, job: number, step: number, attempt = 1): void {
  c.say(link, { type: "progress", job, term: attempt, commits: [{ step, attempt, samples: 10, lossSum: 5 }] });
}

/** A state of `samples` predictions that are all off by `error`. */
function metricsOf(samples: number, error = 1) {
  const metrics = newMetrics(MANIFEST);
  const scores = new Float32Array(samples).fill(error);
  metrics.update({ samples, labels: new Float32Array(samples), labelWidth: 1, scores, outputs: 1 });
  return metrics.toJSON();
}

describe("PS nodes", () => {
  it("that join get numbers and the map, anew each time one joins", () => {
    const c = new Cluster();
    const first = c.ps("ps-1");
    expect(c.told(first, "ps-joined").node).toBe(1);
    const alone = c.told(first, "map").map;
    expect(alone.entries.map(({ chain }) => chain)).toEqual([[1], [1], [1], [1]]);
    const second = c.ps("ps-2");
    expect(c.told(second, "ps-joined").node).toBe(2);
    const [map1, map2] = [c.told(first, "map").map, c.told(second, "map").map];
    expect(map1).toEqual(map2);
    expect(map1.version).toBeGreaterThan(alone.version);
    for (const node of [1, 2]) expect(map1.entries.filter(({ chain }) => chain[0] === node)).toHaveLength(2);
  });

  it("are numbered durably before they are told", () => {
    const coordinator = new Coordinator({});
    const effects = coordinator.handleControl(1, { type: "ps-join", name: "n", address: "ws://n:1" }, 0);
    const saved = effects.findIndex((effect) => effect.kind === "save" && effect.key === "ids");
    const told = effects.findIndex((effect) => effect.kind === "control");
    expect(saved).toBeGreaterThan(-1);
    expect(saved).toBeLessThan(told);
  });

  it("of one name at two addresses are refused, naming the remedy", () => {
    const c = new Cluster();
    c.ps("ps-1");
    const second = c.link();
    c.say(second, { type: "ps-join", name: "ps-1", address: "ws://elsewhere:1" });
    expect(c.told(second, "error")).toMatchObject({
      code: "NAME_TAKEN",
      message: 'a PS node named "ps-1" is in the cluster already, at ws://ps-1:1; give this one another --name',
    });
  });

  it("that join anew from the same address take the place of their old selves, without the rows", () => {
    const { c, nodes, client, job } = training();
    const again = c.ps("ps-1");
    expect(c.told(again, "ps-joined").node).toBe(3);
    expect(c.closed.get(nodes[0]!)).toBe("this node joined anew");
    expect(c.status(client)).toMatchObject({ phase: "failed" });
    expect(c.told(nodes[1]!, "close-job").job).toBe(job);
    const { map } = c.told(again, "map");
    expect(map.nodes.map(({ node }) => node).toSorted((x, y) => x - y)).toEqual([2, 3]);
  });

  it("that are lost fail the jobs whose rows they held, in words that say what to do", () => {
    const { c, nodes, a, b, client, job } = training();
    c.forget();
    c.close(nodes[0]!);
    const message =
      "PS node ps-1 is lost (its connection closed) and its partitions have no replica; run the job again";
    expect(c.status(client)).toMatchObject({ phase: "failed", message });
    for (const { link } of [a, b]) expect(c.told(link, "end")).toEqual({ type: "end", job, phase: "failed", message });
    expect(c.told(nodes[1]!, "close-job")).toEqual({ type: "close-job", job });
    expect(c.told(nodes[1]!, "map").map.entries.every(({ chain }) => chain[0] === 2)).toBe(true);
  });

  it("that are silent too long are lost, and one that beats is not", () => {
    const { c, nodes, client } = training();
    for (let at = 0; at <= LIMITS.heartbeatLostMs; at += 500) {
      c.say(nodes[1]!, { type: "heartbeat", rows: 7, bytes: 700 });
      for (const link of [3, 4]) c.say(link, { type: "heartbeat" });
      c.tick(500);
    }
    expect(c.closed).toEqual(new Map([[nodes[0], "silent for 10 s"]]));
    expect(c.status(client).message).toContain("PS node ps-1 is lost (silent for 10 s)");
    expect(c.coordinator.status(c.now).nodes).toMatchObject([{ name: "ps-2", rows: 7, bytes: 700 }]);
  });

  it("that are lost while a job is being opened end it, and its client hears so", () => {
    const c = new Cluster();
    const nodes = [c.ps("ps-1"), c.ps("ps-2")];
    const client = c.link();
    c.say(client, { type: "submit", manifest: MANIFEST });
    c.say(nodes[0]!, { type: "job-opened", job: 1 });
    c.close(nodes[1]!);
    expect(c.told(client, "error")).toMatchObject({ code: "PARTITION_UNAVAILABLE", job: 1 });
    c.say(nodes[0]!, { type: "job-opened", job: 1 });
    expect(c.types(client)).toEqual([]);
  });

  it("that cannot open a job's tables end it, and its client hears why", () => {
    const c = new Cluster();
    const node = c.ps("ps-1");
    const client = c.link();
    c.say(client, { type: "submit", manifest: MANIFEST });
    c.say(node, { type: "error", code: "BAD_JOB", message: "two tables have id 3", job: 1 });
    expect(c.told(client, "error")).toEqual({
      type: "error",
      code: "BAD_JOB",
      message: "PS node ps-1: two tables have id 3",
      job: 1,
    });
    expect(c.coordinator.status(0).jobs).toMatchObject([{ phase: "stopped" }]);
    expect(c.told(node, "close-job").job).toBe(1);
  });

  it("that join while a job is open wait for its end until they get partitions", () => {
    const { c, nodes, job, client } = training();
    c.forget();
    const late = c.ps("ps-3");
    expect(c.types(late)).toEqual(["ps-joined"]);
    c.say(client, { type: "close-job", job });
    expect(c.told(late, "map").map.nodes).toHaveLength(3);
    expect(c.types(nodes[0]!)).toEqual(["close-job", "map"]);
  });
});

describe("jobs", () => {
  it("are refused where there is no PS node", () => {
    const c = new Cluster();
    const client = c.link();
    c.say(client, { type: "submit", manifest: MANIFEST });
    expect(c.told(client, "error")).toMatchObject({ code: "PARTITION_UNAVAILABLE" });
  });

  it("are submitted once every PS node has opened their tables", () => {
    const c = new Cluster();
    const nodes = [c.ps("ps-1"), c.ps("ps-2")];
    const client = c.link();
    c.say(client, { type: "submit", manifest: MANIFEST });
    for (const node of nodes) expect(c.told(node, "open-job")).toMatchObject({ job: 1, seed: 1, tables: [{ id: 0 }] });
    c.say(nodes[0]!, { type: "job-opened", job: 1 });
    c.say(nodes[0]!, { type: "job-opened", job: 1 });
    expect(c.types(client)).toEqual([]);
    c.say(nodes[1]!, { type: "job-opened", job: 1 });
    expect(c.told(client, "submitted")).toMatchObject({ job: 1, map: c.coordinator.map });
  });

  it("begin when enough workers are ready, in term 1, ranks by seniority", () => {
    const c = new Cluster();
    const nodes = [c.ps("ps-1")];
    const { client, job } = c.run(nodes);
    const b = c.worker("b");
    c.ready(b.link, job);
    expect(c.status(client).phase).toBe("waiting");
    const a = c.worker("a");
    c.ready(a.link, job);
    const term: Control = {
      type: "term",
      job,
      term: 1,
      members: [
        { worker: b.worker, address: "ws://b:1" },
        { worker: a.worker, address: "ws://a:1" },
      ],
    };
    expect(c.told(a.link, "term")).toEqual(term);
    expect(c.told(b.link, "term")).toEqual(term);
    expect(c.status(client)).toMatchObject({ phase: "training", workers: 2, term: 1, steps: 100, testRows: 40_000 });
  });

  it("that nobody has heard of are named as such", () => {
    const c = new Cluster();
    const link = c.link();
    for (const type of ["run-job", "stop-job", "close-job", "watch", "commits-request"] as const) {
      c.say(link, { type, job: 77 });
      expect(c.told(link, "error")).toMatchObject({ code: "UNKNOWN_JOB", job: 77 });
    }
  });

  it("go on without their client", () => {
    const { c, a, client } = training();
    c.close(client);
    commit(c, a.link, 1, 1);
    expect(c.coordinator.status(0).jobs).toMatchObject([{ phase: "training", step: 1 }]);
  });

  it("that were not run yet are closed with their client", () => {
    const c = new Cluster();
    const node = c.ps("ps-1");
    const client = c.link();
    c.say(client, { type: "submit", manifest: MANIFEST });
    c.close(client);
    expect(c.told(node, "close-job").job).toBe(1);
    c.say(node, { type: "job-opened", job: 1 });
    expect(c.coordinator.status(0).jobs).toMatchObject([
      { phase: "stopped", message: "its client left before it was run" },
    ]);
  });

  it("that are stopped free their workers for the next", () => {
    const { c, nodes, a, b, client, job } = training();
    c.say(client, { type: "stop-job", job });
    expect(c.told(a.link, "end")).toMatchObject({ phase: "stopped", message: "stopped by its owner" });
    const second = c.run(nodes, { ...MANIFEST, name: "second" });
    for (const { link } of [a, b]) expect(c.told(link, "assign")).toMatchObject({ job: second.job });
  });

  it("fail with the words of the worker that says so", () => {
    const { c, b, client, job } = training();
    c.say(b.link, { type: "fail", job, code: "NAN_LOSS", message: "the loss is not a number" });
    expect(c.status(client)).toMatchObject({ phase: "failed", message: "the loss is not a number" });
  });

  it("fail where the data has no rows", () => {
    const c = new Cluster();
    const { client, job } = c.run([c.ps("ps-1")]);
    const a = c.worker("a");
    c.ready(a.link, job, { ...DATA, trainRows: 0 });
    expect(c.status(client)).toMatchObject({ phase: "failed", message: "the data set has no training rows" });
  });

  it("count each commit once, in order, and lease steps to the leader alone", () => {
    const { c, a, b, client, job } = training();
    c.say(b.link, { type: "lease-request", job, purpose: "train", term: 1 });
    expect(c.types(b.link)).not.toContain("lease");
    c.say(a.link, { type: "lease-request", job, purpose: "train", term: 1 });
    expect(c.told(a.link, "lease")).toMatchObject({ from: 1, to: 65 });
    commit(c, a.link, job, 1);
    commit(c, a.link, job, 1);
    commit(c, a.link, job, 3); // a gap
    commit(c, a.link, job, 2);
    expect(c.status(client)).toMatchObject({ step: 2, samples: 20, loss: 0.5 });
    c.say(a.link, { type: "lease-request", job, purpose: "train", term: 1 });
    expect(c.told(a.link, "lease")).toMatchObject({ from: 65, to: 101 });
    c.say(a.link, { type: "lease-request", job, purpose: "train", term: 1 });
    expect(c.told(a.link, "no-lease")).toMatchObject({ purpose: "train", reason: "done" });
    c.say(client, { type: "commits-request", job });
    expect(c.told(client, "commits")).toMatchObject({
      commits: [
        { step: 1, attempt: 1 },
        { step: 2, attempt: 1 },
      ],
      terms: [{ term: 1, members: [a.worker, b.worker] }],
    });
  });

  it("are not trained before all their steps are reported", () => {
    const { c, a, job, client } = training();
    c.say(a.link, { type: "trained", job, term: 1, step: 100 });
    expect(c.told(a.link, "error").message).toContain("ended at step 100 but 0 commits were reported");
    expect(c.status(client).phase).toBe("training");
  });
});

describe("workers", () => {
  it("that serve another job, or none, have no say in this one", () => {
    const { c, nodes, job } = training();
    const second = c.run(nodes, { ...MANIFEST, name: "second" });
    const other = c.worker("other");
    const stranger = c.link();
    const messages: Control[] = [
      { type: "ready", job: second.job, ...DATA },
      { type: "term-request", job: second.job, term: 1, reason: "x" },
      { type: "lease-request", job: second.job, purpose: "train", term: 1 },
      { type: "progress", job: second.job, term: 1, commits: [] },
      { type: "trained", job: second.job, term: 1, step: 1 },
      { type: "evaluated", job: second.job, lease: 1, metrics: metricsOf(1) },
      { type: "bad-rows", job: second.job, scope: "data", count: 1, first: [] },
      { type: "fail", job: second.job, code: "X", message: "x" },
    ];
    for (const message of messages) {
      for (const link of [other.link, stranger]) {
        c.say(link, message);
        expect(c.told(link, "error")).toMatchObject({ code: "NOT_A_MEMBER", job: second.job });
      }
    }
    expect(c.coordinator.status(0).workers.find(({ name }) => name === "other")?.job).toBe(job);
  });

  it("that are lost raise the term; the survivors go on, their leader the most senior", () => {
    const { c, a, b, job, client } = training();
    c.close(a.link);
    expect(c.told(b.link, "term").term).toBe(1);
    expect(c.told(b.link, "term")).toMatchObject({ job, term: 2, members: [{ worker: b.worker }] });
    expect(c.status(client)).toMatchObject({ phase: "training", workers: 1, term: 2 });
  });

  it("that are silent too long are lost", () => {
    const { c, nodes, a, b } = training();
    for (let at = 0; at <= LIMITS.heartbeatLostMs; at += 500) {
      for (const link of [...nodes, b.link]) c.say(link, { type: "heartbeat" });
      c.tick(500);
    }
    expect(c.closed).toEqual(new Map([[a.link, "silent for 10 s"]]));
    expect(c.told(b.link, "term").term).toBe(1);
    expect(c.told(b.link, "term").members).toHaveLength(1);
  });

  it("that join in the middle of training raise the term and are junior", () => {
    const { c, a, b, job } = training();
    c.forget();
    const late = c.worker("late");
    c.ready(late.link, job);
    const { members, term } = c.told(late.link, "term");
    expect(term).toBe(2);
    expect(members.map((m) => m.worker)).toEqual([a.worker, b.worker, late.worker]);
  });

  it("stay senior when a lower number comes back in", () => {
    const { c, a, b, job } = training();
    c.close(a.link);
    const late = c.worker("late");
    c.ready(late.link, job);
    expect(c.told(late.link, "term").members.map((m) => m.worker)).toEqual([b.worker, late.worker]);
  });

  it("may ask for a new term, once per term", () => {
    const { c, a, b, job } = training();
    c.forget();
    c.say(b.link, { type: "term-request", job, term: 1, reason: "the link to worker 1 closed" });
    c.say(a.link, { type: "term-request", job, term: 1, reason: "the link to worker 2 closed" });
    expect(c.types(a.link)).toEqual(["term"]);
    expect(c.told(a.link, "term").term).toBe(2);
  });

  it("of which none is left fail the job, for the dense weights are gone", () => {
    const { c, a, b, client } = training();
    c.close(b.link);
    c.close(a.link);
    expect(c.status(client).phase).toBe("failed");
    expect(c.status(client).message).toContain("the last worker is lost");
  });

  it("that see other data are sent away and not asked again", () => {
    const { c, job } = training();
    const odd = c.worker("odd");
    c.ready(odd.link, job, { ...DATA, testRows: 1, fingerprint: "other" });
    expect(c.told(odd.link, "end").message).toContain("give every worker the same file");
    c.worker("another"); // new assignments are made
    expect(c.types(odd.link)).toEqual([]);
  });

  it("that are ready too late to train are free for another job, and do not hold up the evaluation", () => {
    const cluster = training();
    const { c, a, b, job, client } = cluster;
    const late = c.worker("late");
    c.told(late.link, "assign");
    evaluating(cluster);
    c.say(late.link, { type: "ready", job, ...DATA });
    expect(c.told(late.link, "end").phase).toBe("evaluating");
    c.close(a.link);
    c.close(b.link);
    expect(c.status(client).phase).toBe("failed");
  });
});

describe("evaluation", () => {
  it("leases every test row once and merges the shares", () => {
    const { c, a, b, job, client } = evaluating();
    const leased: number[] = [];
    for (let turn = 0; leased.length < 40_000; turn++) {
      const { link } = [a, b][turn % 2]!;
      c.say(link, { type: "lease-request", job, purpose: "evaluate", term: 1 });
      const { lease, from, to } = c.told(link, "lease");
      for (let row = from; row < to; row++) leased.push(row);
      c.say(link, { type: "evaluated", job, lease, metrics: metricsOf(to - from) });
    }
    expect(leased).toEqual(Array.from({ length: 40_000 }, (_, row) => row));
    expect(c.status(client)).toMatchObject({ phase: "done", evaluated: 40_000, metrics: { mse: 1 } });
    expect(c.told(a.link, "end").phase).toBe("done");
  });

  it("leases a lost worker's share again, and waits for it", () => {
    const { c, a, b, job, client } = evaluating();
    c.say(a.link, { type: "lease-request", job, purpose: "evaluate", term: 1 });
    const lost = c.told(a.link, "lease");
    for (;;) {
      c.say(b.link, { type: "lease-request", job, purpose: "evaluate", term: 1 });
      if (c.types(b.link).includes("no-lease")) break;
      const { lease, from, to } = c.told(b.link, "lease");
      c.say(b.link, { type: "evaluated", job, lease, metrics: metricsOf(to - from) });
    }
    expect(c.told(b.link, "no-lease").reason).toBe("wait");
    c.close(a.link);
    c.say(b.link, { type: "lease-request", job, purpose: "evaluate", term: 1 });
    const again = c.told(b.link, "lease");
    expect([again.from, again.to]).toEqual([lost.from, lost.to]);
    expect(again.lease).not.toBe(lost.lease);
    c.say(b.link, { type: "evaluated", job, lease: again.lease, metrics: metricsOf(again.to - again.from) });
    expect(c.status(client)).toMatchObject({ phase: "done", evaluated: 40_000 });
  });

  it("takes a share from the worker that holds it, once, and only metrics of the job", () => {
    const { c, a, b, job, client } = evaluating();
    c.say(a.link, { type: "lease-request", job, purpose: "evaluate", term: 1 });
    const { lease, from, to } = c.told(a.link, "lease");
    c.say(b.link, { type: "evaluated", job, lease, metrics: metricsOf(to - from) });
    expect(c.status(client).evaluated).toBe(0);
    expect(() =>
      c.say(a.link, { type: "evaluated", job, lease, metrics: new Metrics({ metrics: ["auc"] }).toJSON() }),
    ).toThrow(`metrics of lease ${lease}: cannot merge metrics`);
    c.say(a.link, { type: "evaluated", job, lease, metrics: metricsOf(to - from) });
    c.say(a.link, { type: "evaluated", job, lease, metrics: metricsOf(to - from) });
    expect(c.status(client).evaluated).toBe(to - from);
  });

  it("of no rows ends the job at once", () => {
    const c = new Cluster();
    const { client, job } = c.run([c.ps("ps-1")], { ...MANIFEST, workersMin: 1 });
    const a = c.worker("a");
    c.ready(a.link, job, { trainRows: 10, testRows: 0, fingerprint: "f" });
    commit(c, a.link, job, 1);
    c.say(a.link, { type: "trained", job, term: 1, step: 1 });
    expect(c.status(client)).toMatchObject({ phase: "done", metrics: {} });
  });
});

/** Two workers on a job of 100 steps, 10 of them an epoch, that is validated as `fit` says. */
function validated(fit: Partial<JobManifest["fit"]>, data = { ...DATA, trainRows: 100 }) {
  const c = new Cluster();
  c.now = 1;
  const nodes = [c.ps("ps-1")];
  const [a, b] = [c.worker("a"), c.worker("b")];
  const { client, job } = c.run(nodes, { ...MANIFEST, fit: { ...MANIFEST.fit, epochs: 10, ...fit } });
  c.ready(a.link, job, data);
  c.ready(b.link, job, data);
  const ask = (link: number, purpose: "train" | "evaluate" = "train", term = 1) =>
    c.say(link, { type: "lease-request", job, purpose, term });
  /** Commits the steps up to `to`, and asks for more. */
  const trainTo = (to: number) => {
    for (let step = c.coordinator.status(0).jobs[0]!.step + 1; step <= to; step++) commit(c, a.link, job, step);
    ask(a.link);
  };
  /** A worker takes every share there is; each prediction is off by `error`. */
  const evaluateAll = (link: number, error = 1) => {
    for (;;) {
      const before = c.tellings(link).length;
      ask(link, "evaluate");
      const answer = c.tellings(link).splice(before, 1)[0]!;
      if (answer.type !== "lease") return;
      const { lease, from, to } = answer;
      c.say(link, { type: "evaluated", job, lease, metrics: metricsOf(to - from, error) });
    }
  };
  return { c, a, b, client, job, ask, trainTo, evaluateAll };
}

describe("validation", () => {
  it("leases steps up to the next validation, and goes on when it is done", () => {
    const { c, a, b, client, job, ask, trainTo, evaluateAll } = validated({ validate: { everySteps: 7 } });
    ask(a.link);
    expect(c.told(a.link, "lease")).toMatchObject({ from: 1, to: 8 });
    trainTo(7);
    for (const { link } of [a, b])
      expect(c.told(link, "evaluate")).toEqual({ type: "evaluate", job, term: 1, step: 7 });
    ask(a.link); // a repeat
    expect(c.types(a.link)).not.toContain("lease");
    evaluateAll(b.link);
    expect(c.told(a.link, "lease")).toMatchObject({ purpose: "train", from: 8, to: 15 });
    expect(c.status(client)).toMatchObject({
      phase: "training",
      metrics: null,
      validation: { step: 7, epoch: 0, metrics: { mse: 1 } },
    });
    expect(c.types(b.link)).not.toContain("evaluate");
  });

  it("after each epoch, or every so many, is not held after the last step twice", () => {
    const { c, a, client, job, trainTo, evaluateAll } = validated({ epochs: 3, validate: { everyEpochs: 2 } });
    trainTo(0);
    expect(c.told(a.link, "lease")).toMatchObject({ from: 1, to: 21 });
    trainTo(20);
    evaluateAll(a.link, 2);
    expect(c.told(a.link, "lease")).toMatchObject({ from: 21, to: 31 });
    for (let step = 21; step <= 30; step++) commit(c, a.link, job, step);
    c.say(a.link, { type: "trained", job, term: 1, step: 30 });
    evaluateAll(a.link, 3);
    const told = c.tellings(client).filter((control) => control.type === "job-status");
    const validations = told.flatMap(({ status }) => status.news?.validations ?? []);
    expect(validations).toMatchObject([
      { step: 20, epoch: 1, metrics: { mse: 4 } },
      { step: 30, epoch: 2, metrics: { mse: 9 } },
    ]);
    expect(c.status(client)).toMatchObject({ phase: "done", metrics: { mse: 9 } });
    expect(c.status(client).message).toBeUndefined();
  });

  it("without held-out rows does not hold training up", () => {
    const { c, a, ask } = validated({ validate: { everySteps: 7 } }, { ...DATA, trainRows: 100, testRows: 0 });
    ask(a.link);
    expect(c.told(a.link, "lease")).toMatchObject({ from: 1, to: 65 });
  });

  it("goes on when a worker is lost, and with it the leader that waits", () => {
    const { c, a, b, client, job, ask, trainTo, evaluateAll } = validated({ validate: { everySteps: 7 } });
    trainTo(7);
    c.told(a.link, "evaluate");
    ask(a.link, "evaluate");
    const lost = c.told(a.link, "lease");
    c.close(a.link);
    expect(c.told(b.link, "evaluate").step).toBe(7);
    evaluateAll(b.link);
    expect(c.coordinator.status(0).jobs[0]).toMatchObject({ evaluated: 40_000, validation: { step: 7 } });
    expect(lost.to - lost.from).toBe(16_384);
    expect(c.types(b.link)).not.toContain("lease");
    c.say(b.link, { type: "lease-request", job, purpose: "train", term: 2 });
    expect(c.told(b.link, "lease")).toMatchObject({ term: 2, from: 8, to: 15 });
    expect(c.status(client).phase).toBe("training");
  });

  it("takes in a worker that joins meanwhile", () => {
    const { c, job, trainTo } = validated({ validate: { everySteps: 7 } });
    trainTo(7);
    const late = c.worker("late");
    c.ready(late.link, job, { ...DATA, trainRows: 100 });
    expect(c.told(late.link, "term").term).toBe(2);
    expect(c.told(late.link, "evaluate")).toMatchObject({ term: 2, step: 7 });
  });

  it("is not counted as training time", () => {
    const { c, b, client, trainTo, evaluateAll } = validated({ validate: { everySteps: 7 } });
    c.now += 1000;
    trainTo(7);
    c.now += 5000;
    expect(c.coordinator.status(c.now).jobs[0]!.trainSeconds).toBe(1);
    evaluateAll(b.link);
    c.now += 500;
    expect(c.coordinator.status(c.now).jobs[0]!.trainSeconds).toBe(1.5);
    expect(c.status(client).phase).toBe("training");
  });
});

describe("early stopping", () => {
  const earlyStopping = { monitor: "val_mse", patience: 1, minDelta: 0, mode: "min" } as const;

  it("ends training after a validation that is no better, which is then the last one", () => {
    const { c, a, client, job, trainTo, evaluateAll } = validated({ validate: "epoch", earlyStopping });
    trainTo(10);
    evaluateAll(a.link, 2);
    trainTo(20);
    evaluateAll(a.link, 2);
    expect(c.tellings(a.link).filter((control) => control.type === "no-lease")).toMatchObject([
      { purpose: "train", reason: "done" },
    ]);
    c.say(a.link, { type: "trained", job, term: 1, step: 20 });
    expect(c.status(client)).toMatchObject({
      phase: "done",
      step: 20,
      steps: 100,
      metrics: { mse: 4 },
      message: "stopped early after step 20: val_mse is 4.0000, no better than 4.0000 after step 10",
    });
  });

  it("by the training loss is decided at the end of an epoch, without held-out rows", () => {
    const { c, a, b, job, trainTo, client } = validated(
      { earlyStopping: { ...earlyStopping, monitor: "loss" } },
      { ...DATA, trainRows: 100, testRows: 0 },
    );
    trainTo(0);
    expect(c.told(a.link, "lease")).toMatchObject({ from: 1, to: 11 });
    trainTo(10);
    expect(c.told(a.link, "lease")).toMatchObject({ from: 11, to: 21 });
    trainTo(20);
    expect(c.told(a.link, "no-lease")).toMatchObject({ reason: "done" });
    c.close(a.link); // before it could say so
    c.say(b.link, { type: "lease-request", job, purpose: "train", term: 2 });
    expect(c.told(b.link, "no-lease")).toMatchObject({ reason: "done", term: 2 });
    c.say(b.link, { type: "trained", job, term: 2, step: 20 });
    expect(c.status(client).message).toContain("stopped early after step 20: loss is 0.50000");
  });
});

describe("a job that its client ends", () => {
  it("leases no more steps, is evaluated and done, with the reason", () => {
    const { c, a, client, job, ask, evaluateAll } = validated({});
    ask(a.link);
    c.told(a.link, "lease");
    commit(c, a.link, job, 1);
    c.say(client, { type: "finish-job", job, reason: "enough" });
    expect(c.told(a.link, "no-lease")).toEqual({ type: "no-lease", job, purpose: "train", term: 1, reason: "done" });
    commit(c, a.link, job, 2); // it was pushed already
    c.say(a.link, { type: "trained", job, term: 1, step: 2 });
    evaluateAll(a.link);
    expect(c.status(client)).toMatchObject({ phase: "done", step: 2, message: "enough", metrics: { mse: 1 } });
  });

  it("during a validation is done when that is", () => {
    const { c, a, client, job, trainTo, evaluateAll } = validated({ validate: "epoch" });
    trainTo(10);
    c.say(client, { type: "finish-job", job, reason: "enough" });
    expect(c.told(a.link, "no-lease").reason).toBe("done");
    c.say(a.link, { type: "trained", job, term: 1, step: 10 });
    expect(c.status(client).phase).toBe("evaluating");
    evaluateAll(a.link, 2);
    expect(c.status(client)).toMatchObject({ phase: "done", step: 10, metrics: { mse: 4 } });
  });
});

describe("news", () => {
  it("tell a watcher every step and epoch once, gathered for a moment", () => {
    const { c, a, client, job } = validated({ epochs: 2 });
    c.forget();
    for (let step = 1; step <= 12; step++) {
      c.say(a.link, {
        type: "progress",
        job,
        term: 1,
        commits: [{ step, attempt: 1, samples: 10, lossSum: 10 * step }],
      });
    }
    c.tick(LIMITS.newsEveryMs);
    const told = c.tellings(client).map((control) => (control as ControlOf<"job-status">).status.news!);
    expect(told.length).toBeLessThan(6);
    expect(told.flatMap(({ steps }) => steps)).toEqual(
      Array.from({ length: 12 }, (_, i) => ({ step: i + 1, loss: i + 1, samples: 10 })),
    );
    expect(told.flatMap(({ epochs }) => epochs)).toEqual([{ epoch: 0, step: 10, loss: 5.5, samples: 100 }]);
    c.tick(1000);
    expect(c.tellings(client).length).toBe(told.length);
  });

  it("tell one who comes late the whole story", () => {
    const { c, a, job } = validated({ epochs: 2 });
    for (let step = 1; step <= 5; step++) commit(c, a.link, job, step);
    const late = c.link();
    c.say(late, { type: "watch", job });
    expect(c.told(late, "job-status").status.news!.steps).toHaveLength(5);
  });

  it("of bad rows come at once, and too many of them fail the job", () => {
    const { c, b, client, job } = validated({});
    c.say(b.link, {
      type: "bad-rows",
      job,
      scope: "data",
      count: 2,
      first: ["x.csv:7: no label", "x.csv:8: no label"],
    });
    expect(c.status(client)).toMatchObject({ phase: "failed", badRows: { count: 2 } });
    expect(c.status(client).message).toContain("badRowsMax allows 0: x.csv:7: no label; x.csv:8: no label");
  });
});

describe("the coordinator", () => {
  it("refuses messages that are not for it", () => {
    const c = new Cluster();
    expect(() => c.say(c.link(), { type: "fence", job: 1, term: 1 })).toThrow(
      'the coordinator takes no "fence" message',
    );
  });

  it("that starts again goes on counting where the last one was, and no old chain keeps its generation", () => {
    const first = new Cluster();
    first.ps("ps-1");
    first.ps("ps-2");
    first.worker("a");
    const records = new Map(first.saves);
    const before = first.coordinator.map!;
    const second = new Cluster(structuredClone(records));
    const again = second.ps("ps-1");
    expect(second.told(again, "ps-joined").node).toBe(3);
    expect(second.worker("b").worker).toBe(2);
    const after = second.told(again, "map").map;
    expect(after.version).toBeGreaterThan(before.version);
    after.entries.forEach((entry, p) => expect(entry.generation).toBeGreaterThan(before.entries[p]!.generation));
  });

  it("tells whoever asks who is there", () => {
    const { c, client } = training();
    c.say(client, { type: "status-request" });
    expect(c.told(client, "status").status).toMatchObject({
      nodes: [
        { node: 1, name: "ps-1", alive: true, partitions: 2 },
        { node: 2, name: "ps-2", alive: true, partitions: 2 },
      ],
      workers: [
        { worker: 1, name: "a", job: 1, backend: "cpu" },
        { worker: 2, name: "b", job: 1, backend: "cpu" },
      ],
      jobs: [{ job: 1, phase: "training" }],
    });
  });
});
