/** A job on a cluster to which nothing happens: what others are compared with. */
import type { JobManifest } from "@volary/core/job";
import type { PartitionFunction } from "@volary/core/partition";
import type { SimulatedHost } from "@volary/core/testing";
import type { GradientModel } from "@volary/core/training";
import type { BatchMessage } from "./batch-messages.ts";
import { SimulatedCluster } from "./simulated-cluster.ts";
import { runTraining, type FinishedJob } from "./training-run.ts";

export interface CalmRun {
  manifest: JobManifest;
  workers: number;
  psNodes?: number;
  replicas?: number;
  /** Of the network's delays. */
  seed?: number;
  roomBytes?: number | undefined;
  partitionFunction?: PartitionFunction;
  openModel?: (of: { host: SimulatedHost }) => GradientModel;
}

export async function calmRun(o: CalmRun): Promise<FinishedJob & { spilled: number; messages: BatchMessage[] }> {
  const { manifest, workers, psNodes = 1, seed = 1, ...options } = o;
  const cluster = new SimulatedCluster({ seed, ...options });
  const life = async (): Promise<FinishedJob> => {
    await cluster.startCoordinator();
    for (let i = 0; i < psNodes; i++) cluster.startPsNode(`ps-${i}`);
    while (cluster.status?.nodes.length !== psNodes)
      await new Promise<void>((resolve) => void cluster.clock.after(10, resolve));
    for (let i = 0; i < workers; i++) await cluster.startWorker(`worker-${i}`);
    return runTraining({ client: cluster.client("trainer"), manifest });
  };
  const finished = await cluster.clock.until(life());
  const { spilled } = cluster;
  cluster.stop();
  return { ...finished, spilled, messages: cluster.messages.of(finished.job) };
}
