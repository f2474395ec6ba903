/** What the compiler must take: the nearest right programs to the wrong ones beside this file, and some longer ones. */
import * as tf from "@tensorflow/tfjs";
import {
  adam,
  afterUpdates,
  asp,
  atLeast,
  average,
  bsp,
  cosineDecay,
  cross,
  csv,
  defineJob,
  embedding,
  fm,
  hourOf,
  input,
  leastFrequent,
  leastRecent,
  localSgd,
  nesterov,
  parquet,
  since,
  ssp,
  standardise,
  through,
  trainingFunction,
  withDefault,
  zeros,
  type DataSpec,
  type FitArgs,
  type InputOf,
} from "@volary/core";
import { Cluster, type FitOptions } from "../src/index.ts";

const clicks = csv("clicks.csv", {
  types: { user: "int64", city: "string", age: "number", when: "timestamp", clicked: "number" },
  fields: {
    user: "user",
    place: cross("city", hourOf("when")),
    hour: hourOf("when"),
    age: standardise(withDefault("age", 40)),
  },
  label: atLeast("clicked", 1),
  weight: "age",
  test: since("when", "2026-06-01"),
});

export const typed = defineJob({
  name: "clicks",
  data: clicks,
  async model({ input }) {
    const user = input({ name: "user", dtype: "int64" });
    const place = input({ name: "place", dtype: "string" });
    const hour = input({ name: "hour", dtype: "float32" });
    const age = input({ name: "age", dtype: "float32" });
    const rows = [
      embedding({
        table: "user",
        dim: 8,
        dtype: "bfloat16",
        initializer: zeros(),
        optimizer: "rowwise-adagrad",
        admit: afterUpdates(2),
      }).apply(user),
      embedding({ table: "place", dim: 8, evict: leastRecent({ rowsMax: 1e6 }) }).apply(place),
    ];
    const clicked = through([through(rows, fm()), hour, age], tf.layers.concatenate(), tf.layers.dense({ units: 1 }));
    return tf.model({ inputs: [user, place, hour, age], outputs: clicked });
  },
  compile: {
    optimizer: adam({ learningRate: cosineDecay({ initialLearningRate: 0.01, decaySteps: 1000 }) }),
    sparseOptimizer: "rowwise-adagrad",
    loss: "binaryCrossentropy",
    metrics: ["auc", "hr@10", "ndcg@5"],
    clip: { norm: 5 },
  },
  fit: {
    batchSize: 4096,
    consistency: bsp(),
    validate: { everySteps: 100 },
    earlyStopping: { monitor: "val_ndcg@5", patience: 2 },
    classWeight: { 0: 1, 1: 2.5 },
  },
});
export const again = defineJob({ ...typed, seed: 1 });

/** Every mode, and what goes with it. */
export const modes: FitArgs[] = [
  {
    batchSize: 64,
    consistency: bsp({ balance: true }),
    dense: "sharded",
    wire: { dense: "int8", errorFeedback: true },
  },
  { batchSize: 64, consistency: bsp({ quorum: 0.75 }), dense: "ps" },
  { batchSize: 64, consistency: ssp({ stalenessSteps: 8 }), cache: { stalenessSteps: 8 } },
  { batchSize: 64, consistency: asp(), cache: { stalenessSteps: 8, rowsMax: 1e5 }, wire: { rows: "bfloat16" } },
  { batchSize: 64, consistency: localSgd({ every: 30, outer: average(), compression: "int8" }) },
  { batchSize: 64, consistency: localSgd({ every: { seconds: 2 }, outer: nesterov(0.7, 0.9) }) },
  { batchSize: 64, wire: { gradients: { topK: 0.1 }, dense: { topK: 0.01 } } },
];
export const asynchronous = defineJob({ ...typed, fit: { batchSize: 64, consistency: asp() } });

const logistic = {
  compile: { optimizer: "sgd", loss: "binaryCrossentropy" },
  fit: { batchSize: 64 },
} as const;

/** Names that only the run knows. */
export const computed = defineJob({
  name: "computed",
  data: parquet("flights.parquet", { fields: { hour: hourOf("date") }, label: atLeast("delay", 15) }),
  model() {
    const inputs = ["hour"].map((name) => input({ name, dtype: "int32" }));
    const rows = inputs.map((field) => embedding({ table: "hour", dim: 1 }).apply(field));
    return tf.model({ inputs, outputs: through(rows, tf.layers.activation({ activation: "sigmoid" })) });
  },
  ...logistic,
});

/** Data whose type knows no fields. */
export const untyped = (data: DataSpec) =>
  defineJob({
    name: "untyped",
    data,
    model: ({ input }) => {
      const age = input({ name: "age", dtype: "float32" });
      return tf.model({ inputs: age, outputs: through(age, tf.layers.dense({ units: 1 })) });
    },
    ...logistic,
  });

const dot = trainingFunction({
  name: "dot",
  rows: { user: { table: "user", dim: 8 } },
  step: ({ rows: { user }, weight }) => tf.sum(tf.mul(weight, tf.sum(user, -1))),
});
export const modelless = defineJob({
  name: "dot",
  data: clicks,
  compile: { optimizer: "adam", loss: dot },
  fit: { batchSize: 64 },
});

const field: InputOf<typeof clicks> = input;
const age = field({ name: "age", dtype: "float32" });
const model = tf.model({ inputs: age, outputs: through(age, tf.layers.dense({ units: 1 })) });

const cluster = await Cluster.local({ ps: 2, workers: 2, device: "cpu" });
const x = { age: Float32Array.of(1, 2) };
await cluster.fit(model, { x, y: [0, 1] });
await cluster.fit(model, { x: [1, 2], y: [0, 1] }, { validationData: { x: [3], y: [1] } });
await cluster.fit(model, { x: tf.tensor2d([[1], [2]]), y: tf.tensor1d([0, 1]) }, { validationSplit: 0.5 });
await cluster.fit(model, { x, y: undefined }, { validationData: { x: { age: [3] }, y: undefined } });
await cluster.fit(model, tf.data.array([{ xs: [1], ys: [0] }]).batch(32));
await cluster.fit(model, clicks, { epochs: 3, callbacks: [{ onEpochEnd: (epoch, logs) => [epoch, logs?.["loss"]] }] });
await cluster.fit(model, clicks, { validationData: clicks, callbacks: new tf.CustomCallback({}) });
const options: FitOptions = { epochs: 3, earlyStopping: { monitor: "val_auc" }, compile: { optimizer: "adam" } };
await cluster.fit(model, { x, y: [0, 1] }, options);
await cluster.fit(model, { x, y: [0, 1] }, { ...options, batchSize: 2 });

const tables = await cluster.tables({
  counts: { dim: 1, update: "count", admit: afterUpdates(2), evict: leastFrequent({ rowsMax: 1e6 }) },
  weights: { dim: 4, optimizer: "ftrl", dtype: "int8" },
});
await tables.counts.push([7n, 8]);
await tables.weights.push(BigUint64Array.of(7n), new Float32Array(4));
