// expect: Type '"string"' is not assignable to type '"float32"'
import * as tf from "@tensorflow/tfjs";
import { defineJob, parquet, standardise, through } from "@volary/core";

export default defineJob({
  name: "income",
  data: parquet("people.parquet", { fields: { age: standardise("age") }, label: "income" }),
  model({ input }) {
    const age = input({ name: "age", dtype: "string" }); // wrong
    return tf.model({ inputs: age, outputs: through(age, tf.layers.dense({ units: 1 })) });
  },
  compile: { optimizer: "adam", loss: "meanSquaredError" },
  fit: { batchSize: 1024 },
});
