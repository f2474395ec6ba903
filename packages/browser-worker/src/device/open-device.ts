/**
 * Which tfjs backend computes in this tab, fastest first. A backend that would compute wrongly is refused, with its
 * reason; one that is asked for by name is used or fails loudly, never replaced.
 */
import * as tf from "@tensorflow/tfjs-core";
import { cpu } from "./cpu.ts";
import { HALF_PRECISION, type Device, type DeviceName, type OpenDevice } from "./device.ts";
import { wasm } from "./wasm.ts";
import { webgl } from "./webgl.ts";
import { webgpu } from "./webgpu.ts";

/** Fastest first. */
const DEVICES: readonly Device[] = [webgpu, webgl, wasm, cpu];
export const DEVICE_NAMES: readonly DeviceName[] = DEVICES.map(({ name }) => name);

export interface OpenDeviceOptions {
  /** The only device that will do. */
  wanted?: DeviceName | undefined;
  /** Told of every device that was refused, and why. */
  log?: ((message: string) => void) | undefined;
}

/**
 * Opens the device wanted, or the first that works.
 *
 * @throws {Error} the device wanted does not work here, and why
 */
export async function openDevice({ wanted, log = () => {} }: OpenDeviceOptions = {}): Promise<OpenDevice> {
  if (wanted !== undefined) return useOnly(wanted);
  for (const device of DEVICES) {
    const opened = await tryDevice(device.name, log);
    if (opened) return opened;
  }
  throw new Error("no tfjs backend works in this browser; the log says why");
}

/** Opens one of several devices that will do; undefined where it does not work, and `log` is told why. */
export async function tryDevice(
  name: DeviceName,
  log: (message: string) => void = () => {},
): Promise<OpenDevice | undefined> {
  try {
    return await use(deviceOf(name), { byName: false });
  } catch (error) {
    log(`${name} is not used: ${messageOf(error)}`);
    return undefined;
  }
}

/** Lets an open device compute what comes next, where others were opened after it. */
export async function returnTo({ name }: OpenDevice): Promise<void> {
  await tf.setBackend(name);
}

async function useOnly(wanted: DeviceName): Promise<OpenDevice> {
  const device = deviceOf(wanted);
  try {
    return await use(device, { byName: true });
  } catch (cause) {
    throw new Error(`device ${wanted} cannot be used: ${messageOf(cause)}; ask for another one, or for none`, {
      cause,
    });
  }
}

function deviceOf(wanted: DeviceName): Device {
  const device = DEVICES.find(({ name }) => name === wanted);
  if (!device) throw new RangeError(`no device "${wanted}"; devices are ${DEVICE_NAMES.join(", ")}`);
  return device;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

async function use(device: Device, asked: { byName: boolean }): Promise<OpenDevice> {
  await device.load(asked);
  if (!(await tf.setBackend(device.name))) throw new Error(`tfjs could not start its ${device.name} backend`);
  await tf.ready();
  // setBackend may fall back silently; never train on another device than the one named.
  if (tf.getBackend() !== device.name) throw new Error(`tfjs fell back from ${device.name} to ${tf.getBackend()}`);
  await checkPrecision();
  return { name: device.name, ...device.inspect() };
}

/** Tells 32-bit floats from 16-bit ones, which cannot hold this sum. */
const BARELY_OVER_ONE = 1 + 2 ** -20;

/**
 * Flags tell what a device claims; this measures it.
 *
 * @throws {Error} it computes in less than 32 bits
 */
async function checkPrecision(): Promise<void> {
  // Of fewer than 128 elements tfjs's WebGL backend would compute the sum on the CPU.
  const sum = tf.tidy(() => tf.add(tf.ones([1024]), tf.fill([1024], BARELY_OVER_ONE - 1)));
  const values = await sum.data();
  sum.dispose();
  if (!values.every((value) => Math.abs(value - BARELY_OVER_ONE) < 2 ** -22)) throw new Error(HALF_PRECISION);
}
