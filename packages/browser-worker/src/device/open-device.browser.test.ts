import * as tf from "@tensorflow/tfjs-core";
import { afterEach, describe, expect, test, vi } from "vitest";
import { openDevice } from "./open-device.ts";

const RENDERS_FLOAT32 = "WEBGL_RENDER_FLOAT32_ENABLED";
const HALF_PRECISION = "it computes in 16-bit floats, which would spoil the gradients of every worker";

afterEach(() => {
  vi.restoreAllMocks();
});

test("WebGL renders to textures of 32-bit floats", async () => {
  const device = await openDevice({ wanted: "webgl" });
  expect(device.name).toBe("webgl");
  expect(device.description).not.toBe("");
  expect(device.lost()).toBeUndefined();
  expect(tf.getBackend()).toBe("webgl");
  const square = tf.randomUniform([64, 64]);
  expect(redBitsOf(tf.matMul(square, square))).toBe(32);
});

describe("WebGL that renders to 16-bit floats", () => {
  test("is refused when it says so", async () => {
    await openDevice({ wanted: "webgl" }); // registers the flag
    withFlag(RENDERS_FLOAT32, () => false);
    await expect(openDevice({ wanted: "webgl" })).rejects.toThrow(HALF_PRECISION);
  });

  test("is refused when it says otherwise", async () => {
    let asked = 0;
    withFlag(RENDERS_FLOAT32, () => asked++ === 0);
    await expect(openDevice({ wanted: "webgl" })).rejects.toThrow(HALF_PRECISION);
  });
});

test("the next device is taken where better ones are refused, and the log says why", async () => {
  withFlag(RENDERS_FLOAT32, () => false);
  const log: string[] = [];
  const device = await openDevice({ log: (message) => log.push(message) });
  expect(device.name).toBe("wasm");
  expect(tf.getBackend()).toBe("wasm");
  expect(log).toEqual([expect.stringMatching(/^webgpu is not used: /), expect.stringMatching(/^webgl is not used: /)]);
});

test("a device that is asked for is never replaced", async () => {
  await openDevice({ wanted: "wasm" });
  vi.spyOn(tf.engine(), "setBackend").mockResolvedValue(true);
  await expect(openDevice({ wanted: "cpu" })).rejects.toThrow("tfjs fell back from cpu to wasm");
});

test("plain JavaScript works everywhere", async () => {
  expect(await openDevice({ wanted: "cpu" })).toMatchObject({ name: "cpu" });
  expect(tf.getBackend()).toBe("cpu");
});

test("an unknown device is a RangeError that names the known ones", async () => {
  await expect(openDevice({ wanted: "cuda" as "cpu" })).rejects.toThrow(
    new RangeError('no device "cuda"; devices are webgpu, webgl, wasm, cpu'),
  );
});

function withFlag(flag: string, value: () => boolean): void {
  const flags = tf.env();
  const getBool = flags.getBool.bind(flags);
  vi.spyOn(flags, "getBool").mockImplementation((name) => (name === flag ? value() : getBool(name)));
}

interface WebGLBackend {
  texData: { get(id: tf.DataId): { texture: { texture: WebGLTexture } } };
  getGPGPUContext(): { gl: WebGL2RenderingContext };
}

/** Bits of one component of the texture a tensor lives in, as WebGL itself tells. */
function redBitsOf(tensor: tf.Tensor): number {
  const backend = tf.backend() as unknown as WebGLBackend;
  const { gl } = backend.getGPGPUContext();
  gl.bindFramebuffer(gl.FRAMEBUFFER, gl.createFramebuffer());
  gl.framebufferTexture2D(
    gl.FRAMEBUFFER,
    gl.COLOR_ATTACHMENT0,
    gl.TEXTURE_2D,
    backend.texData.get(tensor.dataId).texture.texture,
    0,
  );
  return gl.getFramebufferAttachmentParameter(
    gl.FRAMEBUFFER,
    gl.COLOR_ATTACHMENT0,
    gl.FRAMEBUFFER_ATTACHMENT_RED_SIZE,
  ) as number;
}
