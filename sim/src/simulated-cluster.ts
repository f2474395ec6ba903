/**
 * A whole cluster — coordinator, PS nodes, workers, clients — in one process, on a simulated network and clock. The
 * state machines and sessions are the ones that run in production; only sockets, disk and time are replaced.
 */
import { retry } from "@volary/core/client";
import { partitionFunction, partitionMapSchema, type PartitionFunction } from "@volary/core/partition";
import { NO_SABOTAGE, type Sabotages } from "@volary/core/sabotage";
import {
  seededRandom,
  SimulatedClock,
  SimulatedNetwork,
  type SeededRandom,
  type SimulatedHost,
} from "@volary/core/testing";
import { WorkerSession, type GradientModel, type ReducerOptions } from "@volary/core/training";
import type { ClusterStatus } from "@volary/core/wire";
import { Coordinator, CoordinatorHost, type PsBounds, type PsCounters } from "@volary/ps-server";
import { BatchMessages } from "./batch-messages.ts";
import { simulatedKeys, SimulatedGateway } from "./simulated-gateway.ts";
import { SimulatedClient } from "./simulated-client.ts";
import { SimulatedPs } from "./simulated-ps.ts";
import { SimulatedStore, type SimulatedStoreOptions } from "./simulated-store.ts";
import { toyDataset, toyModel } from "./toy-job.ts";

const PARTITIONS_LOG2 = 3;
/** A coordinator that comes back has the address of the one before. */
const COORDINATOR_PORT = 6000;
const RESTART_MS = 100;
const HOST_SALT = 0x4057;

export interface SimulatedClusterOptions {
  seed: number;
  replicas?: number;
  openModel?: (of: { host: SimulatedHost }) => GradientModel;
  partitionFunction?: PartitionFunction;
  psBounds?: PsBounds;
  sabotages?: Sabotages;
  /** Clocks run faster or slower by at most this share. */
  clockDrift?: number;
  /** Some connections are slower than others. */
  slowShare?: number;
  /** Each partition's rows may take so much memory beside the dense weights; what is more goes to disk. */
  roomBytes?: number | undefined;
  /** How workers deal with volunteers; they take none without it. */
  reducer?: Omit<ReducerOptions, "auditSeed"> | undefined;
  store?: Pick<SimulatedStoreOptions, "delayMaxMs" | "full">;
}

interface SimulatedWorker {
  readonly host: SimulatedHost;
  session: WorkerSession | undefined;
}

export class SimulatedCluster {
  readonly clock = new SimulatedClock();
  readonly network: SimulatedNetwork;
  /** What the processes logged, with times: the trace of a run. */
  readonly trace: string[] = [];
  /** What no process may do: leave memory taken, for one. */
  readonly faults: string[] = [];
  /** What the coordinator was told of batches, and said. */
  readonly messages = new BatchMessages();
  /** How often the order of a chain was changed. */
  reorders = 0;
  /** Partitions whose order is being changed. */
  readonly #held = new Set<number>();
  readonly #o: Required<Omit<SimulatedClusterOptions, "store">>;
  readonly #random: SeededRandom;
  readonly #store: SimulatedStore;
  readonly #workers = new Map<string, SimulatedWorker>();
  readonly #nodes = new Map<string, SimulatedPs>();
  readonly #clients: string[] = [];
  #gateway: SimulatedGateway | undefined;
  /** Of PS processes that have ended. */
  readonly #past = { counters: new Map<string, number>(), spilled: 0 };
  #coordinator: { host: SimulatedHost; machine: Coordinator } | undefined;
  #roomBytes: number | undefined;
  #stopped = false;

