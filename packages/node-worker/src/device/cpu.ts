/** tfjs's plain JavaScript backend: works everywhere, and is the reference for gradients. */
import type { Device } from "./device.ts";

export const cpu: Device = {
  name: "cpu",
  backend: "cpu",
  open: async () => "plain JavaScript",
};
