// expect: Type 'number' is not assignable to type 'AdmissionSpec'
import { embedding } from "@volary/core";

export const users = embedding({
  table: "user",
  dim: 8,
  admit: 3, // wrong
});
