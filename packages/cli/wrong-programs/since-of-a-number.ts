// expect: Argument of type 'number' is not assignable to parameter of type 'string'
import { parquet, since } from "@volary/core";

export const data = parquet("flights.parquet", {
  fields: { origin: "origin" },
  label: "delay",
  test: since("date", 20010613), // wrong
});
