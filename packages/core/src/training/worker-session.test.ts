/** Workers and the step transaction while PS nodes are lost, against nodes and a coordinator that know one script. */
import { describe, expect, test } from "vitest";
import { firstPartitionMap, type PartitionMap } from "../partition/index.ts";
import { LIMITS } from "../limits.ts";
import { SimulatedClock, SimulatedNetwork, type SimulatedHost } from "../testing/index.ts";
import { DENSE_TABLE } from "../table/index.ts";
import {
  frame,
  KeyLists,
  type Control,
  type ControlOf,
  type ControlType,
  type Frame,
  type Link,
} from "../wire/index.ts";
import type { Dataset } from "../data/index.ts";
import type { JobManifest } from "../job/index.ts";
import type { GradientModel } from "./job/gradient-model.ts";
import { WorkerSession } from "./worker-session.ts";

const JOB = 1;
const ROWS = 48;
const BATCH = 4;
const STEPS = ROWS / BATCH;
const TEST_ROWS = 10;
const DIM = 2;
const NODES = [1, 2, 3];

const MANIFEST: JobManifest = {
  name: "toy",
  seed: 1,
  model: {
    topology: {},
    embeddings: [{ input: "a", field: "a", table: "items", dim: DIM, usage: { kind: "one" } }],
    numbers: [],
    variables: [{ name: "w", shape: [1], trainable: true }],
    outputs: 1,
  },
  tables: [
    { id: 1, name: "items", dim: DIM, initializer: { kind: "zeros" }, optimizer: { kind: "sgd", learningRate: 1 } },
  ],
  data: { format: { kind: "parquet" }, files: [{ kind: "file", path: "x" }], fields: {}, badRowsMax: 0 },
  compile: { optimizer: { kind: "sgd", learningRate: 0.125 }, loss: "meanSquaredError", metrics: [] },
  fit: { epochs: 1, batchSize: BATCH, consistency: { mode: "bsp" }, shuffle: true, validate: "end" },
  workersMin: 1,
};

const dataset = (): Dataset => ({
  trainRows: ROWS,
  testRows: TEST_ROWS,
  labelWidth: 1,
  fingerprint: "toy",
  blocks: undefined,
  read: (_, rows) => ({
    samples: rows.length,
    keys: new Map([["a", Uint32Array.from([...rows].flatMap((row) => [row * 7, 0]))]]),
    keyLists: new Map(),
    numbers: new Map(),
    numberLists: new Map(),
    label: new Float32Array(rows.length),
    weight: undefined,
    group: undefined,
  }),
  badRows: () => ({ count: 0, first: [] }),
  close: async () => {},
});

/** Every sample's rows have a gradient of 1, and so have the dense weights in a whole step. */
const model = (compute: (samples: number) => Promise<void>): GradientModel => ({
  denseFloats: 1,
  setDense: () => {},
  step: async ({ rows, samples, globalSamples }) => {
    await compute(samples);
    return {
      rowGrads: new Float32Array(rows.length).fill(1),
      denseGrads: Float32Array.of(samples / globalSamples),
      lossSum: 0,
    };
  },
  predict: async ({ samples }) => new Float32Array(samples),
  dispose: () => {},
});

/** One partition with its replicas, which are never behind. */
interface Share {
  committed: { step: number; attempt: number };
  attempt: number;
  slots: number;
  /** What the slots of each attempt at the next step sum up to. */
  pushed: Map<number, Map<number, number>>;
  applied: number;
}

