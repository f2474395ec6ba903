/** A cluster for code: one on this machine's loopback, or one that runs somewhere; then train on it. */
import { ClusterError } from "@volary/core/errors";
import type { JobManifest } from "@volary/core/job";
import type { JobDefinition } from "@volary/core/model";
import { writeDense } from "@volary/core/training";
import type { ClusterStatus, JobStatus } from "@volary/core/wire";
import { CoordinatorClient } from "./coordinator-client.ts";
import { dialer, realClock } from "./dialer.ts";
import { deathText, LocalCluster, type ClusterProcess, type Death, type LocalClusterOptions } from "./local-cluster.ts";
import { openPsLinks, type PsLinks } from "./ps-links.ts";
import { Run } from "./run.ts";
import { withoutGreeting } from "../tfjs-greeting.ts";

export interface ConnectOptions {
  /** Told what a person should know but what is no failure; Node's warnings unless said otherwise. */
  onWarning?: ((message: string) => void) | undefined;
}

export type LocalOptions = Partial<Omit<LocalClusterOptions, "onDeath">> & ConnectOptions;

export interface TrainOptions {
  /** Every piece of news, many a second. */
  onStatus?: ((status: JobStatus) => void) | undefined;
  /** The whole cluster, about once a second while the job runs. */
  onCluster?: ((status: ClusterStatus) => void) | undefined;
  /** Stops the job. */
  signal?: AbortSignal | undefined;
  /** Workers the job waits for: as many as there are, unless said otherwise. */
  workersMin?: number | undefined;
}

const CLUSTER_STATUS_EVERY_MS = 1_000;
const CLIENT_NAME = `client-${process.pid}`;

export class Cluster {
  readonly #client: CoordinatorClient;
  readonly #local: LocalCluster | undefined;
  readonly #deaths: Deaths;
  readonly #warn: (message: string) => void;

  private constructor(o: {
    client: CoordinatorClient;
    local?: LocalCluster;
    deaths?: Deaths;
    warn: (message: string) => void;
  }) {
    this.#client = o.client;
    this.#local = o.local;
    this.#deaths = o.deaths ?? new Deaths();
    this.#warn = o.warn;
  }

  /**
   * Starts a coordinator, PS nodes and workers as processes on this machine's loopback.
   *
   * @throws {RangeError} impossible numbers
   * @throws {UserError} a process did not start: which, and what it said
   */
  static async local({ ps = 2, workers = 2, onWarning, ...options }: LocalOptions = {}): Promise<Cluster> {
    const warn = onWarning ?? emitWarning;
    const deaths = new Deaths();
    const onDeath = (death: Death) => {
      warn(deathText(death));
      deaths.add(death);
    };
    const local = await LocalCluster.start({ ...options, ps, workers, onDeath });
    try {
      return new Cluster({ client: await connectTo(local.address), local, deaths, warn });
    } catch (error) {
      await local.stop();
      throw error;
    }
  }

  /**
   * Connects to a running cluster.
   *
   * @param address of its coordinator, ws://host:port or wss://host
   * @throws {ClusterError} COORDINATOR_UNAVAILABLE, PROTOCOL_VERSION, TIMEOUT
   */
  static async connect(address: string, { onWarning = emitWarning }: ConnectOptions = {}): Promise<Cluster> {
    return new Cluster({ client: await connectTo(address), warn: onWarning });
  }

  /** Of the coordinator. */
  get address(): string {
    return this.#client.address;
  }

  /** The processes of a local cluster; none of a cluster that runs elsewhere. */
  get processes(): readonly ClusterProcess[] {
    return this.#local?.processes ?? [];
  }

  status(): Promise<ClusterStatus> {
    return this.#client.status();
  }

