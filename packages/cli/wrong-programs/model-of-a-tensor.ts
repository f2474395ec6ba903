// expect: Type 'SymbolicTensor' is not assignable to type 'LayersModel | Promise<LayersModel>'
import { atLeast, defineJob, hourOf, parquet } from "@volary/core";

export default defineJob({
  name: "late",
  data: parquet("flights.parquet", { fields: { hour: hourOf("date") }, label: atLeast("delay", 15) }),
  model: ({ input }) => input({ name: "hour", dtype: "int32" }), // wrong
  compile: { optimizer: "adam", loss: "binaryCrossentropy" },
  fit: { batchSize: 4096 },
});
