/**
 * A whole cluster — coordinator, PS nodes, workers, a client — in one process, on a simulated network and clock.
 * The state machines and sessions are the ones that run in production; only sockets, disk and time are replaced.
 */
import { Requests, retry, TableClient, type ExportedRows } from "@volary/core/client";
import type { JobManifest } from "@volary/core/job";
import type { PartitionFunction, PartitionMap } from "@volary/core/partition";
import { MemoryColdStore, TableMemory } from "@volary/core/table";
import { lendingLink, SimulatedClock, SimulatedNetwork, type SimulatedHost } from "@volary/core/testing";
import { readDense, WorkerSession, writeDense, type GradientModel } from "@volary/core/training";
import type { Control, ControlOf, JobNews, JobStatus, Link } from "@volary/core/wire";
import { Coordinator, CoordinatorHost, memoryStore, PsHost, type PsBounds, type PsNode } from "@volary/ps-server";
import { DENSE_FLOATS, toyDataset, toyModel } from "./toy-job.ts";

const PARTITIONS_LOG2 = 3;
/** Of all simulated PS nodes: a memory is gigabytes of addresses. */
const MEMORY = new TableMemory();
const SPILLING_MEMORY = new TableMemory({ openCold: (recordBytes) => new MemoryColdStore(recordBytes) });

export interface FinishedJob {
  status: JobStatus;
  commits: ControlOf<"commits">["commits"];
  terms: ControlOf<"commits">["terms"];
  map: PartitionMap;
  /** All the news that its client was told. */
  history: JobNews;
  /** Rows of each table. */
  tables: ReadonlyMap<string, ExportedRows>;
  dense: Float32Array;
}

export interface SimulatedClusterOptions {
  seed: number;
  openModel?: () => GradientModel;
  partitionFunction?: PartitionFunction;
  psBounds?: PsBounds;
  /** Each partition's rows may take so much memory beside the dense weights; what is more goes to disk. */
  roomBytes?: number | undefined;
}

export class SimulatedCluster {
  readonly clock = new SimulatedClock();
  readonly network: SimulatedNetwork;
  /** What the coordinator logged, with times: the trace of a run. */
  readonly trace: string[] = [];
  readonly #workers = new Map<string, { host: SimulatedHost; session: WorkerSession | undefined }>();
  readonly #nodes: PsNode[] = [];
  #coordinator = "";

  readonly #openModel: () => GradientModel;
  readonly #partitionFunction: PartitionFunction;
  readonly #psBounds: PsBounds;
  readonly #roomBytes: number | undefined;
  readonly #memory: TableMemory;
  readonly #psHosts: PsHost[] = [];

  constructor({
    seed,
    openModel = toyModel,
    partitionFunction = { kind: "hash" },
    psBounds = {},
    roomBytes,
  }: SimulatedClusterOptions) {
    this.#psBounds = psBounds;
    this.#roomBytes = roomBytes;
    this.#memory = roomBytes === undefined ? MEMORY : SPILLING_MEMORY;
    this.#openModel = openModel;
    this.#partitionFunction = partitionFunction;
    this.network = new SimulatedNetwork({ clock: this.clock, seed });
  }

