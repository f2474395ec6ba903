/**
 * @file Tries one device with a step of each job, and says in one line what it found. A program of its own, which
 * `probe.ts` starts: tfjs's backends register for a whole process, and a native library may take that down.
 */
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { text } from "node:stream/consumers";
import { TrainingModel } from "@volary/core/model";
import { DeviceError, type DeviceName } from "../device/device.ts";
import { openDevice } from "../device/devices.ts";
import { trialInput, trialWeights, type TrialJob } from "./trial-job.ts";

export interface TrialRequest {
  device: DeviceName;
  /** The first is timed, too. */
  jobs: readonly TrialJob[];
  /** Where gradients are written. */
  folder: string;
}

/** What became of one job's step. */
export type TrialStep =
  | { failure: string }
  | {
      /** float32: the gradients of the rows and then those of the variables, in order. */
      file: string;
      rowFloats: number;
      lossSum: number;
      variables: { name: string; size: number }[];
    };

export interface TrialResult {
  /** What computes, or why nothing does. */
  description: string;
  found: boolean;
  /** One for each job. */
  steps: TrialStep[];
  /** Of the first job's whole step. */
  stepMs: number | null;
}

/** Samples of the steps whose gradients are compared: the reference is slow. */
const COMPARED_SAMPLES = 64;
const WARM_UP_STEPS = 2;
const TIMED_STEPS_MAX = 12;
/** No step but the first begins later than this. */
const TIMED_MS_MAX = 1500;
/** Where a whole step would take longer, it is told from steps of few samples. */
const STEP_MS_MAX = 8000;

async function tryDevice({ device: name, jobs, folder }: TrialRequest): Promise<TrialResult> {
  const found = await openDevice(name).catch((error: unknown) => messageOf(error));
  if (typeof found === "string") return { found: false, description: found, steps: [], stepMs: null };
  const steps: TrialStep[] = [];
  let ms: number | null = null;
  for (const [i, job] of jobs.entries()) {
    try {
      const model = await TrainingModel.create(job);
      steps.push(await firstStep(model, job, path.join(folder, `${name}-${i}`)));
      if (i === 0) ms = await timeStep(model, job);
      model.dispose();
    } catch (error) {
      steps.push({ failure: messageOf(error) });
    }
  }
  return { found: true, description: found.description, steps, stepMs: ms };
}

/** A step that every device computes from the same numbers. */
async function firstStep(model: TrainingModel, job: TrialJob, file: string): Promise<TrialStep> {
  model.setDense(trialWeights(model.variables));
  const { rowGrads, denseGrads, lossSum } = await model.step(trialInput(job, fewSamples(job)));
  await writeFile(file, Buffer.concat([bytesOf(rowGrads), bytesOf(denseGrads)]));
  const variables = model.variables.map(({ name, size }) => ({ name, size }));
  return { file, rowFloats: rowGrads.length, lossSum, variables };
}

/** Median of whole steps that begin when the one before has ended, gradients read back. */
async function timeStep(model: TrainingModel, job: TrialJob): Promise<number> {
  const few = fewSamples(job);
  const more = Math.min(4 * few, job.samples);
  const [fewMs, moreMs] = [await stepMs(model, job, few), await stepMs(model, job, more)];
  const perSampleMs = more > few ? Math.max(0, moreMs - fewMs) / (more - few) : 0;
  const guessedMs = moreMs + perSampleMs * (job.samples - more);
  return guessedMs > STEP_MS_MAX ? guessedMs : stepMs(model, job, job.samples);
}

/** Median, after warming up. */
async function stepMs(model: TrainingModel, job: TrialJob, samples: number): Promise<number> {
  const input = trialInput(job, samples);
  const times: number[] = [];
  const start = performance.now();
  for (let i = 0; i < WARM_UP_STEPS + TIMED_STEPS_MAX; i++) {
    const began = performance.now();
    if (times.length > 0 && began - start > TIMED_MS_MAX) break;
    await model.step(input);
    times.push(performance.now() - began);
  }
  const timed = times.slice(Math.min(WARM_UP_STEPS, times.length - 1)).toSorted((a, b) => a - b);
  return timed[Math.floor(timed.length / 2)]!;
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

const fewSamples = ({ samples }: TrialJob): number => Math.min(COMPARED_SAMPLES, samples);

/** What is under the sentence that names the device. */
function messageOf(error: unknown): string {
  const said = error instanceof DeviceError && error.cause !== undefined ? error.cause : error;
  return said instanceof Error ? said.message : String(said);
}

const request = JSON.parse(await text(process.stdin)) as TrialRequest;
const result = await tryDevice(request);
process.stdout.write(`\n${JSON.stringify(result)}\n`, () => process.exit(0));
