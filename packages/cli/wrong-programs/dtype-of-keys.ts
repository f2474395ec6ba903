// expect: Type '"float32"' is not assignable to type '"int32" | "int64" | "string"'
import { cross, defineJob, parquet } from "@volary/core";
import * as tf from "@tensorflow/tfjs";

export default defineJob({
  name: "late",
  data: parquet("flights.parquet", { fields: { route: cross("origin", "destination") }, label: "delay" }),
  model({ input }) {
    const route = input({ name: "route", dtype: "float32" }); // wrong
    return tf.model({ inputs: route, outputs: route });
  },
  compile: { optimizer: "adam", loss: "meanSquaredError" },
  fit: { batchSize: 1024 },
});
