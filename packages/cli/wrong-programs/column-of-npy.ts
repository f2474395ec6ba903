// expect: Type '"pixel"' is not assignable to type '"digit" | "pixels"'. Did you mean '"pixels"'?
import { npy } from "@volary/core";

export const digits = npy(
  { pixels: "x.npy", digit: "y.npy" },
  { fields: { pixels: "pixel" }, label: "digit" }, // wrong
);
