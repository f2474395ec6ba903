/**
 * The C functions that tfjs's binding calls are TensorFlow 2.9's; the library that answers them here is years younger. So
 * operations that towers are made of, and their gradients, are compared with those of tfjs's plain JavaScript.
 */
import * as tf from "@tensorflow/tfjs";
import { afterAll, describe, expect, test } from "vitest";
import { openDevice } from "./devices.ts";

const absent = process.env["VOLARY_ABSENT"]?.split(",") ?? [];

/** Numbers that repeat nowhere. */
function wave(shape: number[], by: number): tf.Tensor {
  const size = tf.util.sizeFromShape(shape);
  return tf.tensor(
    Float32Array.from({ length: size }, (_, i) => Math.sin(by * (i + 1))),
    shape,
  );
}

type Operation = (...inputs: tf.Tensor[]) => tf.Tensor;

/** tfjs's types tell tensors by their rank. */
const of = <T extends tf.Tensor[]>(run: (...inputs: T) => tf.Tensor): Operation => run as unknown as Operation;

/** The operation's output and its inputs' gradients, on the device that is set. */
function outputAndGradients(run: Operation, shapes: readonly number[][]): number[][] {
  return tf.tidy(() => {
    const inputs = shapes.map((shape, i) => wave(shape, 0.7 + 0.37 * i));
    const loss = (...xs: tf.Tensor[]): tf.Scalar => {
      const output = run(...xs);
      return tf.sum(tf.mul(output, wave(output.shape, 0.3)));
    };
    return [run(...inputs), ...tf.grads(loss)(inputs)].map((tensor) => [...tensor.dataSync()]);
  });
}

/** A layer of tfjs; its weights are positive, since some are variances. */
function layer(make: () => tf.layers.Layer): Operation {
  return (x) => {
    const made = make();
    made.apply(x);
    for (const [i, weight] of made.weights.entries())
      weight.write(tf.abs(wave(weight.shape as number[], 0.5 + 0.2 * i)));
    return made.apply(x) as tf.Tensor;
  };
}

const rows = () => tf.tensor1d([2, 0, 2, 1], "int32");
const chosen = () => tf.tensor2d([1, 0, 1, 0, 0, 1], [2, 3], "bool");
const picture = [2, 7, 6, 3];

