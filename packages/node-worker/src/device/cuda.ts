/** The TensorFlow C library on an NVIDIA GPU, through @tensorflow/tfjs-node-gpu. */
import { existsSync } from "node:fs";
import type { Device } from "./device.ts";
import { loadBinding } from "./tfjs-node.ts";

export const cuda: Device = {
  name: "cuda",
  backend: "tensorflow",
  open: async () => {
    // Without a driver the binding would silently compute on the CPU.
    if (!existsSync("/proc/driver/nvidia/version") && !existsSync("/dev/nvidiactl")) {
      throw new Error("no NVIDIA driver on this machine; install it, or use --device wasm");
    }
    await loadBinding("@tensorflow/tfjs-node-gpu");
    return "TensorFlow C library, CUDA";
  },
};
