/** Computing in a process that is no worker: a device is opened, and the backend that was in use comes back. */
import * as tf from "@tensorflow/tfjs";
import type { DeviceName } from "./device.ts";
import { openDevice } from "./devices.ts";

/**
 * Runs `body` on a device.
 *
 * @throws {Error} the device does not work here
 */
export async function withDevice<T>(name: DeviceName | undefined, body: () => Promise<T>): Promise<T> {
  const before: string | undefined = tf.getBackend();
  const device = await openDevice(name);
  try {
    return await body();
  } finally {
    device.close();
    if (before !== undefined && before !== tf.getBackend()) await tf.setBackend(before);
  }
}
