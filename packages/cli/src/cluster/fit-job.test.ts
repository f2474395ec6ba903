import * as tf from "@tensorflow/tfjs";
import { input } from "@volary/core";
import { Plugins } from "@volary/core/plugin";
import { afterAll, expect, test } from "vitest";
import { fitJob } from "./fit-job.ts";
import type { FitOptions } from "./train-options.ts";

const x = input({ name: "x", dtype: "float32" });
const model = tf.model({
  inputs: x,
  outputs: tf.layers.dense({ units: 1, activation: "sigmoid" }).apply(x) as tf.SymbolicTensor,
});
afterAll(() => model.dispose());

async function fitOf(options: FitOptions) {
  const job = await fitJob({
    model,
    data: { x: [1, 2, 3, 4], y: [0, 1, 0, 1] },
    options: {
      compile: { optimizer: "sgd", sparseOptimizer: "sgd", loss: "binaryCrossentropy", metrics: [] },
      ...options,
    },
    workersMin: 1,
    plugins: Plugins.none,
    where: "local",
    host: async () => ({ files: [{ kind: "file", path: "0" }], close: async () => {} }),
  });
  await job.close();
  return job.manifest.fit;
}

test("a form that values cannot travel in is refused by its place", async () => {
  await expect(fitOf({ wire: { gradients: "float64" as never } })).rejects.toThrow(/fit\.wire\.gradients/);
  await expect(fitOf({ prefetch: -1 })).rejects.toThrow(/fit\.prefetch/);
});

test("every option of training reaches the job", async () => {
  const options: FitOptions = {
    epochs: 3,
    batchSize: 2,
    stepsMax: 5,
    shuffle: false,
    classWeight: { 1: 2 },
    wire: { rows: "bfloat16", gradients: "int8" },
    prefetch: 4,
  };
  expect(await fitOf(options)).toMatchObject(options);
});

test("what is not said is tfjs's default", async () => {
  expect(await fitOf({})).toEqual({
    epochs: 1,
    batchSize: 32,
    consistency: { mode: "bsp" },
    shuffle: true,
    validate: "end",
  });
});
