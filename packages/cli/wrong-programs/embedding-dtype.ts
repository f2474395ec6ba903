// expect: Type '"float16"' is not assignable to type '"bfloat16" | "float32" | "int8"'
import { embedding } from "@volary/core";

export const users = embedding({ table: "user", dim: 8, dtype: "float16" }); // wrong
