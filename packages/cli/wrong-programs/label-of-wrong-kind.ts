// expect: Type 'number' is not assignable to type 'string | Label<string>'
import { parquet } from "@volary/core";

export const data = parquet("people.parquet", {
  fields: { city: "city" },
  label: 1, // wrong
});