/** PS nodes by script: every node knows the newest map at once, and what a partition was told is never lost. */
class Cluster {
  readonly clock = new SimulatedClock();
  readonly network: SimulatedNetwork;
  readonly shares: Share[];
  /** What workers told the coordinator. */
  readonly told: Control[] = [];
  map: PartitionMap;
  term = 0;
  /** Over the job's own. */
  fit: Partial<JobManifest["fit"]> = {};
  /** Of the slices of the next term; equal by default. */
  sliceShares: (members: number) => number[] | undefined = () => undefined;
  /** How long a model computes. */
  modelMs: (samples: number) => number = () => 0;
  /** Answers instead of a node, if it says so. */
  instead: (node: number, message: Control | Frame, link: Link) => boolean = () => false;
  /** Is told of a map that is new; workers are, by default. */
  tellMap = () => this.tellWorkers({ type: "map", map: this.map });
  readonly #hosts = new Map<number, SimulatedHost>();
  readonly #leaders = new Map<number, Link>();
  readonly #dense = new Map<string, Float32Array>();
  #parked: { node: number; f: Frame; link: Link }[] = [];
  readonly #sessions: WorkerSession[] = [];
  readonly #workers: { id: number; link: Link; address: string; ready: boolean }[] = [];
  #coordinator = "";
  #finished: () => void = () => {};
  readonly finished = new Promise<void>((resolve) => (this.#finished = resolve));

  constructor(seed = 1) {
    this.network = new SimulatedNetwork({ clock: this.clock, seed, noticeMs: { min: 1, max: 20 } });
    const nodes = NODES.map((node) => ({ node, name: `ps-${node}`, address: this.#serve(node) }));
    this.map = firstPartitionMap({ partitions: 4, nodes });
    this.map.entries.forEach((entry, p) => (entry.chain = [1 + (p % 2)]));
    this.shares = this.map.entries.map(() => ({
      committed: { step: 0, attempt: 0 },
      attempt: 0,
      slots: 0,
      pushed: new Map(),
      applied: 0,
    }));
  }

  async start(workers: number): Promise<void> {
    this.#coordinator = this.network.host("coordinator").listen({
      name: "coordinator",
      onLink: (link) =>
        link.listen({ onControl: (c) => this.#onWorker(link, c), onFrame: () => {}, onClose: () => {} }),
    }).address;
    for (let id = 1; id <= workers; id++) await this.#startWorker(id);
  }

  /** Kills a node. */
  kill(node: number): void {
    this.#hosts.get(node)!.crash();
  }

  /** `to` becomes the head of all that `from` is the head of, which leaves the map unless it stays. */
  takeOver(from: number, to: number, { stays = false } = {}): void {
    const version = this.map.version + 1;
    const entries = this.map.entries.map((entry) => {
      if (entry.chain[0] !== from) return entry;
      const generation = entry.generation + 1;
      return { generation, headSince: generation, chain: [to] };
    });
    const nodes = this.map.nodes.filter(({ node }) => stays || node !== from);
    this.map = { ...this.map, version, heads: version, nodes, entries };
    this.#parked = [];
    this.tellMap();
    if (this.term > 0 && !this.heard("trained").length) this.beginTerm();
  }

  beginTerm(): void {
    const ready = this.#workers.filter((worker) => worker.ready);
    const members = ready.map(({ id: worker, address }) => ({ worker, address }));
    const shares = this.sliceShares(members.length);
    const { heads } = this.map;
    this.tellWorkers({ type: "term", job: JOB, term: ++this.term, heads, members, ...(shares ? { shares } : {}) });
  }

  tellWorkers(control: Control): void {
    for (const { link } of this.#workers) link.sendControl(control);
  }

  heard<T extends ControlType>(type: T): ControlOf<T>[] {
    return this.told.filter((control): control is ControlOf<T> => control.type === type);
  }

  get dense(): number {
    return this.#dense.get("0 0")?.[0] ?? 0;
  }

  get steps(): number[] {
    return this.shares.map(({ committed }) => committed.step);
  }

  /** Every sample counts once: in the rows, and in the dense weights. */
  expectTrained(): void {
    expect(this.heard("fail")).toEqual([]);
    expect(this.steps).toEqual([STEPS, STEPS, STEPS, STEPS]);
    expect(this.shares.reduce((sum, { applied }) => sum + applied, 0)).toBe(ROWS * DIM);
    expect(this.dense).toBe(-0.125 * STEPS);
  }

  async #startWorker(id: number): Promise<void> {
    const host = this.network.host(`worker-${id}`);
    const { address } = host.listen({
      name: `worker-${id}`,
      onLink: (link, hello) => this.#sessions[id - 1]?.acceptPeer(hello, link),
    });
    const coordinator = await this.clock.until(
      host.dialer.dial(this.#coordinator, { role: "worker", name: `worker-${id}` }),
    );
    this.#sessions[id - 1] = new WorkerSession({
      name: `worker-${id}`,
      address,
      backend: "toy",
      coordinator,
      dialer: host.dialer,
      clock: host.clock,
      openDataset: async () => dataset(),
      openModel: async () =>
        model((samples) => new Promise((resolve) => void host.clock.after(this.modelMs(samples), resolve))),
      log: () => {},
    });
  }

  #serve(node: number): string {
    const host = this.network.host(`ps-${node}`);
    this.#hosts.set(node, host);
    return host.listen({
      name: `ps-${node}`,
      onLink: (link) => {
        const lists = new KeyLists();
        link.listen({
          onControl: (control) => this.instead(node, control, link) || this.#onControl(node, control, link),
          onFrame: (f) => this.instead(node, f, link) || this.#onFrame(node, lists.resolve(f)!, link),
          onClose: () => {},
        });
      },
    }).address;
  }

  #own(node: number): Share[] {
    return this.shares.filter((_, p) => this.map.entries[p]!.chain[0] === node);
  }

  #onControl(node: number, control: Control, link: Link): void {
    if (control.type === "map-request") link.sendControl({ type: "map", map: this.map });
    if (control.type !== "fence" && control.type !== "start" && control.type !== "commit") return;
    const { heads } = this.map;
    const own = this.#own(node);
    if (control.heads !== heads) {
      if (control.heads < heads) link.sendControl({ type: "stale-heads", job: JOB, heads });
      return;
    }
    this.#leaders.set(node, link);
    if (control.type === "fence") {
      const committed = own.map((share) => share.committed).reduce((a, b) => (b.step > a.step ? b : a));
      const whole = own.every((share) => share.committed.step === committed.step);
      link.sendControl({ type: "promise", job: JOB, term: control.term, heads, committed, whole });
    } else if (control.type === "start") {
      for (const share of own) {
        if (control.step !== share.committed.step + 1 || control.attempt <= share.attempt) continue;
        share.attempt = control.attempt;
        share.slots = control.slots;
      }
      this.#tellStaged(node, control);
    } else {
      for (const share of own) this.commit(share, control);
      const { step, attempt } = control;
      if (own.some((share) => share.committed.step < step)) return;
      link.sendControl({ type: "committed", job: JOB, step, attempt, heads });
      for (const parked of this.#parked.splice(0)) this.#onFrame(parked.node, parked.f, parked.link);
    }
  }

  commit(share: Share, { step, attempt }: { step: number; attempt: number }): void {
    if (!isStaged(share, { step, attempt })) return;
    for (const sum of share.pushed.get(attempt)!.values()) share.applied += sum;
    share.pushed.clear();
    share.committed = { step, attempt };
  }

  #tellStaged(node: number, { step, attempt }: { step: number; attempt: number }): void {
    if (!this.#own(node).every((share) => isStaged(share, { step, attempt }))) return;
    this.#leaders.get(node)?.sendControl({ type: "staged", job: JOB, step, attempt, heads: this.map.heads });
  }

  #onFrame(node: number, f: Frame, link: Link): void {
    const { requestId, job, step, term, table } = { ...f, table: f.tables[0] };
    const own = this.#own(node);
    if (step > 0 && f.generation !== this.map.heads) {
      link.sendControl({ type: "stale-heads", job: JOB, heads: this.map.heads });
    } else if (f.opcode === "push") {
      this.#onPush(node, f);
    } else if (own.some(({ committed }) => committed.step < step - 1)) {
      this.#parked.push({ node, f, link });
    } else {
      const opcode = f.opcode === "set" ? "setReply" : "pullReply";
      const isStale = [...f.partitions].some((p) => this.map.entries[p]!.chain[0] !== node);
      const { committed } = own[0] ?? this.shares[0]!;
      const reply = { opcode, requestId, job, step: committed.step, attempt: committed.attempt, term } as const;
      if (isStale) link.sendFrame(frame({ ...reply, partitions: f.partitions.slice(), ...staleOf(f) }));
      else if (f.opcode === "set") {
        for (let k = 0; k < f.keys.length; k += 2) {
          const at = (k / 2) * DENSE_TABLE.dim;
          this.#dense.set(`${f.keys[k]} ${f.keys[k + 1]}`, f.values.slice(at, at + DENSE_TABLE.dim));
        }
        link.sendFrame(frame(reply));
      } else {
        const dim = table === DENSE_TABLE.id ? DENSE_TABLE.dim : DIM;
        link.sendFrame(frame({ ...reply, values: new Float32Array((f.keys.length / 2) * dim) }));
      }
    }
  }

  #onPush(node: number, { step, attempt, slot, partitions, counts, values }: Frame): void {
    let at = 0;
    const sums = new Map(
      Array.from(partitions, (p, s) => {
        const floats = values.subarray(at, (at += counts[s]! * DIM));
        return [p, floats.reduce((a, b) => a + b, 0)] as const;
      }),
    );
    for (const [p, share] of this.shares.entries()) {
      if (this.map.entries[p]!.chain[0] !== node || step !== share.committed.step + 1) continue;
      const slots = share.pushed.get(attempt) ?? new Map<number, number>();
      share.pushed.set(attempt, slots.set(slot, sums.get(p) ?? 0));
    }
    this.#tellStaged(node, { step, attempt });
  }

