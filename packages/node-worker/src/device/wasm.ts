/** tfjs's WebAssembly backend: SIMD in Node, one thread (tfjs turns threads off there). */
import type { Device } from "./device.ts";

export const wasm: Device = {
  name: "wasm",
  backend: "wasm",
  open: async () => {
    await import("@tensorflow/tfjs-backend-wasm");
    return "WebAssembly, SIMD, one thread";
  },
};
