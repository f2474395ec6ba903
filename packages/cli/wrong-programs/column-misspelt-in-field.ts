// expect: no column \"born_at\" among the declared ones
import { cross, csv, hourOf } from "@volary/core";

export const data = csv("people.csv", {
  types: { age: "number", city: "string", born: "timestamp" },
  fields: { city: cross("city", hourOf("born_at")) }, // wrong
  label: "age",
});