  #onWorker(link: Link, control: Control): void {
    this.told.push(control);
    switch (control.type) {
      case "worker-join": {
        const id = this.#workers.length + 1;
        this.#workers.push({ id, link, address: control.address, ready: false });
        link.sendControl({ type: "worker-joined", worker: id });
        link.sendControl({
          type: "assign",
          job: JOB,
          manifest: { ...MANIFEST, fit: { ...MANIFEST.fit, ...this.fit } },
          map: this.map,
        });
        break;
      }
      case "ready":
        this.#workers.find((worker) => worker.link === link)!.ready = true;
        this.beginTerm();
        break;
      case "term-request":
        if (control.term === this.term) this.beginTerm();
        break;
      case "map-request":
        link.sendControl({ type: "map", map: this.map });
        break;
      case "lease-request": {
        const { purpose, term } = control;
        const isOver = purpose === "evaluate" && this.heard("evaluated").length > 0;
        const [from, to] = purpose === "train" ? [1, STEPS + 1] : [0, TEST_ROWS];
        if (isOver) link.sendControl({ type: "no-lease", job: JOB, purpose, term, reason: "done" });
        else link.sendControl({ type: "lease", job: JOB, purpose, term, lease: 1, from, to });
        break;
      }
      case "trained":
      case "fail":
        this.#finished();
        break;
      default:
    }
  }
}

