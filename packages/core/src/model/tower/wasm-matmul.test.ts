import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { quickenWasmMatMul } from "./wasm-matmul.ts";

/** The cpu's kernels under wasm's name; the product refuses what XNNPACK does not get. */
const kernels = ["BatchMatMul", "Transpose"] as const;
let transposedProducts = 0;

beforeAll(async () => {
  await tf.setBackend("cpu");
  for (const kernelName of kernels) {
    const { kernelFunc } = tf.getKernel(kernelName, "cpu");
    tf.registerKernel({
      kernelName,
      backendName: "wasm",
      kernelFunc: (params) => {
        if (params.attrs?.transposeA || params.attrs?.transposeB) transposedProducts++;
        return kernelFunc(params);
      },
    });
  }
  quickenWasmMatMul();
});
afterAll(() => {
  for (const kernelName of kernels) tf.unregisterKernel(kernelName, "wasm");
});

const wave = (shape: number[]) => tf.sin(tf.reshape(tf.range(1, tf.util.sizeFromShape(shape) + 1), shape));

describe("quickenWasmMatMul", () => {
  const cases = [
    [7, 3, 2],
    [2, 3, 7],
    [3, 40, 2],
    [1, 5, 1],
  ].flatMap(([m, k, n]) =>
    [false, true].flatMap((transposeA) =>
      [false, true].map((transposeB) => ({ m: m!, k: k!, n: n!, transposeA, transposeB })),
    ),
  );

  it.each(cases)("multiplies as before, only untransposed factors: %o", ({ m, k, n, transposeA, transposeB }) => {
    const { kernelFunc } = tf.getKernel("BatchMatMul", "wasm");
    const backend = tf.backend() as tf.KernelBackend & { numDataIds(): number };
    for (const leading of [[], [1]]) {
      const before = { tensors: tf.memory().numTensors, transposedProducts, dataIds: backend.numDataIds() };
      tf.tidy(() => {
        const a = wave([...leading, ...(transposeA ? [k, m] : [m, k])]);
        const b = wave([...leading, ...(transposeB ? [n, k] : [k, n])]);
        const info = kernelFunc({ inputs: { a, b }, backend, attrs: { transposeA, transposeB } }) as tf.TensorInfo;
        const product = tf.engine().makeTensorFromTensorInfo(info);
        const wanted = tf.matMul(a, b, transposeA, transposeB);
        expect(product.shape).toEqual([...leading, m, n]);
        const values = product.dataSync();
        for (const [i, value] of wanted.dataSync().entries()) expect(values[i]).toBeCloseTo(value, 5);
      });
      expect({ tensors: tf.memory().numTensors, transposedProducts, dataIds: backend.numDataIds() }).toEqual(before);
    }
  });

  it("leaves products of several matrices, which XNNPACK does not take either way", () => {
    const before = transposedProducts;
    const { kernelFunc } = tf.getKernel("BatchMatMul", "wasm");
    tf.tidy(() => {
      const a = wave([2, 3, 4]);
      const info = kernelFunc({
        inputs: { a, b: a },
        backend: tf.backend(),
        attrs: { transposeA: true, transposeB: false },
      });
      tf.engine().makeTensorFromTensorInfo(info as tf.TensorInfo);
    });
    expect(transposedProducts).toBe(before + 1);
  });

  it("is done once", () => {
    const { kernelFunc } = tf.getKernel("BatchMatMul", "wasm");
    quickenWasmMatMul();
    expect(tf.getKernel("BatchMatMul", "wasm").kernelFunc).toBe(kernelFunc);
  });
});
