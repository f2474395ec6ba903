/** WebGPU in Node: Dawn from the npm package `webgpu`. Software adapters are slower than wasm and are refused. */
import { existsSync } from "node:fs";
import type { Device } from "./device.ts";

export const webgpu: Device = {
  name: "webgpu",
  backend: "webgpu",
  open: async () => {
    // Dawn complains on stderr where there is none, before it says so.
    if (process.platform === "linux" && !existsSync("/dev/dri") && !existsSync("/dev/nvidiactl")) {
      throw new Error("no GPU on this machine (neither /dev/dri nor an NVIDIA driver); use --device wasm");
    }
    let dawn: typeof import("webgpu");
    try {
      dawn = await import("webgpu");
    } catch (cause) {
      throw new Error("the npm package `webgpu` is not installed; `npm install webgpu` brings it", { cause });
    }
    const gpu = dawn.create([]);
    const adapter = await gpu.requestAdapter();
    if (!adapter) throw new Error("WebGPU finds no adapter; install a Vulkan driver for this GPU");
    const name = adapter.info?.description || adapter.info?.vendor || "unnamed adapter";
    if (adapter.isFallbackAdapter || /swiftshader|llvmpipe|lavapipe/i.test(name)) {
      throw new Error(`WebGPU finds only a software adapter (${name}), which is slower than wasm`);
    }
    Object.assign(globalThis, dawn.globals);
    Object.defineProperty(navigator, "gpu", { value: gpu, configurable: true });
    await import("@tensorflow/tfjs-backend-webgpu");
    return name;
  },
  // Node does not exit while Dawn's instance is alive.
  close: () => {
    delete (navigator as { gpu?: unknown }).gpu;
  },
};
