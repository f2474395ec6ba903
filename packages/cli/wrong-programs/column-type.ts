// expect: Type '"integer"' is not assignable to type '"int64" | "int64[]" | "number"
import { tsv } from "@volary/core";

export const data = tsv("people.tsv", {
  types: { age: "integer", city: "string" }, // wrong
  fields: { city: "city" },
  label: "age",
});
