// expect: Type '"usr"' is not assignable to type '"hour" | "user"'. Did you mean '"user"'?
import { csv, hourOf, input, type InputOf } from "@volary/core";

export const data = csv("clicks.csv", { fields: { user: "user", hour: hourOf("when") }, label: "clicked" });
const field: InputOf<typeof data> = input;
export const inputs = [
  field({ name: "hour", dtype: "int32" }),
  field({ name: "usr", dtype: "string" }), // wrong
];
