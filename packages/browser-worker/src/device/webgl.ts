/** WebGL: nearly everywhere. Only with textures of 32-bit floats, which some phones cannot render to. */
import * as tf from "@tensorflow/tfjs-core";
import { HALF_PRECISION, SOFTWARE_RENDERER, type Device } from "./device.ts";

export const webgl: Device = {
  name: "webgl",
  load: async ({ byName }) => {
    const software = byName ? undefined : softwareRenderer();
    if (software !== undefined)
      throw new Error(`WebGL draws on the processor (${software}), where WebAssembly is faster`);
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

/** The name of what draws, where that is no GPU: asked before the backend is fetched. */
function softwareRenderer(): string | undefined {
  const gl = new OffscreenCanvas(1, 1).getContext("webgl2");
  if (!gl) return undefined;
  const renderer = rendererOf(gl);
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return SOFTWARE_RENDERER.test(renderer) ? renderer : undefined;
}

function rendererOf(gl: WebGLRenderingContext): string {
  const info = gl.getExtension("WEBGL_debug_renderer_info");
  return String(gl.getParameter(info ? info.UNMASKED_RENDERER_WEBGL : gl.RENDERER));
}
