/**
 * The model on a cluster of one parameter server and one worker, on the same backend: a program of its own, which
 * prints what it took. A step is all that a worker does in one: read samples, find unique keys, pull, one pass forward
 * and back, push, commit. Its tables start with every row of the model's.
 */
import { bsp } from "@volary/core";
import { Cluster } from "volary";
import { memoryOf } from "../processes/child.ts";
import { BATCH_SIZE, optimizers, samplesOf, sparseModel, type SparseRequest, type SparseRun } from "./model.ts";

const request = JSON.parse(process.argv[2]!) as SparseRequest;
const { steps, warmUp } = request;
const model = sparseModel(request);
const cluster = await Cluster.local({ ps: 1, workers: 1, device: "wasm" });
try {
  let [warmAt, lastAt] = [0, 0];
  let [warmStep, lastStep] = [0, 0];
  const run = await cluster.fit(model, samplesOf(request, steps), {
    epochs: 1,
    batchSize: BATCH_SIZE,
    shuffle: false,
    consistency: bsp(),
    compile: { ...optimizers(request), loss: "binaryCrossentropy", metrics: [] },
    onStatus: ({ step }) => {
      if (step < warmUp || step === lastStep) return;
      [lastStep, lastAt] = [step, performance.now()];
      if (warmAt === 0) [warmStep, warmAt] = [step, lastAt];
    },
  });
  const memory = await Promise.all(cluster.processes.map(({ pid }) => memoryOf(pid!)));
  const found: SparseRun = {
    secondsPerStep: (lastAt - warmAt) / 1000 / (lastStep - warmStep),
    losses: run.steps.map(({ loss }) => loss),
    memoryBytes: memory.reduce((sum, of) => sum + (of?.most ?? 0), 0),
  };
  run.close();
  console.log(JSON.stringify(found));
} finally {
  await cluster.stop();
}
