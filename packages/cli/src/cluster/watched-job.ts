/** A submitted job that is run and watched to its end, with callbacks. */
import { ClusterError } from "@volary/core/errors";
import type { JobManifest } from "@volary/core/job";
import type { ClusterStatus, JobStatus } from "@volary/core/wire";
import { CallbackDriver, type TrainingCallbacks } from "./callbacks.ts";
import type { CoordinatorClient } from "./coordinator-client.ts";
import { realClock } from "./dialer.ts";
import type { RunHistory } from "./run-history.ts";
import type { TrainOptions } from "./train-options.ts";
import type { WorkerDeaths } from "./worker-deaths.ts";

export interface WatchedJobOptions {
  job: number;
  manifest: JobManifest;
  client: CoordinatorClient;
  options: TrainOptions;
  history: RunHistory;
  /** The model object that is fitted, if it is one. */
  model?: { stopTraining: boolean } | undefined;
  /** Of a local cluster: nothing restarts its workers, so a job that still waits for one would wait forever. */
  workers?: { deaths: WorkerDeaths; ever: number } | undefined;
}

const CLUSTER_STATUS_EVERY_MS = 1_000;

/**
 * Runs a submitted job and resolves with its last status, once its callbacks have seen it.
 *
 * @throws {ClusterError} JOB_FAILED, JOB_STOPPED, NO_WORKERS, COORDINATOR_UNAVAILABLE
 * @throws what a callback threw; the job is stopped then
 */
export async function runToEnd(o: WatchedJobOptions): Promise<JobStatus> {
  const { job, manifest, client, history } = o;
  const { onStatus, onCluster, signal } = o.options;
  const stopPolling = onCluster ? pollStatus(client, onCluster) : () => {};
  let phase: JobStatus["phase"] = "preparing";
  let stopListening = () => {};
  let callbacks: CallbackDriver | undefined;
  const watching = new Promise<JobStatus>((resolve, reject) => {
    callbacks = new CallbackDriver({
      callbacks: [...listOf(o.options.callbacks), ...(o.options.verbose === 1 ? [epochLines(manifest)] : [])],
      model: o.model,
      params: { epochs: manifest.fit.epochs, batchSize: manifest.fit.batchSize, metrics: manifest.compile.metrics },
      onStop: (reason) => client.finishJob(job, reason),
      onError: reject,
    });
    const told = callbacks;
    client.watch(job, {
      onStatus: (status) => {
        phase = status.phase;
        history.take(status);
        told.take(status);
        onStatus?.(status);
        if (isOver(status)) resolve(status);
      },
      onError: reject,
    });
    const { workers } = o;
    if (!workers) return;
    stopListening = workers.deaths.listen((deadWorkers) => {
      const left = workers.ever - deadWorkers;
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
    const status = mustBeDone(await watching, client.address);
    await callbacks?.end();
    return status;
  } finally {
    signal?.removeEventListener("abort", stopJob);
    stopPolling();
    stopListening();
    client.unwatch(job);
  }
}

function listOf(callbacks: TrainOptions["callbacks"]): readonly TrainingCallbacks[] {
  if (callbacks === undefined) return [];
  return Array.isArray(callbacks) ? (callbacks as readonly TrainingCallbacks[]) : [callbacks as TrainingCallbacks];
}

/** A line for each epoch, as `model.fit` of tfjs prints them. */
function epochLines({ name, fit }: JobManifest): TrainingCallbacks {
  return {
    onEpochEnd: (epoch, logs) => {
      const figures = Object.entries(logs ?? {}).map(([metric, value]) => `${metric} ${value.toPrecision(4)}`);
      console.error(`${name}: epoch ${epoch + 1} of ${fit.epochs}: ${figures.join(", ")}`);
    },
  };
}

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
