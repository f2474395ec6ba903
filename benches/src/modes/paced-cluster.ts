/**
 * A coordinator and parameter servers as processes of the command, and workers in this process, whose pace and bytes
 * the bench knows. Workers wait more than they compute, so one process does for all of them.
 */
import { startWorker, type RunningWorker } from "@volary/node-worker";
import type { JobDefinition } from "@volary/core";
import type { Link } from "@volary/core/wire";
import { Cluster, type Run } from "volary";
import { startCluster, type BenchCluster } from "../processes/cluster.ts";
import { FrameBytes } from "./counted-link.ts";
import { pacedModel, unpaced, type Computed, type PaceMs, type Pacing } from "./paced-model.ts";

export const WORKERS = 4;
const NODES = 2;
/** A job that takes longer than so many times what it may is given up. */
const PATIENCE_MS = 600_000;

type ThroughLink = (link: Link) => Link;

interface PacedWorker {
  running: RunningWorker;
  pacing: Pacing;
  bytes: FrameBytes;
}

/** How the workers go about a job. */
export interface Paces {
  /** Of worker 0, 1, …; as fast as they can without it. */
  paceOf?: (worker: number) => PaceMs;
  ledger?: Pacing["ledger"];
}

interface Started {
  processes: BenchCluster;
  workers: readonly PacedWorker[];
  client: Cluster;
}

export class PacedCluster {
  #started: Promise<Started> | undefined;
  #workers: readonly PacedWorker[] = [];
  #stateBytesMax = 0;
  readonly #throughLink: ThroughLink;

  /** @param throughLink wraps each link that a worker dials or accepts */
  constructor({ throughLink = (link) => link }: { throughLink?: ThroughLink } = {}) {
    this.#throughLink = throughLink;
  }

  /** Trains a job; its run is the caller's, who closes it. The first one starts the cluster. */
  async train(job: JobDefinition, { paceOf = () => () => 0, ledger = "none" }: Paces = {}): Promise<Run> {
    const { client, workers } = await (this.#started ??= start(this.#throughLink));
    this.#workers = workers;
    workers.forEach(({ pacing, bytes }, i) => {
      pacing.paceMs = paceOf(i);
      pacing.sliceSamples = job.fit.batchSize / workers.length;
      pacing.ledger = ledger;
      pacing.computed.length = 0;
      bytes.reset();
    });
    this.#stateBytesMax = 0;
    return client.train(job, {
      signal: AbortSignal.timeout(PATIENCE_MS),
      onStatus: () => {
        const bytes = workers.map(({ running }) => running.stateBytes);
        this.#stateBytesMax = Math.max(this.#stateBytesMax, ...bytes);
      },
    });
  }

  /** Of the dense optimizer's state on one worker in the last job, at most. */
  get stateBytesMax(): number {
    return this.#stateBytesMax;
  }

  /** When each worker computed in the last job. */
  get computed(): readonly (readonly Computed[])[] {
    return this.#workers.map(({ pacing }) => pacing.computed);
  }

  /** Of the workers' frames in the last job, all together. */
  bytes(of: (bytes: FrameBytes) => number): number {
    return this.#workers.reduce((sum, { bytes }) => sum + of(bytes), 0);
  }

  async stop(): Promise<void> {
    const started = await this.#started?.catch(() => undefined);
    if (started) await end(started);
  }
}

async function start(throughLink: ThroughLink): Promise<Started> {
  const processes = await startCluster({ ps: NODES });
  const workers: PacedWorker[] = [];
  try {
    for (let i = 1; i <= WORKERS; i++)
      workers.push(await pacedWorker({ coordinator: processes.address, name: `worker-${i}`, throughLink }));
    return { processes, workers, client: await Cluster.connect(processes.address) };
  } catch (error) {
    await end({ processes, workers });
    throw error;
  }
}

async function end({ client, workers, processes }: Pick<Started, "processes" | "workers"> & Partial<Started>) {
  await client?.stop();
  for (const { running } of workers) await running.stop();
  await processes.stop();
}

async function pacedWorker({
  throughLink,
  ...o
}: {
  coordinator: string;
  name: string;
  throughLink: ThroughLink;
}): Promise<PacedWorker> {
  const [pacing, bytes] = [unpaced(), new FrameBytes()];
  const running = await startWorker({
    ...o,
    device: "wasm",
    throughLink: (link) => bytes.through(throughLink(link)),
    throughModel: (model) => pacedModel(model, pacing),
  });
  return { running, pacing, bytes };
}
