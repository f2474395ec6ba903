/** WebGPU: the fastest where there is a GPU; only in pages that came by https, or from this machine. */
import * as tf from "@tensorflow/tfjs-core";
import { SOFTWARE_RENDERER, type Device } from "./device.ts";

export const webgpu: Device = {
  name: "webgpu",
  load: async ({ byName }) => {
    const gpu = (navigator as { gpu?: GPU }).gpu;
    if (!gpu) throw new Error("this browser has no WebGPU, or keeps it for pages that came by https");
    const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
    if (!adapter) throw new Error("WebGPU finds no adapter on this machine");
    if (isSoftware(adapter.info) && !byName)
      throw new Error(
        `WebGPU finds only a software adapter (${nameOf(adapter.info)}), which is slower than WebAssembly`,
      );
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
  return info.isFallbackAdapter || SOFTWARE_RENDERER.test(`${info.description} ${info.architecture} ${info.device}`);
}

function nameOf(info: GPUAdapterInfo): string {
  return info.description || `${info.vendor} ${info.architecture}`.trim() || "unnamed adapter";
}
