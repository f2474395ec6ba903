/** TensorFlow's library on the CPU. */
import type { Device } from "./device.ts";
import { missingLibrary, openLibrary } from "./library/load-library.ts";

export const tensorflow: Device = {
  name: "tensorflow",
  backend: "tensorflow",
  missing: () => missingLibrary("cpu"),
  open: async () => `TensorFlow ${(await openLibrary("cpu")).version}, CPU`,
};
