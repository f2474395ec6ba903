/** The workers of a cluster: who they are, which job each serves, and whether it is ready. */
import { ClusterError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import type { ClusterStatus, ControlOf, LeafStatus } from "@volary/core/wire";
import type { Effects, LinkId } from "./effects.ts";

export interface Worker {
  readonly worker: number;
  readonly name: string;
  readonly address: string;
  readonly backend: string;
  readonly link: LinkId;
  heardAt: number;
  job: number | undefined;
  ready: boolean;
  /** So many volunteers it takes, for whichever job, and those that it has. */
  readonly leavesMax: number;
  leaves: readonly LeafStatus[];
  /** Jobs whose data this worker sees differently. */
  readonly unfitFor: Set<number>;
}

export class Workers {
  readonly #effects: Effects;
  readonly #workers = new Map<LinkId, Worker>();
  readonly #links = new Map<number, LinkId>();

  constructor(effects: Effects) {
    this.#effects = effects;
  }

  get all(): Iterable<Worker> {
    return this.#workers.values();
  }

  get size(): number {
    return this.#workers.size;
  }

  get(link: LinkId): Worker | undefined {
    return this.#workers.get(link);
  }

  /** Numbers a worker and tells it so. @throws {ClusterError} LIMIT_EXCEEDED */
  join(link: LinkId, { name, address, backend, leaves = 0 }: ControlOf<"worker-join">, now: number): void {
    if (this.#workers.size >= LIMITS.workersPerJobMax)
      throw new ClusterError("LIMIT_EXCEEDED", `this cluster has ${LIMITS.workersPerJobMax} workers already`);
    const worker = this.#effects.newId("worker");
    const idle = { job: undefined, ready: false, leaves: [], unfitFor: new Set<number>() };
    this.#workers.set(link, { worker, name, address, backend, link, leavesMax: leaves, heardAt: now, ...idle });
    this.#links.set(worker, link);
    this.#effects.log(`worker ${worker} (${name}) joined on ${backend}`);
    this.#effects.send(link, { type: "worker-joined", worker });
  }

  remove(link: LinkId): void {
    this.#links.delete(this.#workers.get(link)?.worker ?? 0);
    this.#workers.delete(link);
  }

  /** The link of the worker with this number, while there is one. */
  linkOf(worker: number): LinkId | undefined {
    return this.#links.get(worker);
  }

  /** Those that have opened a job, by number. */
  readyFor(job: number): Worker[] {
    return [...this.#workers.values()].filter((w) => w.job === job && w.ready).sort((a, b) => a.worker - b.worker);
  }

  /** Those that take volunteers for a job that they have opened. */
  reducersOf(job: number): ControlOf<"session">["reducers"] {
    const reducers = this.readyFor(job).filter(({ leavesMax }) => leavesMax > 0);
    return reducers.map(({ worker, address, leaves, leavesMax }) => ({
      worker,
      address,
      leaves: leaves.length,
      leavesMax,
    }));
  }

  /** The worker behind `link`. @throws {ClusterError} NOT_A_MEMBER: it does not serve `job` */
  memberOf(link: LinkId, job: number): Worker {
    const worker = this.#workers.get(link);
    if (!worker) throw new ClusterError("NOT_A_MEMBER", "only a worker that has joined may say this");
    if (worker.job === job) return worker;
    throw new ClusterError(
      "NOT_A_MEMBER",
      `worker ${worker.name} serves ${worker.job === undefined ? "no job" : `job ${worker.job}`}, not job ${job}`,
    );
  }

  status(): ClusterStatus["workers"] {
    return [...this.#workers.values()].map(({ worker, name, job, backend, leavesMax, leaves }) => ({
      worker,
      name,
      job: job ?? null,
      backend,
      ...(leavesMax > 0 ? { leaves: job === undefined ? [] : [...leaves] } : {}),
    }));
  }
}