function isStaged(share: Share, { step, attempt }: { step: number; attempt: number }): boolean {
  const slots = share.pushed.get(attempt)?.size;
  return share.committed.step === step - 1 && share.attempt === attempt && slots === share.slots;
}

/** A reply names all segments of a request as stale. */
function staleOf({ partitions }: Frame): Partial<Frame> {
  return { generations: new Uint32Array(partitions.length), counts: new Uint32Array(0) };
}

/** Lets a cluster train, with a fault some time after its start, and waits until it is done. */
async function train(
  cluster: Cluster,
  { workers = 1, afterMs = 0, fault = () => {} }: { workers?: number; afterMs?: number; fault?: () => void } = {},
): Promise<void> {
  await cluster.start(workers);
  cluster.clock.after(afterMs, fault);
  await cluster.clock.until(cluster.finished, { limitMs: 60_000 });
  await cluster.clock.advance(100);
}

/** From before a job is opened until after it is done. */
const MOMENTS = Array.from({ length: 30 }, (_, i) => 3.5 * i);
const isA = (message: Control | Frame, kind: ControlType | Frame["opcode"]): boolean =>
  ("type" in message ? message.type : message.opcode) === kind;

describe("WorkerSession", { timeout: 60_000 }, () => {
  test("has joined when the coordinator says so, not when it has asked", async () => {
    const clock = new SimulatedClock();
    const network = new SimulatedNetwork({ clock, seed: 1 });
    const { dialer } = network.host("worker");
    let coordinator: Link | undefined;
    const { address } = network.host("coordinator").listen({
      name: "coordinator",
      onLink: (link) => {
        coordinator = link;
        link.listen({ onControl: () => {}, onFrame: () => {}, onClose: () => {} });
      },
    });
    const session = new WorkerSession({
      name: "worker",
      address: "",
      backend: "none",
      coordinator: await clock.until(dialer.dial(address, { role: "worker", name: "worker" })),
      dialer,
      clock,
      openDataset: () => Promise.reject(new Error("no job is given")),
      openModel: () => Promise.reject(new Error("no job is given")),
      log: () => {},
    });
    let hasJoined = false;
    void session.joined.then(() => (hasJoined = true));
    await clock.advance(1000);
    expect(hasJoined).toBe(false);
    coordinator!.sendControl({ type: "worker-joined", worker: 7 });
    await clock.until(session.joined);
    session.stop();
  });

  test("trains each sample once", async () => {
    const cluster = new Cluster();
    await train(cluster, { workers: 2 });
    cluster.expectTrained();
  });

  test("trains each sample once when slices change their lengths, at whatever moment", async () => {
    for (const [i, afterMs] of MOMENTS.entries()) {
      const cluster = new Cluster(i);
      const lengths = [[96, 32, 64], [8, 512, 8], undefined, [1, 1, 2]];
      cluster.sliceShares = (members) => lengths[(i + cluster.term) % lengths.length]?.slice(0, members);
      await train(cluster, { workers: 3, afterMs, fault: () => cluster.beginTerm() });
      cluster.expectTrained();
    }
  });

  test("tells how long the samples of its slices took", async () => {
    const cluster = new Cluster();
    cluster.sliceShares = (members) => (members === 2 ? [3, 1] : undefined);
    cluster.modelMs = (samples) => 10 * samples;
    await train(cluster, { workers: 2 });
    await cluster.clock.advance(LIMITS.stepTimesEveryMs);
    cluster.expectTrained();
    const told = cluster.heard("step-times");
    expect(told.length).toBeGreaterThanOrEqual(4); // the first step of each worker, and all later ones
    for (const { samples, computeMs } of told) expect(computeMs).toBe(10 * samples);
    const last = told.filter(({ step }) => step === STEPS).map(({ term, samples }) => ({ term, samples }));
    const slices = Array.from({ length: 2 }, () => expect.objectContaining({ term: cluster.term }));
    expect(last).toEqual(slices);
    expect(Math.max(...last.map(({ samples }) => samples))).toBe(3 * Math.min(...last.map(({ samples }) => samples)));
  });

  test("trains each sample once when a head is lost, at whatever moment", async () => {
    for (const [i, afterMs] of MOMENTS.entries()) {
      const cluster = new Cluster(i);
      await train(cluster, {
        workers: 1 + (i % 2),
        afterMs,
        fault: () => {
          cluster.kill(1);
          cluster.clock.after(i % 7, () => cluster.takeOver(1, 2 + (i % 2)));
        },
      });
      cluster.expectTrained();
    }
  });

  test("trains each sample once when heads are lost one after another", async () => {
    for (const [i, afterMs] of MOMENTS.entries()) {
      const cluster = new Cluster(i);
      await train(cluster, {
        workers: 2,
        afterMs,
        fault: () => {
          cluster.kill(1);
          cluster.takeOver(1, 3);
          cluster.clock.after(i % 5, () => {
            cluster.kill(3);
            cluster.takeOver(3, 2);
          });
        },
      });
      cluster.expectTrained();
    }
  });

  test("what was left out of an attempt that is given up is not kept", async () => {
    for (const [i, afterMs] of MOMENTS.entries()) {
      const cluster = new Cluster(i);
      cluster.fit = { wire: { gradients: { topK: 0.5 } } };
      // Each key comes once: of a step's four rows two are sent, and none is longer for having been kept before.
      await train(cluster, { afterMs, fault: () => (cluster.kill(1), cluster.takeOver(1, 3)) });
      expect(cluster.heard("fail")).toEqual([]);
      expect(cluster.steps).toEqual([STEPS, STEPS, STEPS, STEPS]);
      expect(cluster.shares.reduce((sum, { applied }) => sum + applied, 0)).toBe((ROWS / 2) * DIM);
    }
  });

  test("repeats what a broken link has lost as soon as there is another", async () => {
    for (const [i, afterMs] of MOMENTS.entries()) {
      const cluster = new Cluster(i);
      const fault = () => cluster.network.cut({ between: ["worker-1", "ps-1"] });
      await train(cluster, { workers: 2, afterMs, fault });
      cluster.expectTrained();
      expect(cluster.clock.now()).toBeLessThan(LIMITS.resendEveryMs);
    }
  });

  test("finishes a step that a part of a lost head's partitions had committed", async () => {
    const cluster = new Cluster();
    cluster.instead = (node, message) => {
      if (node !== 1 || !("type" in message) || message.type !== "commit" || message.step !== 3) return false;
      cluster.instead = () => false;
      cluster.commit(cluster.shares[0]!, message);
      cluster.kill(1);
      cluster.takeOver(1, 3);
      return true;
    };
    await train(cluster, { workers: 2 });
    cluster.expectTrained();
    expect(cluster.heard("progress").flatMap(({ commits }) => commits)).toContainEqual(
      expect.objectContaining({ step: 3, attempt: cluster.term - 1 }),
    );
  });

  test("a head that is not lost but replaced is left alone", async () => {
    const cluster = new Cluster();
    const late: ControlType[] = [];
    await train(cluster, {
      afterMs: 50,
      fault: () => {
        cluster.takeOver(1, 3);
        cluster.clock.after(10, () => {
          cluster.instead = (node, message) => node === 1 && "type" in message && late.push(message.type) > 0;
        });
      },
    });
    cluster.expectTrained();
    expect(late).toEqual([]);
  });

  test("a job is opened while a head is lost, once another has taken over", async () => {
    for (const takeOverMs of [1, 100, 20_000]) {
      const cluster = new Cluster();
      cluster.kill(1);
      await train(cluster, { afterMs: takeOverMs, fault: () => cluster.takeOver(1, 3) });
      cluster.expectTrained();
    }
  });

  test("a job that cannot be opened fails with the node that is missing", async () => {
    const cluster = new Cluster();
    cluster.kill(1);
    await train(cluster);
    expect(cluster.heard("fail")).toMatchObject([
      { code: "PARTITION_UNAVAILABLE", message: expect.stringContaining("ps-1") },
    ]);
    expect(cluster.clock.now()).toBeGreaterThan(LIMITS.tableRetryMs);
  });

  test("a term whose map has not come waits for it, and asks for it", async () => {
    const cluster = new Cluster();
    cluster.tellMap = () => {};
    await train(cluster, {
      afterMs: 50,
      fault: () => {
        cluster.kill(1);
        cluster.takeOver(1, 3);
      },
    });
    cluster.expectTrained();
    expect(cluster.heard("map-request")).toHaveLength(1);
  });

  test("nodes that know of newer heads are believed, and the coordinator is asked for a term, but not at each message", async () => {
    const cluster = new Cluster();
    cluster.instead = (node, message, link) => {
      if (node !== 1 || !isA(message, "fence")) return false;
      for (let i = 0; i < 5; i++) link.sendControl({ type: "stale-heads", job: JOB, heads: 99 });
      return true;
    };
    await cluster.start(1);
    await cluster.clock.advance(LIMITS.resendEveryMs - 500);
    expect(cluster.heard("term-request")).toMatchObject([{ term: 1, reason: expect.stringContaining("PS node 1") }]);
    cluster.instead = () => false;
    await cluster.clock.until(cluster.finished);
    cluster.expectTrained();
  });

  test("a node that knows of older heads is passed over", async () => {
    const cluster = new Cluster();
    cluster.instead = (_, message, link) => {
      if (!isA(message, "fence")) return false;
      link.sendControl({ type: "stale-heads", job: JOB, heads: 1 });
      const committed = { step: 7, attempt: 3 };
      link.sendControl({ type: "promise", job: JOB, term: 1, heads: 0, committed, whole: true });
      return false;
    };
    await train(cluster);
    cluster.expectTrained();
    expect(cluster.heard("term-request")).toEqual([]);
  });

  test("what passes of a step's refusals begins a new term, and nothing of the step is lost", async () => {
    for (const code of ["PARTITION_UNAVAILABLE", "STALE_GENERATION", "UNKNOWN_JOB"]) {
      const cluster = new Cluster();
      cluster.instead = (node, message, link) => {
        if (node !== 1 || !("opcode" in message) || message.opcode !== "push" || message.step !== 3) return false;
        cluster.instead = () => false;
        link.sendControl({ type: "error", job: JOB, requestId: message.requestId, code, message: "not now" });
        return true;
      };
      await train(cluster);
      cluster.expectTrained();
      expect(cluster.heard("term-request")).toHaveLength(1);
    }
  });

  test("what should pass but does not fails the job in the end", async () => {
    const cluster = new Cluster();
    cluster.instead = (_, message, link) => {
      if (!("opcode" in message) || message.opcode !== "push") return false;
      const { requestId } = message;
      link.sendControl({ type: "error", job: JOB, requestId, code: "PARTITION_UNAVAILABLE", message: "no disk" });
      return true;
    };
    await train(cluster);
    expect(cluster.heard("fail")[0]).toMatchObject({
      code: "PARTITION_UNAVAILABLE",
      message: expect.stringMatching(/^PS node [12] refused: no disk \(for \d+ s\)$/),
    });
    expect(cluster.heard("term-request").length).toBeLessThanOrEqual(LIMITS.tableRetryMs / LIMITS.resendEveryMs + 1);
  });

  test("a mistake fails the job at once", async () => {
    const cluster = new Cluster();
    cluster.instead = (node, message, link) => {
      if (node !== 1 || !isA(message, "push")) return false;
      link.sendControl({ type: "error", job: JOB, requestId: 1, code: "LIMIT_EXCEEDED", message: "no memory" });
      return true;
    };
    await train(cluster);
    expect(cluster.heard("fail")[0]).toMatchObject({ code: "BAD_UPDATE", message: "PS node 1 refused: no memory" });
    expect(cluster.heard("term-request")).toEqual([]);
  });

  describe("evaluating", () => {
    /** A trained job whose evaluation begins. */
    const evaluating = async (cluster: Cluster): Promise<void> => {
      await train(cluster);
      cluster.tellWorkers({ type: "evaluate", job: JOB, term: cluster.term, step: STEPS });
    };

    test("goes on with the head that takes over", async () => {
      for (const takeOverMs of [0, 1, 3, 10, 300, 20_000]) {
        const cluster = new Cluster();
        await evaluating(cluster);
        cluster.kill(1);
        cluster.clock.after(takeOverMs, () => cluster.takeOver(1, 3));
        await cluster.clock.advance(takeOverMs + 1000);
        expect(cluster.heard("evaluated")).toHaveLength(1);
        expect(cluster.heard("fail")).toEqual([]);
      }
    });

    test("does not wait for an answer of a node that is the head no more, or that never comes", async () => {
      for (const isReplaced of [true, false]) {
        const cluster = new Cluster();
        await evaluating(cluster);
        let swallowed = 0;
        cluster.instead = (node, message) =>
          node === 1 && isA(message, "pull") && (isReplaced || swallowed === 0) && ++swallowed > 0;
        await cluster.clock.advance(100);
        expect(swallowed).toBe(1);
        if (isReplaced) cluster.takeOver(1, 2, { stays: true });
        await cluster.clock.advance(isReplaced ? 1000 : 2 * LIMITS.resendEveryMs + 100);
        expect(cluster.heard("evaluated")).toHaveLength(1);
      }
    });

    test("fails when nobody takes over", async () => {
      const cluster = new Cluster();
      await evaluating(cluster);
      cluster.kill(1);
      await cluster.clock.advance(LIMITS.tableRetryMs + 1000);
      expect(cluster.heard("fail")).toMatchObject([{ code: "PARTITION_UNAVAILABLE" }]);
    });
  });
});
