/**
 * A whole cluster — coordinator, PS nodes, workers, a client — in one process, on a simulated network and clock.
 * The state machines and sessions are the ones that run in production; only sockets, disk and time are replaced.
 */
import { Requests, retry, TableClient, type ExportedRows } from "@volary/core/client";
import type { JobManifest } from "@volary/core/job";
import { LIMITS } from "@volary/core/limits";
import type { PartitionMap } from "@volary/core/partition";
import { SimulatedClock, SimulatedNetwork, type SimulatedHost } from "@volary/core/testing";
import { readDense, WorkerSession, writeDense } from "@volary/core/training";
import type { Control, ControlOf, JobStatus, Link } from "@volary/core/wire";
import { Coordinator, PsNode, type CoordinatorEffect, type PsEffect } from "@volary/ps-server";
import { DENSE_FLOATS, toyDataset, toyModel } from "./toy-job.ts";

const PARTITIONS_LOG2 = 3;
const TICK_MS = 200;

export interface FinishedJob {
  status: JobStatus;
  commits: ControlOf<"commits">["commits"];
  terms: ControlOf<"commits">["terms"];
  /** Rows of each table. */
  tables: ReadonlyMap<string, ExportedRows>;
  dense: Float32Array;
}

export class SimulatedCluster {
  readonly clock = new SimulatedClock();
  readonly network: SimulatedNetwork;
  /** What the coordinator logged, with times: the trace of a run. */
  readonly trace: string[] = [];
  readonly #workers = new Map<string, { host: SimulatedHost; session: WorkerSession | undefined }>();
  readonly #nodes: PsNode[] = [];
  #coordinator = "";

  constructor({ seed }: { seed: number }) {
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

  /** Starts the coordinator; rows and jobs are kept in memory. */
  startCoordinator(): void {
    const host = this.network.host("coordinator");
    const coordinator = new Coordinator({ partitionsLog2: PARTITIONS_LOG2 });
    const links = new Map<number, Link>();
    let nextLink = 1;
    const carryOut = (effects: CoordinatorEffect[]): void => {
      for (const effect of effects) {
        if (effect.kind === "control") links.get(effect.link)?.sendControl(effect.control);
        else if (effect.kind === "close") links.get(effect.link)?.close(effect.reason);
        else if (effect.kind === "log") this.#note(effect.message);
      }
    };
    const { address } = host.listen({
      name: "coordinator",
      onLink: (link) => {
        const id = nextLink++;
        links.set(id, link);
        link.listen({
          onControl: (control) => carryOut(coordinator.handleControl(id, control, this.clock.now())),
          onFrame: () => link.close("the coordinator takes no frames"),
          onClose: () => {
            links.delete(id);
            carryOut(coordinator.handleClose(id, this.clock.now()));
          },
        });
      },
    });
    const tick = (): void => {
      carryOut(coordinator.tick(this.clock.now()));
      host.clock.after(TICK_MS, tick);
    };
    tick();
    this.#coordinator = address;
  }

  async startPsNode(name: string): Promise<void> {
    const host = this.network.host(name);
    const links = new Map<number, Link>();
    let node: PsNode | undefined;
    let nextLink = 1;
    const carryOut = (effects: PsEffect[]): void => {
      for (const effect of effects) {
        if (effect.kind === "control") links.get(effect.link)?.sendControl(effect.control);
        else links.get(effect.link)?.sendFrame(effect.frame);
      }
    };
    const { address } = host.listen({
      name,
      onLink: (link) => {
        const id = nextLink++;
        links.set(id, link);
        link.listen({
          onControl: (control) => carryOut(node!.handleControl(id, control)),
          onFrame: (f) => carryOut(node!.handleFrame(id, f)),
          onClose: () => {
            links.delete(id);
            node!.handleClose(id);
          },
        });
      },
    });
    const coordinator = await host.dialer.dial(this.#coordinator, { role: "ps", name });
    links.set(0, coordinator);
    coordinator.listen({
      onControl: (control) => {
        if (control.type === "ps-joined") this.#nodes.push((node = new PsNode({ node: control.node })));
        else carryOut(node!.handleControl(0, control));
      },
      onFrame: () => {},
      onClose: () => {},
    });
    coordinator.sendControl({ type: "ps-join", name, address });
    const beat = (): void => {
      coordinator.sendControl({ type: "heartbeat", ...node?.usage() });
      host.clock.after(LIMITS.heartbeatEveryMs, beat);
    };
    beat();
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
    const coordinator = await retry({ clock: host.clock, attempt: () => host.dialer.dial(this.#coordinator, { role: "worker", name }) });
    entry.session = new WorkerSession({
      name,
      address,
      backend: "toy",
      coordinator,
      dialer: host.dialer,
      clock: host.clock,
      openDataset: async () => toyDataset(),
      openModel: async () => toyModel(),
      log: (message) => this.#note(`${name}: ${message}`),
    });
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

  /** Submits a job with all dense weights at 0.1, as `cluster.train` does, and reads what it leaves behind. */
  async runJob(manifest: JobManifest): Promise<FinishedJob> {
    const host = this.network.host("client");
    const link = await host.dialer.dial(this.#coordinator, { role: "client", name: "client" });
    const heard = new Heard(link);
    link.sendControl({ type: "submit", manifest });
    const { job, map } = await heard.next("submitted");
    const tables = await openTables({ host, job, map });
    await writeDense(tables, manifest.model.variables, new Float32Array(DENSE_FLOATS).fill(0.1));
    link.sendControl({ type: "run-job", job });
    link.sendControl({ type: "watch", job });
    let status: JobStatus;
    do status = (await heard.next("job-status")).status;
    while (!["done", "failed", "stopped"].includes(status.phase));
    link.sendControl({ type: "commits-request", job });
    const { commits, terms } = await heard.next("commits");
    const rows = new Map<string, ExportedRows>();
    for (const table of manifest.tables) rows.set(table.name, await wholeTable(tables.export(table)));
    const dense = await readDense(tables, manifest.model.variables);
    return { status, commits, terms, tables: rows, dense };
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

async function openTables({ host, job, map }: { host: SimulatedHost; job: number; map: PartitionMap }): Promise<TableClient> {
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
