// expect: Type 'string' is not assignable to type 'InitializerSpec'
import { embedding } from "@volary/core";

export const users = embedding({
  table: "user",
  dim: 8,
  initializer: "zeros", // wrong
});
