// expect: Type 'number' is not assignable to type 'FieldLike<string>'
import { parquet } from "@volary/core";

export const data = parquet("people.parquet", {
  fields: { city: "city", age: 40 }, // wrong
  label: "income",
});
