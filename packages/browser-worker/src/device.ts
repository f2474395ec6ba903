/**
 * Which tfjs backend computes in this tab, fastest first. A backend that would compute wrongly or slower than the
 * next one is refused, with its reason; one that is asked for by name is used or fails loudly, never replaced.
 */
import * as tf from "@tensorflow/tfjs-core";
// `?url` is Vite's, which always bundles this package (vite.config.ts).
import simdUrl from "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm?url";
import threadedUrl from "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-threaded-simd.wasm?url";
import plainUrl from "@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm.wasm?url";

/** Each is also tfjs's name of the backend. */
export type DeviceName = "webgpu" | "webgl" | "wasm" | "cpu";

export interface OpenDevice {
  readonly name: DeviceName;
  /** What computes, for people. */
  readonly description: string;
  /** Why nothing it computes can be trusted any more, once that is so. */
  lost(): string | undefined;
  /** Resolves then, with the same words. What was computing may never end. */
  readonly whenLost: Promise<string>;
}

interface Device {
  readonly name: DeviceName;
  /**
   * Registers the backend with tfjs.
   *
   * @throws {Error} why it cannot be used here
   */
  load(): Promise<void>;
  /** Looks at the backend once it runs. */
  inspect(): Omit<OpenDevice, "name">;
}

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
    try {
      return await use(device);
    } catch (error) {
      log(`${device.name} is not used: ${messageOf(error)}`);
    }
  }
  throw new Error("no tfjs backend works in this browser; the log says why");
}

async function useOnly(wanted: DeviceName): Promise<OpenDevice> {
  const device = DEVICES.find(({ name }) => name === wanted);
  if (!device) throw new RangeError(`no device "${wanted}"; devices are ${DEVICES.map(({ name }) => name).join(", ")}`);
  try {
    return await use(device);
  } catch (cause) {
    throw new Error(`device ${wanted} cannot be used: ${messageOf(cause)}; ask for another one, or for none`, {
      cause,
    });
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

async function use(device: Device): Promise<OpenDevice> {
  await device.load();
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

const HALF_PRECISION = "it computes in 16-bit floats, which would spoil the gradients of every worker";

const webgpu: Device = {
  name: "webgpu",
  load: async () => {
    const gpu = (navigator as { gpu?: GPU }).gpu;
    if (!gpu) throw new Error("this browser has no WebGPU, or keeps it for pages that came by https");
    const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
    if (!adapter) throw new Error("WebGPU finds no adapter on this machine");
    if (isSoftware(adapter.info))
      throw new Error(`WebGPU finds only a software adapter (${nameOf(adapter.info)}), which is slower than WebGL`);
    await import("@tensorflow/tfjs-backend-webgpu");
  },
  inspect: () => {
    const { device } = tf.backend() as unknown as { device: GPUDevice };
    let lost: string | undefined;
    const whenLost = device.lost.then(({ message }) => (lost = `the WebGPU device was lost: ${message}`));
    return { description: nameOf(device.adapterInfo), lost: () => lost, whenLost };
  },
};

function isSoftware(info: GPUAdapterInfo): boolean {
  return (
    info.isFallbackAdapter ||
    /swiftshader|llvmpipe|lavapipe|software/i.test(`${info.description} ${info.architecture} ${info.device}`)
  );
}

function nameOf(info: GPUAdapterInfo): string {
  return info.description || `${info.vendor} ${info.architecture}`.trim() || "unnamed adapter";
}

const webgl: Device = {
  name: "webgl",
  load: async () => {
    await import("@tensorflow/tfjs-backend-webgl");
    if (tf.env().getNumber("WEBGL_VERSION") === 0) throw new Error("this browser has no WebGL, or has it turned off");
    if (!tf.env().getBool("WEBGL_RENDER_FLOAT32_ENABLED")) throw new Error(HALF_PRECISION);
  },
  inspect: () => {
    const { gl } = (tf.backend() as unknown as { getGPGPUContext(): { gl: WebGLRenderingContext } }).getGPGPUContext();
    const reason = "the WebGL context was lost, and with it all that was computed";
    // Reads of a lost context give zeros or never end. One that was restored looks healthy, and its textures are gone.
    let wasLost = false;
    const whenLost = new Promise<string>((resolve) => {
      gl.canvas.addEventListener("webglcontextlost", () => {
        wasLost = true;
        resolve(reason);
      });
    });
    return { description: rendererOf(gl), lost: () => (wasLost || gl.isContextLost() ? reason : undefined), whenLost };
  },
};

function rendererOf(gl: WebGLRenderingContext): string {
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  return String(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
}

/** The processor stays. */
const NEVER_LOST = { lost: () => undefined, whenLost: new Promise<string>(() => {}) };

const wasm: Device = {
  name: "wasm",
  load: async () => {
    const { setWasmPaths } = await import("@tensorflow/tfjs-backend-wasm");
    setWasmPaths({
      "tfjs-backend-wasm.wasm": plainUrl,
      "tfjs-backend-wasm-simd.wasm": simdUrl,
      "tfjs-backend-wasm-threaded-simd.wasm": threadedUrl,
    });
  },
  inspect: () => ({ description: `WebAssembly, ${crossOriginIsolated ? "threads" : "one thread"}`, ...NEVER_LOST }),
};

const cpu: Device = {
  name: "cpu",
  load: async () => {
    await import("@tensorflow/tfjs-backend-cpu");
  },
  inspect: () => ({ description: "plain JavaScript", ...NEVER_LOST }),
};

/** Fastest first. */
const DEVICES: readonly Device[] = [webgpu, webgl, wasm, cpu];
