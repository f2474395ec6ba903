/** A job on a cluster to which nothing happens: what others are compared with. */
import type { JobManifest } from "@volary/core/job";
import type { PartitionFunction } from "@volary/core/partition";
import type { SimulatedHost } from "@volary/core/testing";
import type { GradientModel } from "@volary/core/training";
import type { BatchMessage } from "./batch-messages.ts";
import { SimulatedCluster } from "./simulated-cluster.ts";
import { SimulatedVolunteers, type SimulatedVolunteersOptions } from "./simulated-volunteers.ts";
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
  /** Who helps. */
  volunteers?: Pick<SimulatedVolunteersOptions, "plan" | "models">;
}

export interface CalmResult extends FinishedJob {
  spilled: number;
  messages: BatchMessage[];
  volunteers: SimulatedVolunteers | undefined;
}

export async function calmRun(o: CalmRun): Promise<CalmResult> {
  const { manifest, workers, psNodes = 1, seed = 1, volunteers: helpers, ...options } = o;
  const cluster = new SimulatedCluster({ seed, reducer: helpers?.plan.reducer, ...options });
  let volunteers: SimulatedVolunteers | undefined;
  const life = async (): Promise<FinishedJob> => {
    await cluster.startCoordinator();
    for (let i = 0; i < psNodes; i++) cluster.startPsNode(`ps-${i}`);
    while (cluster.status?.nodes.length !== psNodes)
      await new Promise<void>((resolve) => void cluster.clock.after(10, resolve));
    for (let i = 0; i < workers; i++) await cluster.startWorker(`worker-${i}`);
    const client = cluster.client("trainer");
    const operator = cluster.client("operator");
    if (helpers) volunteers = new SimulatedVolunteers({ cluster, ...helpers, seed, operator });
    return runTraining({ client, manifest, onSubmitted: (job) => void volunteers?.invite(job) });
  };
  const finished = await cluster.clock.until(life());
  const { spilled } = cluster;
  cluster.stop();
  return { ...finished, spilled, messages: cluster.messages.of(finished.job), volunteers };
}