  /**
   * Trains a job to its end and evaluates it on the held-out rows.
   *
   * @throws {ClusterError} JOB_FAILED, JOB_STOPPED (by `signal` too), NO_WORKERS, COORDINATOR_UNAVAILABLE, …
   * @throws {TypeError | RangeError} the job does not make sense: where, and the remedy
   */
  async train(definition: JobDefinition, options: TrainOptions = {}): Promise<Run> {
    options.signal?.throwIfAborted();
    const deadBefore = this.#deaths.workers;
    const { workers } = await this.status();
    const workersMin = options.workersMin ?? Math.max(1, workers.length);
    // tfjs takes a second to load, and whoever looks at a cluster's status has no use for it.
    const { manifestOf } = await import("@volary/core/model");
    const { manifest, denseWeights, warnings } = await withoutGreeting(() => manifestOf(definition, { workersMin }));
    warnings.forEach((warning) => this.#warn(`job "${manifest.name}": ${warning}`));
    const { job, map } = await this.#client.submit(manifest);
    let ps: PsLinks | undefined;
    try {
      ps = await openPsLinks({ job, map, name: CLIENT_NAME, dialer });
      await writeDense(ps.tables, manifest.model.variables, denseWeights);
      const status = await this.#runJob(job, manifest, { ...options, workersEver: deadBefore + workers.length });
      return new Run({ manifest, status, client: this.#client, ps });
    } catch (error) {
      ps?.close();
      this.#client.closeJob(job);
      throw error;
    }
  }

  /** Leaves the cluster; ends it if it is a local one. */
  async stop(): Promise<void> {
    this.#client.close();
    await this.#local?.stop();
  }

  /** Ends a local cluster at once. */
  kill(): void {
    this.#local?.kill();
  }

  /**
   * Runs a submitted job and resolves with its last status, if it is a good one.
   *
   * @param options.workersEver the workers there are, and the local ones that had died before
   */
  async #runJob(
    job: number,
    manifest: JobManifest,
    options: TrainOptions & { workersEver: number },
  ): Promise<JobStatus> {
    const { onStatus, onCluster, signal, workersEver } = options;
    const client = this.#client;
    const stopPolling = onCluster ? pollStatus(client, onCluster) : () => {};
    let phase: JobStatus["phase"] = "preparing";
    let stopListening = () => {};
    const watching = new Promise<JobStatus>((resolve, reject) => {
      client.watch(job, {
        onStatus: (status) => {
          phase = status.phase;
          onStatus?.(status);
          if (isOver(status)) resolve(status);
        },
        onError: reject,
      });
      if (!this.#local) return;
      // Nothing restarts a local worker: a job that still waits for it would wait forever.
      stopListening = this.#deaths.listen((deadWorkers) => {
        const left = workersEver - deadWorkers;
        if (left >= manifest.workersMin || (phase !== "preparing" && phase !== "waiting")) return;
        const message = `job "${manifest.name}" needs ${manifest.workersMin} workers to start and ${left} are left`;
        reject(new ClusterError("NO_WORKERS", message));
      });
    });
    const stopJob = () => client.stopJob(job);
    signal?.addEventListener("abort", stopJob);
    try {
      signal?.throwIfAborted();
      client.runJob(job);
      return mustBeDone(await watching, this.address);
    } finally {
      signal?.removeEventListener("abort", stopJob);
      stopPolling();
      stopListening();
      client.unwatch(job);
    }
  }
}

/** Counts the workers of a local cluster that died, for whoever listens. */
class Deaths {
  readonly #listeners = new Set<(deadWorkers: number) => void>();
  #workers = 0;

  /** How many have died so far. */
  get workers(): number {
    return this.#workers;
  }

  add({ role }: Death): void {
    if (role !== "worker") return;
    this.#workers++;
    for (const listener of this.#listeners) listener(this.#workers);
  }

  /** Tells at once what has happened so far; the returned function ends the listening. */
  listen(listener: (deadWorkers: number) => void): () => void {
    this.#listeners.add(listener);
    listener(this.#workers);
    return () => this.#listeners.delete(listener);
  }
}

async function connectTo(address: string): Promise<CoordinatorClient> {
  try {
    return await CoordinatorClient.connect({ address, name: CLIENT_NAME, dialer, clock: realClock });
  } catch (cause) {
    if (!(cause instanceof ClusterError) || cause.code !== "COORDINATOR_UNAVAILABLE") throw cause;
    const remedy = "is a coordinator running there? `volary up` starts a whole cluster on this machine";
    throw new ClusterError(cause.code, `${cause.message}; ${remedy}`, { cause });
  }
}

const emitWarning = (message: string): void => process.emitWarning(message, "VolaryWarning");

const isOver = ({ phase }: JobStatus): boolean => phase === "done" || phase === "failed" || phase === "stopped";

function mustBeDone(status: JobStatus, address: string): JobStatus {
  const { phase, name, job, message } = status;
  if (phase === "done") return status;
  const code = phase === "stopped" ? "JOB_STOPPED" : "JOB_FAILED";
  const where = `job "${name}" (number ${job} at ${address})`;
  throw new ClusterError(
    code,
    `${where} ${phase === "stopped" ? "was stopped" : "failed"}: ${message ?? "no reason given"}`,
  );
}

/** Asks for the cluster's status over and over; the returned function ends that. */
function pollStatus(client: CoordinatorClient, onCluster: (status: ClusterStatus) => void): () => void {
  let isOn = true;
  let cancel = () => {};
  const ask = async (): Promise<void> => {
    try {
      const status = await client.status();
      if (isOn) onCluster(status);
    } catch {
      // The job's watcher hears of a lost coordinator, too.
    }
    if (isOn) cancel = realClock.after(CLUSTER_STATUS_EVERY_MS, () => void ask());
  };
  void ask();
  return () => {
    isOn = false;
    cancel();
  };
}
