// expect: Type '"date"' is not assignable to type '"age" | "born" | "city"
import { jsonl, since } from "@volary/core";

export const data = jsonl("people.jsonl", {
  types: { age: "number", city: "string", born: "timestamp" },
  fields: { city: "city" },
  label: "age",
  test: since("date", "2001-06-13"), // wrong
});
