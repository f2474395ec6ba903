import * as tf from "@tensorflow/tfjs-core";
import type { GradientModel } from "@volary/core/training";
import { expect, test } from "vitest";
import type { OpenDevice } from "../device/device.ts";
import { openDevice } from "../device/open-device.ts";
import { watchedModel } from "./watched-model.ts";

const NONE = new Float32Array(0);

test("a lost WebGL context is told at once, though what was computing may never end", async () => {
  const device = await openDevice({ wanted: "webgl" });
  const { gl } = (tf.backend() as unknown as { getGPGPUContext(): { gl: WebGL2RenderingContext } }).getGPGPUContext();
  const context = gl.getExtension("WEBGL_lose_context")!;
  expect(device.lost()).toBeUndefined();
  context.loseContext();
  expect(device.lost()).toMatch(/^the WebGL context was lost/);
  expect(await device.whenLost).toBe(device.lost());
});

test("a model leaves before it hands out what a lost device computed", async () => {
  const { model, happened, lose } = onDevice({ predict: async () => Float32Array.of(0) });
  await model.predict({ rows: NONE, numbers: NONE, samples: 1 }).then((scores) => happened.push(scores));
  lose();
  await model.predict({ rows: NONE, numbers: NONE, samples: 1 }).then((scores) => happened.push(scores));
  expect(happened).toEqual([Float32Array.of(0), "left: gone", Float32Array.of(0)]);
});

test("a model leaves before it fails for want of its device", async () => {
  const { model, happened, lose } = onDevice({ step: () => Promise.reject(new Error("no device")) });
  lose();
  const step = model.step({ rows: NONE, numbers: NONE, label: NONE, samples: 0, globalSamples: 0 });
  await step.catch((error: unknown) => happened.push(error));
  expect(happened).toEqual(["left: gone", new Error("no device")]);
});

/** A model whose device can be lost, and a record of what happened in order. */
function onDevice(methods: Partial<GradientModel>): { model: GradientModel; happened: unknown[]; lose: () => void } {
  const happened: unknown[] = [];
  let reason: string | undefined;
  const device: OpenDevice = {
    name: "webgl",
    description: "",

    lost: () => reason,
    whenLost: new Promise(() => {}),
  };
  const model = watchedModel(methods as GradientModel, { device, leave: (why) => happened.push(`left: ${why}`) });
  return { model, happened, lose: () => (reason = "gone") };
}
