/** The dense optimizer's state split over the workers: how much of it is on each, and do they learn the same? */
import { adam, type JobDefinition } from "@volary/core";
import { differenceOf, weightsOf, type Weights } from "../parity/weights.ts";
import type { PacedCluster } from "./paced-cluster.ts";
import { smallDemo } from "./small-demo.ts";

const STEPS = 16;
const RATE = 0.002;

export interface Sharded {
  /** Bytes of the state on the worker that has most, next to those of the whole. */
  shardedMemoryRatio: number;
  /** The largest ‖Δ‖/‖w‖ over all tables and dense tensors. */
  shardedDifference: number;
}

export async function measureSharded(o: {
  cluster: PacedCluster;
  folder: string;
  mode: "measure" | "control";
}): Promise<Sharded> {
  const job = await smallDemo(o.folder, { steps: o.mode === "control" ? 4 : STEPS });
  const whole = learningAt(job, RATE);
  // In a control the state is whole on each worker, and learns 1 % faster.
  const split = o.mode === "control" ? learningAt(job, 1.01 * RATE) : inShards(whole);
  const [replicated, sharded] = [await learn(o.cluster, whole), await learn(o.cluster, split)];
  return {
    shardedMemoryRatio: sharded.stateBytes / replicated.stateBytes,
    shardedDifference: differenceOf(replicated.weights, sharded.weights, "table"),
  };
}

const learningAt = (job: JobDefinition, learningRate: number): JobDefinition => ({
  ...job,
  compile: { ...job.compile, optimizer: adam({ learningRate }) },
});

const inShards = (job: JobDefinition): JobDefinition => ({ ...job, fit: { ...job.fit, dense: "sharded" } });

async function learn(cluster: PacedCluster, job: JobDefinition): Promise<{ weights: Weights; stateBytes: number }> {
  const run = await cluster.train(job);
  const weights = await weightsOf(run);
  run.close();
  const stateBytes = cluster.stateBytesMax;
  console.error(
    `dense: ${job.fit.dense ?? "replicated"}: ${stateBytes} bytes of the dense optimizer's state on a worker at most`,
  );
  return { weights, stateBytes };
}
