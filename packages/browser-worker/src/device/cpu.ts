/** Plain JavaScript: slow, and everywhere. */
import { NEVER_LOST, type Device } from "./device.ts";

export const cpu: Device = {
  name: "cpu",
  load: async () => {
    await import("@tensorflow/tfjs-backend-cpu");
  },
  inspect: () => ({ description: "plain JavaScript", ...NEVER_LOST }),
};
