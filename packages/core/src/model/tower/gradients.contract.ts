/**
 * Gradients that tfjs lacks or has wrong on some backend, on every backend: those of a layer are its finite differences.
 * All these layers are linear where inputs move by less than their distance, so that differences are exact.
 */
import * as tf from "@tensorflow/tfjs-core";
import { layers } from "@tensorflow/tfjs-layers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { completeGradients } from "./complete-gradients.ts";

const SEQUENCE = [2, 6, 3];
const PICTURE = [2, 5, 4, 2];
const VOLUME = [2, 4, 3, 5, 2];

type Case = [name: string, make: () => layers.Layer, shape: readonly number[]];

const windows = [2, 3].flatMap((poolSize) => [1, 2].map((strides) => ({ poolSize, strides })));
const paddings = ["same", "valid"] as const;
const strided = paddings.flatMap((padding) => [1, 2].map((strides) => ({ padding, strides })));

const CASES: Case[] = [
  ...windows.flatMap(({ poolSize, strides }): Case[] => {
    const at = { poolSize, strides, padding: "same" } as const;
    const by = `of ${poolSize}, stride ${strides}, same`;
    return [
      [`means in a sequence ${by}`, () => layers.averagePooling1d(at), SEQUENCE],
      [`means in a picture ${by}`, () => layers.averagePooling2d(at), PICTURE],
      [`means in a volume ${by}`, () => layers.averagePooling3d(at), VOLUME],
      [`maxima in a picture ${by}`, () => layers.maxPooling2d(at), PICTURE],
      [`maxima in a volume ${by}`, () => layers.maxPooling3d(at), VOLUME],
    ];
  }),
  ...strided.flatMap(({ padding, strides }): Case[] => {
    const at = { filters: 2, kernelSize: 2, strides, padding };
    const by = `stride ${strides}, ${padding}`;
    return [
      [`convolution of a volume, ${by}`, () => layers.conv3d(at), VOLUME],
      [`transposed convolution of a volume, ${by}`, () => layers.conv3dTranspose(at), VOLUME],
      [`separable convolution, ${by}`, () => layers.separableConv2d({ ...at, depthMultiplier: 2 }), PICTURE],
    ];
  }),
  ["means of whole windows", () => layers.averagePooling2d({ poolSize: 2 }), PICTURE],
  ["a picture doubled, nearest pixels", () => layers.upSampling2d({ size: [2, 2] }), PICTURE],
  [
    "a picture doubled, between pixels",
    () => layers.upSampling2d({ size: [2, 2], interpolation: "bilinear" }),
    PICTURE,
  ],
  [
    "a picture made larger, corners aligned",
    () => layers.resizing({ height: 8, width: 5, interpolation: "nearest" }),
    PICTURE,
  ],
  ["thresholded ReLU", () => layers.thresholdedReLU({ theta: 0.5 }), SEQUENCE],
  ["masking", () => layers.masking({ maskValue: 0 }), SEQUENCE],
];

/** Inputs are so far apart at least, in an order without a pattern; weights are waves. */
const APART = 1 / 16;
const BY = APART / 2;

function inputs(shape: readonly number[]): tf.Tensor {
  const size = tf.util.sizeFromShape([...shape]);
  const values = Float32Array.from({ length: size }, (_, i) => (((97 * i) % size) - size / 2 + 0.3) * APART);
  return tf.tensor(values, [...shape]);
}

const wave = (shape: number[], by: number): tf.Tensor =>
  tf.sin(tf.mul(by, tf.reshape(tf.range(1, tf.util.sizeFromShape(shape) + 1), shape)));

/** Of each of n inputs, [n · B, …], shape [n, outputs]. */
function outputs(layer: layers.Layer, x: tf.Tensor, n: number): tf.Tensor2D {
  return tf.reshape(layer.apply(x) as tf.Tensor, [n, -1]);
}

/** Σ coefficient × output, shape [n, 1]. */
function totals(values: tf.Tensor2D): tf.Tensor2D {
  return tf.matMul(values, tf.add<tf.Tensor2D>(0.5, wave([values.shape[1], 1], 0.3)));
}

/** Of the input, then of each weight: by how much the total grows when one float does. */
function differences(layer: layers.Layer, x: tf.Tensor): tf.Tensor[] {
  const before = outputs(layer, x, 1);
  const n = x.size;
  const moved = tf.add(tf.reshape(x, [1, n]), tf.mul(BY, tf.eye(n)));
  const [batch = 0, ...rest] = x.shape;
  const grown = tf.sub(outputs(layer, tf.reshape(moved, [n * batch, ...rest]), n), before);
  const slopes: tf.Tensor[] = [tf.div(totals(grown as tf.Tensor2D), BY)];
  for (const weight of layer.trainableWeights) {
    const values = tf.clone(weight.read());
    const ones = tf.unstack(tf.reshape(tf.eye(values.size), [values.size, ...values.shape]));
    const each = ones.map((one) => {
      weight.write(tf.add(values, one));
      return totals(tf.sub(outputs(layer, x, 1), before));
    });
    weight.write(values);
    slopes.push(tf.concat(each));
  }
  return slopes;
}

/** @param setUp sets the backend to test */
export function gradientsContract(setUp: () => Promise<unknown>): void {
  describe("gradients", () => {
    let tensorsBefore: number;
    beforeAll(async () => {
      await setUp();
      completeGradients();
      completeGradients();
      tensorsBefore = tf.memory().numTensors;
    });
    afterAll(() => {
      expect(tf.memory().numTensors).toBe(tensorsBefore);
    });

    it.each(CASES)("are finite differences: %s", async (_, make, shape) => {
      const layer = make();
      layer.build([...shape]);
      const results = tf.tidy(() => {
        for (const [i, weight] of layer.weights.entries()) weight.write(wave(weight.shape as number[], 0.7 + i));
        const x = inputs(shape);
        const of = [x, ...layer.trainableWeights.map((weight) => weight.read())];
        const { grads } = tf.engine().gradients(() => tf.sum<tf.Scalar>(totals(outputs(layer, x, 1))), of);
        return [...grads, ...differences(layer, x)];
      });
      const values = await Promise.all(results.map((tensor) => tensor.data()));
      tf.dispose(results);
      for (const weight of layer.weights) weight.dispose();
      const [got, wanted] = [values.slice(0, values.length / 2), values.slice(values.length / 2)];
      for (const [i, slopes] of wanted.entries()) {
        const largest = Math.max(...slopes.map(Math.abs));
        expect(largest).toBeGreaterThan(0.01);
        expect(got[i]!.length).toBe(slopes.length);
        for (const [j, slope] of slopes.entries())
          if (!(Math.abs(got[i]![j]! - slope) < 2e-3 * largest)) expect(got[i]).toEqual(slopes);
      }
    });
  });
}
