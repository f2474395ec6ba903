/**
 * What Node's plain JavaScript backend gives for the demo's first step, computed anew for each run of the tests:
 *
 *     node --conditions=volary-source node-step.ts
 *
 * prints it as JSON. The manifest comes along, so a browser gets the job as it does from a coordinator: as data.
 */
import { argv, stdout } from "node:process";
import { fileURLToPath } from "node:url";
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { defineJob, sgd, type JobDefinition } from "@volary/core";
import { manifestOf } from "@volary/core/model";
import type { JobManifest } from "@volary/core/job";
import { openFlightsStep, SAMPLES, type StepRecord } from "./flights-step.ts";

/** A job file, read as the command line would. */
const DEMO = new URL("../../../../examples/flights/job.ts", import.meta.url);

export interface NodeStep {
  manifest: JobManifest;
  denseWeights: Float32Array;
  step: StepRecord;
}

/** The demo cut to one step, whose dense optimizer subtracts gradients as they are, so that they can be told. */
export async function takeNodeStep(): Promise<NodeStep> {
  await tf.setBackend("cpu");
  const { default: demo } = (await import(DEMO.href)) as { default: JobDefinition };
  const compile = { ...demo.compile, optimizer: sgd({ learningRate: 1 }) };
  const job = defineJob({ ...demo, compile, fit: { ...demo.fit, batchSize: SAMPLES, stepsMax: 1 } });
  const { manifest, denseWeights } = await manifestOf(job, { workersMin: 1 });
  const step = await openFlightsStep({ manifest, denseWeights });
  const record = await step.take();
  step.dispose();
  return { manifest, denseWeights, step: record };
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const step = await takeNodeStep();
  stdout.write(JSON.stringify(step, (_, value: unknown) => (value instanceof Float32Array ? [...value] : value)));
}
