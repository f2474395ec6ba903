/**
 * Which tfjs backend computes. One small interface, one file per device; native packages are optional and are
 * imported only when their device is tried.
 *
 * The order is a preference, fastest first, for when nothing was measured; a device that is asked for by name is
 * used or fails loudly, never replaced.
 */
import * as tf from "@tensorflow/tfjs";
import type { GradientModel } from "@volary/core/training";
import { cpu } from "./cpu.ts";
import { cuda } from "./cuda.ts";
import { DeviceError, type Device, type DeviceName } from "./device.ts";
import { tensorflow } from "./tensorflow.ts";
import { wasm } from "./wasm.ts";
import { webgpu } from "./webgpu.ts";

/** Fastest first. */
export const DEVICES: readonly Device[] = [cuda, webgpu, tensorflow, wasm, cpu];

export interface OpenDevice {
  name: DeviceName;
  description: string;
  throughModel: (model: GradientModel) => GradientModel;
  close: () => void;
}

/**
 * Opens the device asked for, or the first that works.
 *
 * @throws {DeviceError} the device asked for does not work here: what is missing and what mends it
 */
export async function openDevice(wanted?: DeviceName): Promise<OpenDevice> {
  if (wanted !== undefined) {
    const device = DEVICES.find((d) => d.name === wanted);
    if (!device)
      throw new RangeError(`no device "${wanted as string}"; devices are ${DEVICES.map((d) => d.name).join(", ")}`);
    try {
      return await use(device, { asked: true });
    } catch (cause) {
      throw new DeviceError(`device ${wanted} does not work here: ${messageOf(cause)}`, { cause });
    }
  }
  for (const device of DEVICES) {
    try {
      return await use(device, { asked: false });
    } catch {
      // The next one is tried; `volary doctor` says why this one is not used.
    }
  }
  throw new DeviceError("no tfjs backend works here; run `volary doctor` to see why");
}

async function use(device: Device, how: { asked: boolean }): Promise<OpenDevice> {
  const missing = device.missing?.();
  if (missing !== undefined) throw new Error(missing);
  const description = await device.open(how);
  if (!(await tf.setBackend(device.backend))) throw new Error(`tfjs could not start its ${device.backend} backend`);
  await tf.ready();
  // setBackend may fall back silently; never train on another device than the one named.
  if (tf.getBackend() !== device.backend)
    throw new Error(`tfjs fell back from ${device.backend} to ${tf.getBackend()}`);
  const throughModel = (model: GradientModel) => device.throughModel?.(model) ?? model;
  return { name: device.name, description, throughModel, close: () => device.close?.() };
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
