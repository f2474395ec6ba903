// expect: Did you mean '"int8"'?
import * as tf from "@tensorflow/tfjs";
import { atLeast, defineJob, embedding, hourOf, localSgd, parquet, through } from "@volary/core";

export default defineJob({
  name: "late",
  data: parquet("flights.parquet", { fields: { hour: hourOf("date") }, label: atLeast("delay", 15) }),
  model({ input }) {
    const hour = input({ name: "hour", dtype: "int32" });
    const rows = embedding({ table: "hour", dim: 8 }).apply(hour);
    return tf.model({ inputs: hour, outputs: through(rows, tf.layers.dense({ units: 1, activation: "sigmoid" })) });
  },
  compile: { optimizer: "adam", loss: "binaryCrossentropy" },
  fit: {
    batchSize: 4096,
    consistency: localSgd({ every: 30, compression: "int" }), // wrong
  },
});
