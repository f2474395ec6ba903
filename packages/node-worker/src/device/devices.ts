/**
 * Which tfjs backend computes. One small interface, one file per device; native packages are optional and are
 * imported only when their device is tried.
 *
 * The order is a preference, fastest first, for when nothing was measured; a device that is asked for by name is
 * used or fails loudly, never replaced.
 */
import * as tf from "@tensorflow/tfjs";
import { cpu } from "./cpu.ts";
import { cuda } from "./cuda.ts";
import type { Device, DeviceName } from "./device.ts";
import { tensorflow } from "./tensorflow.ts";
import { wasm } from "./wasm.ts";
import { webgpu } from "./webgpu.ts";

/** Fastest first. */
export const DEVICES: readonly Device[] = [cuda, webgpu, tensorflow, wasm, cpu];

export interface OpenDevice {
  name: DeviceName;
  description: string;
  close: () => void;
}

/**
 * Opens the device asked for, or the first that works.
 *
 * @throws {Error} the device asked for does not work here: what is missing and what mends it
 */
export async function openDevice(wanted?: DeviceName): Promise<OpenDevice> {
  if (wanted !== undefined) {
    const device = DEVICES.find((d) => d.name === wanted);
    if (!device)
      throw new RangeError(`no device "${wanted as string}"; devices are ${DEVICES.map((d) => d.name).join(", ")}`);
    return await use(device);
  }
  for (const device of DEVICES) {
    try {
      return await use(device);
    } catch {
      // The next one is tried; `volary doctor` says why this one is not used.
    }
  }
  throw new Error("no tfjs backend works here; run `volary doctor` to see why");
}

async function use(device: Device): Promise<OpenDevice> {
  const description = await device.open();
  if (!(await tf.setBackend(device.backend))) throw new Error(`tfjs could not start its ${device.backend} backend`);
  await tf.ready();
  // setBackend may fall back silently; never train on another device than the one named.
  if (tf.getBackend() !== device.backend)
    throw new Error(`tfjs fell back from ${device.backend} to ${tf.getBackend()}`);
  return { name: device.name, description, close: () => device.close?.() };
}

export interface DeviceReport {
  device: DeviceName;
  found: boolean;
  /** What computes, or why it cannot. */
  detail: string;
  /** Median time of a small dense training step. */
  stepMs: number | null;
}

/** Tries every device in turn: what `volary doctor` prints. */
export async function probeDevices(): Promise<DeviceReport[]> {
  const reports: DeviceReport[] = [];
  for (const device of DEVICES) {
    try {
      const { description, close } = await use(device);
      const stepMs = await timeStep();
      close();
      reports.push({ device: device.name, found: true, detail: description, stepMs });
    } catch (error) {
      reports.push({
        device: device.name,
        found: false,
        detail: error instanceof Error ? error.message : String(error),
        stepMs: null,
      });
    }
  }
  return reports;
}

/** Median of five steps of a 320-64-32-1 tower on 1,024 samples, gradients read back. */
async function timeStep(): Promise<number> {
  const variables = [
    [320, 64],
    [64, 32],
    [32, 1],
  ].map((shape) => tf.variable(tf.randomNormal(shape, 0, 0.05, "float32", 7)));
  const x = tf.randomNormal([1024, 320], 0, 1, "float32", 8);
  const loss = (): tf.Scalar => {
    let h: tf.Tensor = x;
    for (const w of variables) h = tf.relu(tf.matMul(h, w as unknown as tf.Tensor2D));
    return tf.mean<tf.Scalar>(tf.square(h));
  };
  const times: number[] = [];
  for (let i = 0; i < 6; i++) {
    const began = performance.now();
    const { value, grads } = tf.variableGrads(loss);
    await Promise.all(Object.values(grads).map((g) => g.data()));
    tf.dispose([value, ...Object.values(grads)]);
    times.push(performance.now() - began);
  }
  tf.dispose([x, ...variables]);
  return times.slice(1).sort((a, b) => a - b)[2]!;
}
