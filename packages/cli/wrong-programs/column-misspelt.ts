// expect: Type '"cty"' is not assignable to type '"age" | "born" | "city"'. Did you mean '"city"'?
import { csv } from "@volary/core";

export const data = csv("people.csv", {
  types: { age: "number", city: "string", born: "timestamp" },
  fields: { city: "cty" }, // wrong
  label: "age",
});
