/** What tfjs's gradients lack, and what is wrong in them, on whichever backends are loaded. */
import { completeMeans } from "./mean-gradients.ts";
import { completeMissing } from "./missing-gradients.ts";
import { completeResizing } from "./cpu-resizing.ts";
import { completeWasm } from "./wasm-gradients.ts";

/** Makes all backends train the same layers, with the same gradients; what is done already is left as it is. */
export function completeGradients(): void {
  completeMeans();
  completeMissing();
  completeResizing();
  completeWasm();
}
