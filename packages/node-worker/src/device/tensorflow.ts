/** The TensorFlow C library on the CPU, through @tensorflow/tfjs-node. */
import type { Device } from "./device.ts";
import { loadBinding } from "./tfjs-node.ts";

export const tensorflow: Device = {
  name: "tensorflow",
  backend: "tensorflow",
  open: async () => {
    await loadBinding("@tensorflow/tfjs-node");
    return "TensorFlow C library, CPU";
  },
};
