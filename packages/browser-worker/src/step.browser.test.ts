/** The step a tab takes on WebGL is the one Node takes: every gradient, and the loss, to 1e-4. */
import * as tf from "@tensorflow/tfjs-core";
import { TrainingModel } from "@volary/core/model";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { commands } from "vitest/browser";
import type { DeviceName } from "./device/device.ts";
import { openDevice } from "./device/open-device.ts";
import { openFlightsStep, relativeDifferences, type FlightsStep } from "./testing/flights-step.ts";
import type { NodeStep } from "./testing/node-step.ts";
import { probeInput } from "./worker/probe.ts";

declare module "vitest/browser" {
  interface BrowserCommands {
    nodeStep(): Promise<string>;
  }
}

const DIFFERENCE_MAX = 1e-4;

let byNode: NodeStep;

beforeAll(async () => {
  byNode = nodeStepFrom(await commands.nodeStep());
});

describe.each<DeviceName>(["webgl", "wasm"])("the first step of the demo on %s", (name) => {
  let here: FlightsStep;
  beforeAll(async () => {
    await openDevice({ wanted: name });
    here = await openFlightsStep(byNode);
  });
  afterAll(() => here.dispose());

  test("has the loss and the gradients it has in Node", async () => {
    const { manifest, step } = byNode;
    const got = await here.take();
    expect(tf.getBackend()).toBe(name);
    const differences = relativeDifferences(manifest, { got, wanted: step });
    expect(differences.size).toBe(1 + 24 + 6 + 2);
    expect([...differences].filter(([, difference]) => !(difference <= DIFFERENCE_MAX))).toEqual([]);
  });

  test("leaks no tensor, taken twenty times", async () => {
    await here.take();
    const { numTensors, numBytes } = tf.memory();
    for (let i = 0; i < 20; i++) await here.take();
    expect(tf.memory()).toMatchObject({ numTensors, numBytes });
  });
});

test.each<DeviceName>(["webgl", "wasm"])(
  "a thousand tasks of a volunteer on %s leave no tensor behind",
  async (name) => {
    await openDevice({ wanted: name });
    const { manifest, denseWeights } = byNode;
    const model = await TrainingModel.create(manifest);
    const input = probeInput(manifest, 4);
    const take = async () => {
      model.setDense(denseWeights);
      await model.step(input);
    };
    await take();
    const { numTensors, numBytes } = tf.memory();
    for (let task = 0; task < 1_000; task++) await take();
    expect(tf.memory()).toMatchObject({ numTensors, numBytes });
    model.dispose();
  },
  600_000,
);

/** What is left of a type in JSON. */
type Json<T> = T extends Float32Array ? number[] : T extends object ? { [K in keyof T]: Json<T[K]> } : T;

function nodeStepFrom(json: string): NodeStep {
  const { manifest, denseWeights, step } = JSON.parse(json) as Json<NodeStep>;
  const floats = (numbers: number[]) => Float32Array.from(numbers);
  return {
    manifest,
    denseWeights: floats(denseWeights),
    step: {
      lossSum: step.lossSum,
      rowGrads: floats(step.rowGrads),
      denseGrads: floats(step.denseGrads),
      sums: step.sums.map(floats),
    },
  };
}
