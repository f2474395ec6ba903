/**
 * @file Does a cluster learn the same whatever its size and the timing of its messages, and the same as plain tfjs?
 *
 * Real processes train on real flights. What the figures mean and what --control breaks: benches/README.md.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import * as tf from "@tensorflow/tfjs";
import { adagrad, adam, sgd, type JobDefinition } from "@volary/core";
import { Cluster, type LocalOptions } from "volary";
import { crossedJob, plainJob, writeFlights, type JobData } from "./parity/flights.ts";
import { trainPlainly } from "./parity/plain-tfjs.ts";
import { areIdentical, differenceOf, flipOneBit, weightsOf, type Weights } from "./parity/weights.ts";
import { atMost, report } from "./report/report.ts";

const PLAIN_STEPS_MAX = 50;
const ADAM_RATE = 0.002;
const ADAGRAD_RATE = 0.05;
const DELAY_SEED = 1;

interface Setting extends JobData {
  mode: "measure" | "control";
}

async function measure({ mode, ...data }: Setting) {
  // In a control, one side of each comparison learns 1 % faster, and one weight of a rerun has one bit flipped.
  const isControl = mode === "control";
  const rates = isControl ? 1.01 : 1;
  const two = { workers: 2, ps: 2 };
  const few = { ...data, steps: Math.min(data.steps, PLAIN_STEPS_MAX) };

  const [sgdOf1, adamOf1, adagradOf1] = await learn({ workers: 1, ps: 1 }, [...splitJobs(data, 1), adagradJob(few)]);
  const compared = splitJobs(data, rates);
  const [sgdOf2, adamOf2, sgdAgain, adamAgain] = await learn(two, [...compared, ...compared]);
  if (isControl) flipOneBit(adamAgain!);
  // A control needs no more clusters: what is wrong shows between these two.
  const [sgdOf4, adamOf4] = isControl ? [sgdOf2, adamOf2] : await learn({ workers: 4, ps: 3 }, compared);
  const [sgdDelayed, adamDelayed] = isControl
    ? [sgdOf2, adamOf2]
    : await learn({ ...two, delayMessages: DELAY_SEED }, compared);
  const adagradOfTfjs = await trainPlainly(adagradJob(few), {
    dense: tf.train.adam(rates * ADAM_RATE, 0.9, 0.999, 1e-7),
    sparse: tf.train.adagrad(rates * ADAGRAD_RATE, 0.1),
  });

  const split = (one: Weights, others: Weights[]) =>
    Math.max(...others.map((other) => differenceOf(one, other, "table")));
  return {
    splitDifferenceSgd: split(sgdOf1!, [sgdOf2!, sgdOf4!]),
    splitDifferenceAdam: split(adamOf1!, [adamOf2!, adamOf4!]),
    bitIdentical:
      [sgdAgain!, sgdDelayed!].every((again) => areIdentical(sgdOf2!, again)) &&
      [adamAgain!, adamDelayed!].every((again) => areIdentical(adamOf2!, again)),
    plainTfjsDifference: differenceOf(adagradOf1!, adagradOfTfjs, "row"),
  };
}

/** @param rates factor of all learning rates */
function splitJobs(data: JobData, rates: number): JobDefinition[] {
  const byAdam = adam({ learningRate: rates * ADAM_RATE });
  return [
    crossedJob({
      ...data,
      name: "sgd",
      optimizer: sgd({ learningRate: rates * 0.1 }),
      // The gradient of a row is a mean over the whole batch, and few samples have the row.
      sparseOptimizer: sgd({ learningRate: rates * 5 }),
    }),
    crossedJob({ ...data, name: "adam", optimizer: byAdam, sparseOptimizer: byAdam }),
  ];
}

function adagradJob(data: JobData): JobDefinition {
  return plainJob({
    ...data,
    name: "adagrad",
    optimizer: adam({ learningRate: ADAM_RATE }),
    sparseOptimizer: adagrad({ learningRate: ADAGRAD_RATE }),
  });
}

/** What jobs learn one after the other on a cluster of their own. */
async function learn(options: LocalOptions, jobs: readonly JobDefinition[]): Promise<Weights[]> {
  const cluster = await Cluster.local({ ...options, device: "cpu" });
  try {
    const learnt: Weights[] = [];
    for (const job of jobs) {
      const run = await cluster.train(job);
      const { step, loss, trainSeconds } = run.status;
      console.error(
        `workers ${options.workers}, PS ${options.ps}${options.delayMessages === undefined ? "" : ", messages delayed"}: ` +
          `${job.name}, ${step} steps in ${trainSeconds.toFixed(1)} s, loss ${loss?.toFixed(4)}`,
      );
      learnt.push(await weightsOf(run));
      run.close();
    }
    return learnt;
  } finally {
    await cluster.stop();
  }
}

const { values: options } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    control: { type: "boolean", default: false },
    steps: { type: "string", default: "300" },
    "batch-size": { type: "string", default: "1024" },
  },
});
const [steps, batchSize] = [Number(options.steps), Number(options["batch-size"])];
const mode = options.control ? "control" : "measure";
const folder = await mkdtemp(path.join(tmpdir(), "volary-parity-"));
try {
  const metrics = await measure({ file: await writeFlights(folder, { steps, batchSize }), steps, batchSize, mode });
  report({
    name: "parity",
    metrics,
    checks: [
      atMost("splitDifferenceSgd", metrics.splitDifferenceSgd, 1e-5),
      atMost("splitDifferenceAdam", metrics.splitDifferenceAdam, 1e-3),
      { metric: "bitIdentical", bound: "true", holds: metrics.bitIdentical },
      atMost("plainTfjsDifference", metrics.plainTfjsDifference, 1e-4),
    ],
    mode,
    output: options.json ? "json" : "text",
  });
} finally {
  await rm(folder, { recursive: true });
}