const OPERATIONS: [string, Operation, number[][]][] = [
  [
    "a product of matrices",
    of((a: tf.Tensor, b: tf.Tensor) => tf.matMul(a, b)),
    [
      [3, 4],
      [4, 5],
    ],
  ],
  [
    "a product with a transposed matrix",
    of((a: tf.Tensor, b: tf.Tensor) => tf.matMul(tf.relu(tf.matMul(a, b, false, true)), b)),
    [
      [3, 4],
      [5, 4],
    ],
  ],
  [
    "a product of transposed matrices",
    of((a: tf.Tensor, b: tf.Tensor) => tf.matMul(a, b, true, true)),
    [
      [4, 3],
      [5, 4],
    ],
  ],
  [
    "products of a batch of matrices",
    of((a: tf.Tensor, b: tf.Tensor) => tf.matMul(a, b)),
    [
      [2, 3, 4],
      [2, 4, 5],
    ],
  ],
  ["gather of rows", of((x: tf.Tensor) => tf.gather(x, rows())), [[4, 5]]],
  ["gather of columns", of((x: tf.Tensor) => tf.gather(x, rows(), 1)), [[4, 5, 3]]],
  ["convolution", of((x: tf.Tensor4D, w: tf.Tensor4D) => tf.conv2d(x, w, 1, "same")), [picture, [3, 2, 3, 4]]],
  [
    "convolution in strides",
    of((x: tf.Tensor4D, w: tf.Tensor4D) => tf.conv2d(x, w, 2, "valid")),
    [picture, [3, 2, 3, 4]],
  ],
  [
    "convolution of sequences",
    of((x: tf.Tensor3D, w: tf.Tensor3D) => tf.conv1d(x, w, 1, "same")),
    [
      [2, 9, 3],
      [3, 3, 4],
    ],
  ],
  [
    "depthwise convolution",
    of((x: tf.Tensor4D, w: tf.Tensor4D) => tf.depthwiseConv2d(x, w, 2, "same")),
    [
      [2, 7, 7, 3],
      [3, 3, 3, 2],
    ],
  ],
  ["maxima of windows", of((x: tf.Tensor4D) => tf.maxPool(x, 2, 2, "same")), [picture]],
  ["means of windows", of((x: tf.Tensor4D) => tf.avgPool(x, 2, 2, "valid")), [picture]],
  ["softmax", of((x: tf.Tensor) => tf.softmax(x)), [[3, 4]]],
  ["logarithms of softmax", of((x: tf.Tensor) => tf.logSoftmax(x)), [[3, 4]]],
  [
    "joined tensors",
    of((a: tf.Tensor, b: tf.Tensor) => tf.concat([a, b], 1)),
    [
      [3, 2],
      [3, 4],
    ],
  ],
  ["a slice", of((x: tf.Tensor) => tf.slice(x, [1, 0], [2, 3])), [[4, 5]]],
  ["a transposed tensor", of((x: tf.Tensor) => tf.transpose(x, [2, 0, 1])), [[2, 3, 4]]],
  ["a maximum along an axis", of((x: tf.Tensor) => tf.max(x, 1)), [[3, 4]]],
  ["running sums", of((x: tf.Tensor) => tf.cumsum(x, 1)), [[3, 4]]],
  ["values kept in a range", of((x: tf.Tensor) => tf.clipByValue(x, -0.5, 0.5)), [[3, 4]]],
  [
    "a quotient",
    of((a: tf.Tensor, b: tf.Tensor) => tf.div(a, tf.add(tf.square(b), 1))),
    [
      [3, 4],
      [3, 1],
    ],
  ],
  [
    "a choice",
    of((a: tf.Tensor, b: tf.Tensor) => tf.where(chosen(), a, b)),
    [
      [2, 3],
      [2, 3],
    ],
  ],
  ["batch normalization", layer(() => tf.layers.batchNormalization()), [[5, 4]]],
  ["layer normalization", layer(() => tf.layers.layerNormalization()), [[5, 4]]],
  ["an LSTM", layer(() => tf.layers.lstm({ units: 3 })), [[2, 4, 3]]],
  ["a GRU", layer(() => tf.layers.gru({ units: 3 })), [[2, 4, 3]]],
];

const { relu, relu6, elu, selu, sigmoid, tanh, softplus, leakyRelu, exp, square } = tf;
const OF_ONE = { relu, relu6, elu, selu, sigmoid, tanh, softplus, leakyRelu, exp, square };

describe.skipIf(absent.includes("tensorflow"))("on TensorFlow's library [needs tensorflow]", () => {
  afterAll(() => {
    tf.disposeVariables();
  });

  test("a tensor seen in its own shape outlives its source", async () => {
    await openDevice("tensorflow");
    const { numTensors } = tf.memory();
    const source = wave([3, 4], 1);
    const seen = tf.reshape(source, [3, 4]);
    const values = source.dataSync();
    source.dispose();
    const more = tf.add(seen, 1);
    expect([...more.dataSync()]).toEqual([...values].map((value) => Math.fround(value + 1)));
    tf.dispose([seen, more]);
    expect(tf.memory().numTensors).toBe(numTensors);
  });

  test.each([
    ...OPERATIONS,
    ...Object.entries(OF_ONE).map(([name, run]): (typeof OPERATIONS)[number] => [
      name,
      of((x: tf.Tensor) => run(x)),
      [[3, 4]],
    ]),
  ])("%s and its gradient are those of plain JavaScript", async (_, operation, shapes) => {
    await openDevice("cpu");
    const wanted = outputAndGradients(operation, shapes);
    await openDevice("tensorflow");
    const got = outputAndGradients(operation, shapes);
    expect(got.map((values) => values.length)).toEqual(wanted.map((values) => values.length));
    for (const [i, values] of wanted.entries()) {
      const scale = Math.max(...values.map(Math.abs));
      expect(scale).toBeGreaterThan(0.01);
      for (const [j, value] of values.entries()) expect(Math.abs(got[i]![j]! - value) / scale).toBeLessThan(1e-5);
    }
  });
});
