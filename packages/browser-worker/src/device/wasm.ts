/**
 * WebAssembly: the processor, with SIMD where it has it. On one thread, since tfjs starts others from addresses that the
 * page's policy forbids; a volunteer gives a GPU first of all.
 */
import * as tf from "@tensorflow/tfjs-core";
// `?url` is Vite's, which always bundles this package (vite.config.ts).
import simdUrl from "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url";
import plainUrl from "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm?url";
import { NEVER_LOST, type Device } from "./device.ts";

export const wasm: Device = {
  name: "wasm",
  load: async () => {
    const { setWasmPaths } = await import("@tensorflow/tfjs-backend-wasm");
    tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
    setWasmPaths({
      "tfjs-backend-wasm.wasm": plainUrl,
      "tfjs-backend-wasm-simd.wasm": simdUrl,
      "tfjs-backend-wasm-threaded-simd.wasm": simdUrl, // never asked for
    });
  },
  inspect: () => ({ description: "WebAssembly", ...NEVER_LOST }),
};
