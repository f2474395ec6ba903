/** For tests: workers with PS nodes and a coordinator that know one script. */
import { expect } from "vitest";
import type { JobManifest } from "../job/index.ts";
import { firstPartitionMap, type PartitionMap } from "../partition/index.ts";
import { DENSE_TABLE } from "../table/index.ts";
import { SimulatedClock, SimulatedNetwork, type SimulatedHost } from "../testing/index.ts";
import {
  frame,
  KeyLists,
  type Control,
  type ControlOf,
  type ControlType,
  type Frame,
  type Link,
} from "../wire/index.ts";
import { dataset, DIM, JOB, MANIFEST, model, ROWS, STEPS, TEST_ROWS } from "./test-worker-job.ts";
import { WorkerSession } from "./worker-session.ts";

const NODES = [1, 2, 3];

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
export class Cluster {
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
export async function train(
  cluster: Cluster,
  { workers = 1, afterMs = 0, fault = () => {} }: { workers?: number; afterMs?: number; fault?: () => void } = {},
): Promise<void> {
  await cluster.start(workers);
  cluster.clock.after(afterMs, fault);
  await cluster.clock.until(cluster.finished, { limitMs: 60_000 });
  await cluster.clock.advance(100);
}

/** From before a job is opened until after it is done. */
export const MOMENTS = Array.from({ length: 30 }, (_, i) => 3.5 * i);
export const isA = (message: Control | Frame, kind: ControlType | Frame["opcode"]): boolean =>
  ("type" in message ? message.type : message.opcode) === kind;