  get workers(): string[] {
    return [...this.#workers.keys()];
  }

  /** Has the first term begun? */
  get training(): boolean {
    return this.trace.some((line) => line.includes("(start)"));
  }

  /** Pushes that PS nodes have taken. */
  get pushes(): number {
    return this.#nodes.reduce((sum, { counters }) => sum + counters.pushes, 0);
  }

  /** Frames whose keys PS nodes did not know by their name, so that they were sent again. */
  get unknownKeys(): number {
    return this.#nodes.reduce((sum, { counters }) => sum + counters.unknownKeys, 0);
  }

  /** Rows that ever went to disk, and those that are there. */
  get onDisk(): { spilled: number; rows: number; bytes: number } {
    const { rowsSpilled, rows, bytes } = this.#memory.cold ?? { rowsSpilled: 0, rows: 0, bytes: 0 };
    return { spilled: rowsSpilled, rows, bytes };
  }

  /** Starts the coordinator; its state is kept in memory. */
  startCoordinator(): void {
    const host = this.network.host("coordinator");
    const coordinator = new CoordinatorHost({
      coordinator: new Coordinator({ partitionsLog2: PARTITIONS_LOG2, partitionFunction: this.#partitionFunction }),
      store: memoryStore(),
      clock: host.clock,
      log: (message) => this.#note(message),
    });
    const { address } = host.listen({
      name: "coordinator",
      refuse: (hello) => coordinator.refuse(hello),
      onLink: (link) => coordinator.accept(link),
    });
    this.#coordinator = address;
  }

  async startPsNode(name: string): Promise<void> {
    const host = this.network.host(name);
    const ps = new PsHost({
      name,
      clock: host.clock,
      log: (message) => this.#note(message),
      memory: this.#memory,
      bounds: this.#psBounds,
      onCoordinatorLost: () => {},
    });
    this.#psHosts.push(ps);
    const { address } = host.listen({
      name,
      refuse: (hello) => ps.refuse(hello),
      onLink: (link) => ps.accept(lendingLink(link)),
    });
    const coordinator = await host.dialer.dial(this.#coordinator, { role: "ps", name });
    await ps.join({ coordinator, address });
    this.#nodes.push(ps.node!);
  }

  async startWorker(name: string): Promise<void> {
    const host = this.network.host(name);
    const entry: { host: SimulatedHost; session: WorkerSession | undefined } = { host, session: undefined };
    this.#workers.set(name, entry);
    const { address } = host.listen({
      name,
      refuse: (hello) => entry.session?.refusePeer(hello),
      onLink: (link, hello) => entry.session?.acceptPeer(hello, link),
    });
    const coordinator = await retry({
      clock: host.clock,
      attempt: () => host.dialer.dial(this.#coordinator, { role: "worker", name }),
    });
    entry.session = new WorkerSession({
      name,
      address,
      backend: "toy",
      coordinator,
      dialer: host.dialer,
      clock: host.clock,
      openDataset: async () => toyDataset(),
      openModel: async () => this.#openModel(),
      log: (message) => this.#note(`${name}: ${message}`),
    });
  }

  /** Gives the memory of all PS nodes back. */
  stop(): void {
    for (const ps of this.#psHosts) ps.stop("the simulation is over");
  }

  /** kill −9: nothing is said, nothing is kept. */
  crashWorker(name: string): void {
    this.#note(`fault: ${name} crashes`);
    this.#workers.get(name)!.host.crash();
    this.#workers.delete(name);
  }

  /** Ends the connections between two hosts; both stay up. */
  cut(a: string, b: string): void {
    this.#note(`fault: ${a} and ${b} lose their connections`);
    this.network.cut({ between: [a, b] });
  }

  hold(a: string, b: string, forMs: number): void {
    this.#note(`fault: nothing passes between ${a} and ${b} for ${Math.round(forMs)} ms`);
    this.network.hold({ between: [a, b], forMs });
  }

  /**
   * Submits a job with all dense weights at 0.1, as `cluster.train` does, and reads what it leaves behind.
   *
   * @param o.finishAfterMs ends training early, this long after it was submitted
   */
  async runJob(manifest: JobManifest, { finishAfterMs }: { finishAfterMs?: number } = {}): Promise<FinishedJob> {
    const host = this.network.host("client");
    const link = await host.dialer.dial(this.#coordinator, { role: "client", name: "client" });
    const heard = new Heard(link);
    link.sendControl({ type: "submit", manifest });
    const { job, map } = await heard.next("submitted");
    const tables = await openTables({ host, job, map });
    await writeDense(tables, manifest.model.variables, new Float32Array(DENSE_FLOATS).fill(0.1));
    this.#leaveRoom();
    link.sendControl({ type: "run-job", job });
    link.sendControl({ type: "watch", job });
    if (finishAfterMs !== undefined) {
      host.clock.after(finishAfterMs, () =>
        link.sendControl({ type: "finish-job", job, reason: "its client says so" }),
      );
    }
    const history: JobNews = { steps: [], epochs: [], validations: [] };
    let status: JobStatus;
    do {
      status = (await heard.next("job-status")).status;
      history.steps.push(...(status.news?.steps ?? []));
      history.epochs.push(...(status.news?.epochs ?? []));
      history.validations.push(...(status.news?.validations ?? []));
    } while (!["done", "failed", "stopped"].includes(status.phase));
    link.sendControl({ type: "commits-request", job });
    const { commits, terms } = await heard.next("commits");
    const rows = new Map<string, ExportedRows>();
    for (const table of manifest.tables) rows.set(table.name, await wholeTable(tables.export(table)));
    const dense = await readDense(tables, manifest.model.variables);
    return { status, commits, terms, map, history, tables: rows, dense };
  }

  /** The dense weights have taken memory by now: a row of theirs is larger than all others together. */
  #leaveRoom(): void {
    if (this.#roomBytes === undefined) return;
    const places = 2 ** PARTITIONS_LOG2;
    for (let place = 0; place < places; place++) {
      const share = this.#memory.shareOf(place, { place, places });
      share.bytesMax = share.bytes + this.#roomBytes;
    }
  }

  #note(message: string): void {
    this.trace.push(`${this.clock.now().toFixed(3)} ${message}`);
  }
}

/** Control messages in order, to be awaited by type. */
class Heard {
  readonly #all: Control[] = [];
  #wake: () => void = () => {};
  #closed: string | undefined;

  constructor(link: Link) {
    link.listen({
      onControl: (control) => {
        this.#all.push(control);
        this.#wake();
      },
      onFrame: () => {},
      onClose: (reason) => {
        this.#closed = reason;
        this.#wake();
      },
    });
  }

  async next<T extends "submitted" | "job-status" | "commits">(type: T): Promise<ControlOf<T>> {
    for (;;) {
      const at = this.#all.findIndex((control) => control.type === type || control.type === "error");
      const control = at < 0 ? undefined : this.#all.splice(at, 1)[0]!;
      if (control?.type === "error") throw new Error(`the coordinator refused: ${control.message}`);
      if (control) return control as ControlOf<T>;
      if (this.#closed !== undefined) throw new Error(`the coordinator's link closed: ${this.#closed}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

async function openTables({
  host,
  job,
  map,
}: {
  host: SimulatedHost;
  job: number;
  map: PartitionMap;
}): Promise<TableClient> {
  const requests = new Requests();
  const links = new Map<number, Link>();
  for (const { node, address } of map.nodes) {
    const link = await host.dialer.dial(address, { role: "client", name: "client", job });
    links.set(node, link);
    link.listen({
      onControl: (control) => void (control.type === "error" && requests.takeError(control)),
      onFrame: (f) => void requests.takeFrame(f),
      onClose: (reason) => requests.failLink(link, reason),
    });
  }
  return new TableClient({ job, map, requests, link: (node) => links.get(node)! });
}

async function wholeTable(chunks: AsyncGenerator<ExportedRows>): Promise<ExportedRows> {
  const parts: ExportedRows[] = [];
  for await (const part of chunks) parts.push(part);
  const keys = new BigUint64Array(parts.reduce((n, p) => n + p.keys.length, 0));
  const values = new Float32Array(parts.reduce((n, p) => n + p.values.length, 0));
  let [k, v] = [0, 0];
  for (const part of parts) {
    keys.set(part.keys, k);
    values.set(part.values, v);
    k += part.keys.length;
    v += part.values.length;
  }
  return { keys, values };
}
