import * as tf from "@tensorflow/tfjs";
import {
  adagrad,
  atLeast,
  bsp,
  cross,
  defineJob,
  embedding,
  hourOf,
  input,
  npmFile,
  parquet,
  since,
  through,
} from "@volary/core";

export default defineJob({
  name: "flight-delays",
  data: parquet(npmFile("vega-datasets/data/flights-3m.parquet"), {
    fields: { route: cross("origin", "destination"), hour: hourOf("date") },
    label: atLeast("delay", 15),
    test: since("date", "2001-06-13T08:02"),
  }),
  model() {
    const route = input({ name: "route", dtype: "string" }); // any vocabulary, no inputDim
    const hour = input({ name: "hour", dtype: "int32" });
    const rows = [
      embedding({ table: "route", dim: 16 }).apply(route),
      embedding({ table: "hour", dim: 16 }).apply(hour),
    ];
    const late = through(
      rows,
      tf.layers.concatenate(),
      tf.layers.dense({ units: 64, activation: "relu" }),
      tf.layers.dense({ units: 1, activation: "sigmoid" }),
    );
    return tf.model({ inputs: [route, hour], outputs: late });
  },
  compile: {
    optimizer: "adam",
    sparseOptimizer: adagrad({ learningRate: 0.05 }),
    loss: "binaryCrossentropy",
    metrics: ["auc"],
  },
  fit: { epochs: 1, batchSize: 4096, consistency: bsp() },
});
