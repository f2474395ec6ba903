/** tfjs's cpu backend rounds every operation to float32, as we do: a tower we train has the bits of tfjs's own. */
import "@tensorflow/tfjs-backend-cpu";
import * as tf from "@tensorflow/tfjs-core";
import { beforeAll, expect, test } from "vitest";
import {
  adagrad,
  adam,
  learningRateAt,
  momentum,
  optimizerOf,
  optimizerSpecFrom,
  sgd,
  type OptimizerSpec,
} from "./index.ts";

const DIM = 7;
const STEPS = 60;

beforeAll(async () => {
  expect(await tf.setBackend("cpu")).toBe(true);
});

const pairs: [string, OptimizerSpec, () => tf.Optimizer][] = [
  ["sgd", sgd({ learningRate: 0.07 }), () => tf.train.sgd(0.07)],
  ["momentum", momentum({ learningRate: 0.03, momentum: 0.9 }), () => tf.train.momentum(0.03, 0.9)],
  ["nesterov", momentum({ learningRate: 0.03, nesterov: true }), () => tf.train.momentum(0.03, 0.9, true)],
  ["adagrad", adagrad({ learningRate: 0.05 }), () => tf.train.adagrad(0.05, 0.1)],
  ["adam", optimizerSpecFrom("adam"), () => tf.train.adam(0.001, 0.9, 0.999, 1e-7)],
  [
    "adam with other betas",
    adam({ beta1: 0.8, beta2: 0.95, epsilon: 1e-3 }),
    () => tf.train.adam(0.001, 0.8, 0.95, 1e-3),
  ],
];

test.each(pairs)("%s has the bits of tfjs", (_, spec, tfjsOptimizer) => {
  const weights = Float32Array.from({ length: DIM }, (__, i) => 0.3 * Math.sin(i));
  const gradientAt = (step: number): Float32Array =>
    Float32Array.from({ length: DIM }, (__, i) => (i === 3 ? 0 : Math.sin(1.7 * step + i) * 10 ** ((i % 5) - 3)));

  const optimizer = optimizerOf(spec);
  const row = new Float32Array(DIM + optimizer.stateWidth(DIM));
  row.set(weights);
  optimizer.initState(row, 0, DIM);

  const theirs = tfjsOptimizer();
  const variable = tf.tidy(() => tf.variable(tf.tensor1d(weights)));
  for (let step = 1; step <= STEPS; step++) {
    optimizer.update(row, 0, DIM, gradientAt(step), 0, step, learningRateAt(spec, step));
    tf.tidy(() => theirs.applyGradients([{ name: variable.name, tensor: tf.tensor1d(gradientAt(step)) }]));
    expect([...row.subarray(0, DIM)]).toEqual([...variable.dataSync()]);
  }
  variable.dispose();
  theirs.dispose();
});
