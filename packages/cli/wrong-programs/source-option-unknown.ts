// expect: 'lable' does not exist in type
import { parquet } from "@volary/core";

export const data = parquet("people.parquet", {
  fields: { city: "city" },
  lable: "income", // wrong
});
