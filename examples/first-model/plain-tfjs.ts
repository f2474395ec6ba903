/** A model of plain TensorFlow.js: what sells, and when. `fit.ts` is the same on a cluster, five lines apart. */
import * as tf from "@tensorflow/tfjs";
import { visits } from "./visits.ts";

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
await model.fit(x, y, { epochs: 3, batchSize: 512, validationSplit: 0.1, callbacks });
console.log(await (model.predict([tf.tensor2d([[7]]), tf.tensor2d([[20]])]) as tf.Tensor).data());