  constructor({ store, ...o }: SimulatedClusterOptions) {
    this.#o = {
      replicas: 1,
      openModel: () => toyModel(),
      partitionFunction: { kind: "hash" },
      psBounds: {},
      sabotages: NO_SABOTAGE,
      clockDrift: 0,
      slowShare: 0,
      roomBytes: undefined,
      reducer: undefined,
      ...o,
    };
    this.#roomBytes = this.#o.roomBytes;
    const { seed, slowShare } = this.#o;
    this.#random = seededRandom((seed ^ HOST_SALT) >>> 0);
    this.network = new SimulatedNetwork({
      clock: this.clock,
      seed,
      slow: { share: slowShare, delayMs: { min: 2, max: 60 } },
    });
    this.#store = new SimulatedStore({
      delayMaxMs: 0,
      full: [],
      ...store,
      clock: this.clock,
      random: this.#random,
      onSaved: (key, value) => (key === "map" ? this.#onMapSaved(value) : undefined),
    });
  }

  /** Has the coordinator saved all that it decided? Only then does it tell anyone. */
  get isSaved(): boolean {
    return this.#store.isIdle;
  }

  get workers(): string[] {
    return [...this.#workers.keys()];
  }

  /** Names of the PS processes that run, or are paused. */
  get nodes(): string[] {
    return [...this.#nodes.keys()];
  }

  node(name: string): SimulatedPs | undefined {
    return this.#nodes.get(name);
  }

  /** The coordinator's state; none while it is down. */
  get coordinator(): Coordinator | undefined {
    return this.#coordinator?.host.alive ? this.#coordinator.machine : undefined;
  }

  get status(): ClusterStatus | undefined {
    const { host, machine } = this.#coordinator ?? {};
    return host?.alive ? machine!.status(host.clock.now()) : undefined;
  }

  /** Has the first term begun? */
  get training(): boolean {
    return this.trace.some((line) => line.includes("(start)"));
  }

  /** A counter of the PS nodes, over all that ever ran. */
  counter(name: keyof PsCounters): number {
    let sum = this.#past.counters.get(name) ?? 0;
    for (const { node } of this.#nodes.values()) sum += node?.counters[name] ?? 0;
    return sum;
  }

  /** Rows that ever went to disk. */
  get spilled(): number {
    let sum = this.#past.spilled;
    for (const { spilled } of this.#nodes.values()) sum += spilled;
    return sum;
  }

  // -- processes -------------------------------------------------------------------------------------------

  /** Starts the coordinator, with what one before it has saved. */
  async startCoordinator(): Promise<void> {
    const host = this.host("coordinator");
    const { partitionFunction, replicas, sabotages } = this.#o;
    const machine = new Coordinator({
      partitionsLog2: PARTITIONS_LOG2,
      partitionFunction,
      replicas,
      sabotages,
      records: await this.#store.load(),
      volunteerKeys: simulatedKeys(this.#random),
    });
    this.#coordinator = { host, machine };
    const coordinator = new CoordinatorHost({
      coordinator: this.messages.overhear(machine),
      store: this.#store,
      clock: host.clock,
      log: (message) => this.note(message),
    });
    host.listen({
      name: "coordinator",
      port: COORDINATOR_PORT,
      refuse: (hello) => coordinator.refuse(hello),
      onLink: (link) => coordinator.accept(link),
    });
  }

  startPsNode(name: string): SimulatedPs {
    const { psBounds: bounds, sabotages, partitionFunction: kind } = this.#o;
    const roomBytes = this.#roomBytes;
    const densePartition = partitionFunction(kind, 2 ** PARTITIONS_LOG2)(0, 0);
    const ps = new SimulatedPs({
      name,
      host: this.host(name),
      random: this.#random,
      coordinator: `sim://coordinator:${COORDINATOR_PORT}`,
      bounds,
      room: roomBytes === undefined ? undefined : { roomBytes, densePartition },
      sabotages,
      log: (message) => this.note(message),
    });
    this.#nodes.set(name, ps);
    return ps;
  }

  async startWorker(name: string): Promise<void> {
    const host = this.host(name);
    const { reducer } = this.#o;
    const worker: SimulatedWorker = { host, session: undefined };
    this.#workers.set(name, worker);
    const { address } = host.listen({
      name,
      refuse: (hello) => worker.session?.refusePeer(hello),
      onLink: (link, hello) => worker.session?.acceptPeer(hello, link),
    });
    const coordinator = await retry({
      clock: host.clock,
      attempt: () => host.dialer.dial(`sim://coordinator:${COORDINATOR_PORT}`, { role: "worker", name }),
    });
    worker.session = new WorkerSession({
      name,
      address,
      backend: "toy",
      coordinator,
      dialer: host.dialer,
      clock: host.clock,
      openDataset: async () => toyDataset(),
      openModel: async () => this.#o.openModel({ host }),
      reducer: reducer && { ...reducer, auditSeed: [this.#random.below(2 ** 31)] },
      log: (message) => this.note(`${name}: ${message}`),
      sabotages: this.#o.sabotages,
    });
    void worker.session.closed.then((reason) => this.#restartWorker(name, worker, reason));
  }

  client(name: string): SimulatedClient {
    this.#clients.push(name);
    return new SimulatedClient({
      name,
      host: this.host(name),
      random: this.#random,
      coordinator: `sim://coordinator:${COORDINATOR_PORT}`,
      sabotages: this.#o.sabotages,
    });
  }

  /** Starts the gateway that volunteers reach, in the place of one that has crashed. */
  startGateway(): void {
    const coordinator = `sim://coordinator:${COORDINATOR_PORT}`;
    const [host, random] = [this.host("gateway"), this.#random];
    this.#gateway = new SimulatedGateway({ host, random, coordinator, log: (message) => this.note(message) });
  }

  /** The newest; it may have crashed. */
  get gateway(): SimulatedGateway {
    if (!this.#gateway) throw new Error("this cluster has no gateway; call startGateway() before volunteers come");
    return this.#gateway;
  }

  /** Ends a PS process that holds nothing. */
  stopPsNode(name: string): void {
    this.#end(name);
  }

  /** Ends all processes. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    for (const name of this.nodes) this.#end(name);
  }

  // -- faults ----------------------------------------------------------------------------------------------

  /** kill −9: nothing is said, nothing is kept. */
  crashWorker(name: string): void {
    this.note(`fault: ${name} crashes`);
    this.#workers.get(name)!.host.crash();
    this.#workers.delete(name);
  }

  crashPsNode(name: string): void {
    this.note(`fault: ${name} crashes`);
    this.#end(name);
  }

  /** What it saved is kept. */
  crashCoordinator(): void {
    this.note("fault: the coordinator crashes");
    this.#coordinator!.host.crash();
  }

  /** Ends the connections between two processes; both stay up. */
  cut(a: string, b: string): void {
    this.note(`fault: ${a} and ${b} lose their connections`);
    this.network.cut({ between: [a, b] });
  }

  /** @param o.way "there": only what `a` sends `b` is held */
  hold(a: string, b: string, { forMs, way }: { forMs: number; way: "both" | "there" }): void {
    const what = way === "both" ? `nothing passes between ${a} and ${b}` : `nothing passes from ${a} to ${b}`;
    this.note(`fault: ${what} for ${Math.round(forMs)} ms`);
    this.network.hold({ between: [a, b], forMs, way });
  }

  /** Nothing passes for a time between these processes and all others, or the coordinator alone. */
  split(cutOff: ReadonlySet<string>, { from, forMs }: { from: "others" | "coordinator"; forMs: number }): void {
    const whom = from === "others" ? "all others" : "the coordinator";
    this.note(`fault: ${[...cutOff].join(", ")} are cut off from ${whom} for ${Math.round(forMs)} ms`);
    const others = [...this.nodes, ...this.workers, ...this.#clients].filter((name) => !cutOff.has(name));
    const away = from === "others" ? ["coordinator", ...others] : ["coordinator"];
    for (const a of cutOff) for (const b of away) this.network.hold({ between: [a, b], forMs });
  }

  pause(name: string, forMs: number): void {
    this.note(`fault: ${name} is stopped for ${Math.round(forMs)} ms`);
    this.network.hostOf(name)!.pause(forMs);
  }

  /** Gives PS nodes as much memory as they like, those that come later, too. */
  relaxMemory(): void {
    this.#roomBytes = undefined;
    for (const ps of this.#nodes.values()) ps.relax();
  }

  note(message: string): void {
    this.trace.push(`${this.clock.now().toFixed(3)} ${message}`);
  }

  #onMapSaved(value: unknown): void {
    for (const [partition, { held }] of partitionMapSchema.parse(value).entries.entries()) {
      if (held && !this.#held.has(partition)) this.reorders++;
      if (held) this.#held.add(partition);
      else this.#held.delete(partition);
    }
  }

  /** A process; the name of one that crashed may be used again. */
  host(name: string): SimulatedHost {
    const { clockDrift } = this.#o;
    const rate = 1 + this.#random.between({ min: -clockDrift, max: clockDrift });
    return this.network.host(name, clockDrift === 0 ? {} : { rate, startMs: this.#random.below(1_000_000) });
  }

  /** A worker ends with its link to the coordinator; whoever started it starts it again. */
  #restartWorker(name: string, worker: SimulatedWorker, reason: string): void {
    if (this.#stopped || !worker.host.alive) return;
    this.note(`${name} ends and is started again: ${reason}`);
    worker.host.crash();
    this.#workers.delete(name);
    this.clock.after(RESTART_MS, () => void this.startWorker(name));
  }

  #end(name: string): void {
    const ps = this.#nodes.get(name)!;
    this.#nodes.delete(name);
    for (const [counter, n] of Object.entries(ps.node?.counters ?? {}))
      this.#past.counters.set(counter, (this.#past.counters.get(counter) ?? 0) + n);
    this.#past.spilled += ps.spilled;
    this.faults.push(...ps.end());
  }
}
