/**
 * What the net is measured against: logistic regression over the same fields, three epochs of FTRL-proximal (McMahan
 * et al., KDD 2013), the usual model for sparse data. A weight is a row of one float; all fields share one table.
 */
import * as tf from "@tensorflow/tfjs";
import { bsp, defineJob, embedding, ftrl, hash, input, through, zeros } from "@volary/core";
import { data, fields } from "./fields.ts";

export default defineJob({
  name: "flights-baseline",
  seed: 1,
  // In a shared table hour 3 and weekday 3 would be one row: the salt of a hash keeps fields apart.
  data: {
    ...data,
    fields: Object.fromEntries(Object.entries(data.fields).map(([name, field]) => [name, hash(field)])),
  },
  model() {
    const inputs = Object.keys(fields).map((name) => input({ name, dtype: "string" }));
    const weights = inputs.map((field) => embedding({ table: "linear", dim: 1, initializer: zeros() }).apply(field));
    const late = through(weights, tf.layers.add(), tf.layers.activation({ activation: "sigmoid" }));
    return tf.model({ inputs, outputs: late });
  },
  compile: {
    // No dense weights, so the dense optimizer has nothing to do.
    optimizer: "sgd",
    // The best of a sweep over both. β is weighed against gradients, which are means over a batch here, so the usual
    // 1 would be far too much.
    sparseOptimizer: ftrl({ learningRate: 0.2, beta: 1e-5 }),
    loss: "binaryCrossentropy",
    metrics: ["auc", "logloss"],
  },
  fit: { epochs: 3, batchSize: 4096, consistency: bsp() },
});
