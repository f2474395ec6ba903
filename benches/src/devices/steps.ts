/** Steps of a worker on one device: a program of its own, which prints what they took and what they left behind. */
import { writeFile } from "node:fs/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import * as tf from "@tensorflow/tfjs";
import { TrainingModel } from "@volary/core/model";
import {
  openDevice,
  STANDARD_JOBS,
  standardJob,
  trialInput,
  trialWeights,
  type DeviceName,
  type TrialGradients,
} from "@volary/node-worker";
import { spreadOf } from "../report/statistics.ts";

export interface StepsRequest {
  device: DeviceName;
  /** Of a timed step. */
  samples: number;
  timedSteps: number;
  /** Steps after which nothing may be left behind. */
  steps: number;
  /** These may take so long, the timed ones a quarter of it. */
  secondsMax: number;
  /** Where gradients are written. */
  folder: string;
  fault?: "wrong-and-leaking" | undefined;
}

export interface StepsRun {
  description: string;
  /** Of each standard job: float32, rows before variables, in a file. */
  gradients: (Omit<TrialGradients, "rowGrads" | "denseGrads"> & { file: string; rowFloats: number })[];
  stepMs: number;
  /** Those there was time for. */
  steps: number;
  tensorsLeft: number;
  bytesLeft: number;
  /** Resident memory at the end over that after two fifths of them. */
  memoryRatio: number;
}

/** Samples of steps whose gradients are compared, and of the many that may leave nothing behind. */
const FEW = 64;

const request = JSON.parse(process.argv[2]!) as StepsRequest;
const { device, samples, timedSteps, steps, secondsMax, folder, fault } = request;
setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const { description } = await openDevice(device);
const gradients: StepsRun["gradients"] = [];
for (const name of STANDARD_JOBS) {
  const job = { ...(await standardJob(name)), samples: FEW };
  const model = await TrainingModel.create(job);
  const wrong = fault ? 1.01 : 1;
  model.setDense(trialWeights(model.variables).map((weight) => wrong * weight));
  const { rowGrads, denseGrads, lossSum } = await model.step(trialInput(job, FEW));
  const file = `${folder}/${device}-${gradients.length}`;
  await writeFile(file, Buffer.concat([bytesOf(rowGrads), bytesOf(denseGrads)]));
  gradients.push({ file, rowFloats: rowGrads.length, lossSum, variables: model.variables });
  model.dispose();
}

const job = { ...(await standardJob(STANDARD_JOBS[0])), samples };
const model = await TrainingModel.create(job);
const weights = trialWeights(model.variables);
model.setDense(weights);
const input = trialInput(job, samples);
const times: number[] = [];
const start = performance.now();
// The first ones compile: JavaScript, shaders.
const warmUp = timedSteps;
for (let i = 0; i < warmUp + timedSteps; i++) {
  if (times.length > 0 && performance.now() - start > 250 * secondsMax) break;
  const began = performance.now();
  await model.step(input);
  if (i >= warmUp || performance.now() - start > 125 * secondsMax) times.push(performance.now() - began);
}

const few = trialInput(job, FEW);
const began = performance.now();
const shareOf = (done: number): number => Math.max(done / steps, (performance.now() - began) / (1000 * secondsMax));
let before: ReturnType<typeof held> | undefined;
let done = 0;
for (; shareOf(done) < 1; done++) {
  // Heaps and pools grow until then.
  if (shareOf(done) >= 0.4) before ??= held();
  model.setDense(weights);
  await model.step(few);
  if (fault) tf.zeros([4096]);
}
before ??= held();
const after = held();
const run: StepsRun = {
  description,
  gradients,
  stepMs: spreadOf(times).median,
  steps: done,
  tensorsLeft: after.tensors - before.tensors,
  bytesLeft: after.bytes - before.bytes,
  memoryRatio: after.memory / before.memory,
};
process.stdout.write(`${JSON.stringify(run)}\n`, () => process.exit(0));

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

function held(): { tensors: number; bytes: number; memory: number } {
  collectGarbage();
  const { numTensors: tensors, numBytes: bytes } = tf.memory();
  return { tensors, bytes, memory: process.memoryUsage().rss };
}
