/**
 * The demo's net, DeepFM-like (Guo et al., IJCAI 2017): one embedding of 16 floats per field, whose pairs give one
 * logit (a factorization machine) and whose concatenation gives another (an MLP); their sum is the answer.
 */
import * as tf from "@tensorflow/tfjs";
import { adam, bsp, defineJob, embedding, fm, input, rowwiseAdagrad, through } from "@volary/core";
import { data, fields } from "./fields.ts";

const DIM = 16;

export default defineJob({
  name: "flights",
  seed: 1,
  data,
  model() {
    const inputs = Object.keys(fields).map((name) => input({ name, dtype: "string" }));
    const rows = inputs.map((field, i) => embedding({ table: Object.keys(fields)[i]!, dim: DIM }).apply(field));
    const pairs = through(rows, fm());
    const deep = through(
      rows,
      tf.layers.concatenate(),
      tf.layers.dense({ units: 64, activation: "relu" }),
      tf.layers.dense({ units: 32, activation: "relu" }),
      tf.layers.dense({ units: 1 }),
    );
    const late = through([pairs, deep], tf.layers.add(), tf.layers.activation({ activation: "sigmoid" }));
    return tf.model({ inputs, outputs: late });
  },
  compile: {
    optimizer: adam({ learningRate: 0.002 }),
    sparseOptimizer: rowwiseAdagrad({ learningRate: 0.02 }),
    loss: "binaryCrossentropy",
    metrics: ["auc", "logloss"],
  },
  fit: { epochs: 1, batchSize: 4096, consistency: bsp() },
});
