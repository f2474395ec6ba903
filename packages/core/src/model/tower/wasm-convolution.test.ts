import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { completeWasmConvolution } from "./wasm-convolution.ts";

/** The cpu's kernels under wasm's name: those that wasm has and the completed ones are made of. */
const kernels = ["Conv2D", "PadV2", "StridedSlice", "BatchMatMul", "Concat", "MaxPoolGrad"] as const;
const completed = ["Conv2DBackpropFilter", "MaxPoolGrad"] as const;

beforeAll(async () => {
  await tf.setBackend("cpu");
  for (const kernelName of kernels)
    tf.registerKernel({ ...tf.getKernel(kernelName, "cpu"), kernelName, backendName: "wasm" });
  completeWasmConvolution();
  completeWasmConvolution();
});
afterAll(() => {
  for (const kernelName of new Set([...kernels, ...completed])) tf.unregisterKernel(kernelName, "wasm");
});

const wave = (shape: number[], by: number) =>
  tf.sin(tf.mul(by, tf.reshape(tf.range(1, tf.util.sizeFromShape(shape) + 1), shape)));

/** The cpu backend with the two calls of wasm's that the kernels make. */
function wasmLike(): object {
  const cpu = tf.engine().backend as unknown as {
    data: { get: (id: object) => { values: Float32Array } };
    makeTensorInfo: (shape: number[], dtype: tf.DataType, values: Float32Array) => tf.TensorInfo;
  };
  return Object.assign(Object.create(cpu) as object, {
    makeOutput: (shape: number[]) =>
      cpu.makeTensorInfo(shape, "float32", new Float32Array(tf.util.sizeFromShape(shape)).fill(NaN)),
    typedArrayFromHeap: ({ dataId }: tf.TensorInfo) => cpu.data.get(dataId).values,
  });
}

function valuesOf(name: string, backendName: "cpu" | "wasm", inputs: object, attrs: object): Float32Array {
  const info = tf.getKernel(name, backendName).kernelFunc({
    inputs: inputs as tf.NamedTensorInfoMap,
    attrs: attrs as tf.NamedAttrMap,
    backend: backendName === "cpu" ? tf.engine().backend : wasmLike(),
  }) as tf.TensorInfo;
  const tensor = tf.engine().makeTensorFromTensorInfo(info);
  expect(tensor.shape).toEqual((attrs as { filterShape?: number[] }).filterShape ?? tensor.shape);
  return tensor.dataSync() as Float32Array;
}

function expectClose(got: Float32Array, wanted: Float32Array): void {
  expect(got.length).toBe(wanted.length);
  for (const [i, value] of wanted.entries()) expect(Math.abs(got[i]! - value)).toBeLessThan(1e-4);
}

describe("completeWasmConvolution", () => {
  const cases = [1, 2, 3].flatMap((size) =>
    [1, 2].flatMap((stride) => (["same", "valid"] as const).map((pad) => ({ size, stride, pad }))),
  );

  it.each(cases)(
    "gives the filter's gradient: $size by $size, stride $stride, padding $pad",
    ({ size, stride, pad }) => {
      tf.tidy(() => {
        const [x, filter] = [wave([2, 7, 6, 3], 0.7) as tf.Tensor4D, wave([size, size, 3, 4], 0.3) as tf.Tensor4D];
        const dy = wave(tf.conv2d(x, filter, stride, pad).shape, 1.1);
        const attrs = { strides: [stride, stride], pad, dataFormat: "NHWC", filterShape: filter.shape };
        const name = "Conv2DBackpropFilter";
        expectClose(valuesOf(name, "wasm", { x, dy }, attrs), valuesOf(name, "cpu", { x, dy }, attrs));
      });
    },
  );

  it.each(cases)(
    "gives max pooling's gradient: $size by $size, stride $stride, padding $pad",
    ({ size, stride, pad }) => {
      tf.tidy(() => {
        const input = wave([2, 7, 6, 3], 0.7) as tf.Tensor4D;
        const output = tf.maxPool(input, size, stride, pad);
        const dy = wave(output.shape, 1.1);
        const attrs = { filterSize: [size, size], strides: [stride, stride], pad };
        const inputs = { dy, input, output };
        expectClose(valuesOf("MaxPoolGrad", "wasm", inputs, attrs), valuesOf("MaxPoolGrad", "cpu", inputs, attrs));
      });
    },
  );

  it("refuses channels first, with the remedy", () => {
    tf.tidy(() => {
      const [x, dy] = [wave([1, 3, 3, 1], 1), wave([1, 3, 3, 1], 1)];
      const attrs = { strides: [1, 1], pad: "same", dataFormat: "NCHW", filterShape: [1, 1, 1, 1] };
      expect(() => valuesOf("Conv2DBackpropFilter", "wasm", { x, dy }, attrs)).toThrow(
        /convolves in NHWC; got NCHW: use dataFormat "channelsLast"/,
      );
    });
  });
});
