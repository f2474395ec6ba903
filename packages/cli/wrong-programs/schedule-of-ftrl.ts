// expect: Type 'LearningRateSchedule' is not assignable to type 'number'
import * as tf from "@tensorflow/tfjs";
import { atLeast, defineJob, embedding, ftrl, hourOf, linearWarmup, parquet, through } from "@volary/core";

export default defineJob({
  name: "late",
  data: parquet("flights.parquet", { fields: { hour: hourOf("date") }, label: atLeast("delay", 15) }),
  model({ input }) {
    const hour = input({ name: "hour", dtype: "int32" });
    const rows = embedding({ table: "hour", dim: 8 }).apply(hour);
    return tf.model({ inputs: hour, outputs: through(rows, tf.layers.dense({ units: 1, activation: "sigmoid" })) });
  },
  compile: {
    optimizer: "adam",
    sparseOptimizer: ftrl({ learningRate: linearWarmup({ learningRate: 0.1, warmupSteps: 100 }) }), // wrong
    loss: "binaryCrossentropy",
  },
  fit: { batchSize: 4096 },
});
