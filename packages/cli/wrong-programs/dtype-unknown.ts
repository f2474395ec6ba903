// expect: Type '"uint32"' is not assignable to type 'InputDtype'. Did you mean '"int32"'?
import { input } from "@volary/core";

export const user = input({ name: "user", dtype: "uint32" }); // wrong
