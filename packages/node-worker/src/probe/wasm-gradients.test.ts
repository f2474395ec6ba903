/** Gradients that tfjs's wasm backend lacks are those of its cpu backend. */
import { TrainingModel } from "@volary/core/model";
import * as tf from "@tensorflow/tfjs";
import { expect, test } from "vitest";
import { openDevice, type OpenDevice } from "../device/devices.ts";
import { standardJob } from "./standard-jobs.ts";
import type { DeviceName } from "../device/device.ts";

const wave = (shape: number[], by: number): tf.Tensor =>
  tf.sin(tf.mul(by, tf.reshape(tf.range(1, tf.util.sizeFromShape(shape) + 1), shape)));

/** The gradients on a device of Σ coefficient × output, with an opened model's kernels in place. */
async function gradientsOn(name: DeviceName, run: (xs: tf.Tensor[]) => tf.Tensor, shapes: number[][]) {
  const device: OpenDevice = await openDevice(name);
  const { model, compile, fit } = await standardJob("a convolutional net");
  (await TrainingModel.create({ model, compile, fit })).dispose();
  const grads = tf.tidy(() => {
    const xs = shapes.map((shape, i) => wave(shape, 0.7 + i));
    const loss = (...inputs: tf.Tensor[]) => {
      const out = run(inputs);
      return tf.sum(tf.mul(out, wave(out.shape, 0.3)));
    };
    return tf.grads(loss)(xs);
  });
  const values = await Promise.all(grads.map(async (grad) => [...(await grad.data())]));
  tf.dispose(grads);
  device.close();
  return values;
}

const depthwise = (stride: number, pad: "same" | "valid") => (xs: tf.Tensor[]) =>
  tf.depthwiseConv2d(xs[0] as tf.Tensor4D, xs[1] as tf.Tensor4D, stride, pad);
const picked = (axis: number) => (xs: tf.Tensor[]) => tf.gather(xs[0]!, tf.tensor1d([2, 0, 2, 1], "int32"), axis);
const SHAPES = [
  [2, 7, 6, 3],
  [3, 2, 3, 2],
];

test.each([
  ["depthwise convolution, valid", depthwise(1, "valid"), SHAPES],
  ["depthwise convolution, stride 2, same", depthwise(2, "same"), SHAPES],
  ["depthwise convolution, same", depthwise(1, "same"), SHAPES],
  ["gather of rows", picked(0), [[4, 5]]],
  ["gather of columns", picked(1), [[4, 5, 3]]],
])("wasm has the gradient of %s", async (_, run, shapes) => {
  const wanted = await gradientsOn("cpu", run, shapes);
  const got = await gradientsOn("wasm", run, shapes);
  for (const [i, values] of wanted.entries()) {
    expect(values.some((value) => Math.abs(value) > 0.1)).toBe(true);
    expect(got[i]!.length).toBe(values.length);
    for (const [j, value] of values.entries()) expect(got[i]![j]).toBeCloseTo(value, 4);
  }
});
