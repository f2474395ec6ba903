/**
 * WebGPU in Node: Dawn from the npm package `webgpu`, which speaks Vulkan, Metal or Direct3D 12. A software adapter is
 * slower than wasm, and is used only when it is asked for.
 */
import { existsSync } from "node:fs";
import * as tf from "@tensorflow/tfjs";
import { compilingAhead } from "./compile-ahead.ts";
import type { Device } from "./device.ts";

const NO_GPU = "no GPU on this machine (neither /dev/dri nor an NVIDIA driver); use --device wasm";
const NO_PACKAGE = "the npm package `webgpu` is not installed; `npm install webgpu` brings it";
const NO_ADAPTER =
  "WebGPU finds no adapter; install the GPU's Vulkan driver and the loader, as with `apt-get install libvulkan1 mesa-vulkan-drivers`";

const BACKEND = "webgpu";

/** What computes, while it is open: a device dies with the instance of Dawn that it came from, and takes the process along. */
let opened: string | undefined;

export const webgpu: Device = {
  name: "webgpu",
  backend: BACKEND,
  // Dawn complains on stderr where there is no GPU, before it says so.
  missing: () => (process.platform === "linux" && !hasGpu() ? NO_GPU : undefined),
  open: async ({ asked }) => {
    if (opened !== undefined) return opened;
    const dawn = await import("webgpu").catch((cause: unknown) => {
      throw new Error(NO_PACKAGE, { cause });
    });
    const gpu = dawn.create([]);
    const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
    if (!adapter) throw new Error(NO_ADAPTER);
    const { description, vendor, architecture, isFallbackAdapter } = adapter.info;
    const name = description || `${vendor} ${architecture}`.trim() || "unnamed adapter";
    const isSoftware = isFallbackAdapter || /swiftshader|llvmpipe|lavapipe/i.test(`${name} ${architecture}`);
    if (isSoftware && !asked)
      throw new Error(`WebGPU finds only a software adapter (${name}), which is slower than wasm`);
    Object.assign(globalThis, dawn.globals);
    Object.defineProperty(navigator, "gpu", { value: gpu, configurable: true });
    await import("@tensorflow/tfjs-backend-webgpu");
    opened = isSoftware ? `${name}, a software adapter` : name;
    return opened;
  },
  throughModel: (model) => compilingAhead(model),
  // Node need not exit while Dawn's instance is alive. The backend goes with it, and is made anew if it is opened again.
  close: () => {
    const factory = tf.findBackendFactory(BACKEND);
    if (factory !== null) {
      tf.removeBackend(BACKEND);
      tf.registerBackend(BACKEND, factory);
    }
    delete (navigator as { gpu?: unknown }).gpu;
    opened = undefined;
  },
};

/** Or a Vulkan driver that somebody named, which may compute on the processor. */
function hasGpu(): boolean {
  const named = process.env["VK_DRIVER_FILES"] ?? process.env["VK_ICD_FILENAMES"];
  return Boolean(named) || existsSync("/dev/dri") || existsSync("/dev/nvidiactl") || existsSync("/dev/dxg");
}
