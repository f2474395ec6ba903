// expect: Type '"income"' is not assignable to type '"age" | "born" | "city"
import { atLeast, csv } from "@volary/core";

export const data = csv("people.csv", {
  types: { age: "number", city: "string", born: "timestamp" },
  fields: { city: "city" },
  label: atLeast("income", 50_000), // wrong
});
