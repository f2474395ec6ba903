/** The step a tab takes on WebGL is the one Node takes: every gradient, and the loss, to 1e-4. */
import * as tf from "@tensorflow/tfjs-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { commands } from "vitest/browser";
import { openDevice } from "./device.ts";
import { gradientsOf, openFlightsStep, relativeDifference, SAMPLES, type FlightsStep } from "./testing/flights-step.ts";
import type { NodeStep } from "./testing/node-step.ts";

declare module "vitest/browser" {
  interface BrowserCommands {
    nodeStep(): Promise<string>;
  }
}

const DIFFERENCE_MAX = 1e-4;

let byNode: NodeStep;
let here: FlightsStep;

beforeAll(async () => {
  const { manifest, denseWeights, step } = JSON.parse(await commands.nodeStep()) as Json<NodeStep>;
  const floats = (numbers: number[]) => Float32Array.from(numbers);
  byNode = {
    manifest: manifest as NodeStep["manifest"],
    denseWeights: floats(denseWeights),
    step: { lossSum: step.lossSum, rowGrads: floats(step.rowGrads), denseGrads: floats(step.denseGrads), sums: step.sums.map(floats) },
  };
  await openDevice({ wanted: "webgl" });
  here = await openFlightsStep(byNode);
});
afterAll(() => here?.dispose());

/** What is left of a type in JSON. */
type Json<T> = T extends Float32Array ? number[] : T extends object ? { [K in keyof T]: Json<T[K]> } : T;

test("it is WebGL that computes, in 32-bit floats", () => {
  expect(tf.getBackend()).toBe("webgl");
  expect(tf.env().getBool("WEBGL_RENDER_FLOAT32_ENABLED")).toBe(true);
  expect(tf.env().getBool("WEBGL_FORCE_F16_TEXTURES")).toBe(false);
  expect(tf.backend().floatPrecision()).toBe(32);
});

test("one step of the demo in WebGL has the loss and the gradients it has in Node", async () => {
  const { manifest, step } = byNode;
  const taken = await here.take();
  expect(Math.abs(taken.lossSum - step.lossSum) / SAMPLES).toBeLessThan(DIFFERENCE_MAX);
  const wanted = gradientsOf(manifest, step);
  expect(wanted.size).toBe(24 + 6 + 2);
  for (const [name, gradient] of gradientsOf(manifest, taken)) {
    const d = relativeDifference(gradient, wanted.get(name)!);
    console.log(name, d);
    expect(d, name).toBeLessThan(DIFFERENCE_MAX);
  }
  console.log("loss", taken.lossSum, step.lossSum);
});

test("twenty steps leak no tensor", async () => {
  await here.take();
  const { numTensors, numBytes } = tf.memory();
  for (let i = 0; i < 20; i++) await here.take();
  expect(tf.memory()).toMatchObject({ numTensors, numBytes });
});
