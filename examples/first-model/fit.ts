/** A model of TensorFlow.js on a cluster: what sells, and when. `plain-tfjs.ts` is the same without, five lines apart. */
import * as tf from "@tensorflow/tfjs";
import { Cluster } from "volary";
import { visits } from "./visits.ts";

const cluster = await Cluster.local({ ps: 2, workers: 2 });
const rows = visits(0, 10_000);
const x = {
  item: tf.tensor2d(rows.map(({ item }) => [item - 70_000])),
  hour: tf.tensor2d(rows.map(({ time }) => [new Date(time).getUTCHours()])),
};
const y = tf.tensor2d(rows.map(({ bought }) => [bought]));

const item = tf.input({ name: "item", shape: [1] });
const hour = tf.input({ name: "hour", shape: [1] });
const vectors = [
  tf.layers.embedding({ name: "items", inputDim: 500, outputDim: 8 }).apply(item),
  tf.layers.embedding({ name: "hours", inputDim: 24, outputDim: 4 }).apply(hour),
] as tf.SymbolicTensor[];
const flat = tf.layers.flatten().apply(tf.layers.concatenate().apply(vectors));
const bought = tf.layers.dense({ units: 1, activation: "sigmoid" }).apply(flat) as tf.SymbolicTensor;
const model = tf.model({ inputs: [item, hour], outputs: bought });
model.compile({ optimizer: tf.train.adam(0.02), loss: "binaryCrossentropy", metrics: ["accuracy"] });

const callbacks = { onEpochEnd: async (epoch: number, logs?: tf.Logs) => console.log(epoch, logs) };
const run = await cluster.fit(model, { x, y }, { epochs: 3, batchSize: 512, validationSplit: 0.1, callbacks });
console.log((await run.predict({ item: [7], hour: [20] })).values);
await cluster.stop();
