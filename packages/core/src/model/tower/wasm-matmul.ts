/**
 * Workaround: tfjs's wasm backend multiplies by XNNPACK only where neither factor is transposed; the two products of
 * every dense layer's gradient have one that is, and run in plain loops, 10 times slower: [2048, 384]ᵀ · [2048, 64]
 * takes 52 ms, transposing first 4.8 (tfjs 4.22, Node 24, EPYC, November 2026). Transposing first it is,
 * whichever of the two ways moves fewer floats.
 *
 * @see https://github.com/tensorflow/tfjs/pull/2532, whose "in the future: support transposed bits" is still to come in
 * tfjs-backend-wasm/src/cc/batch_mat_mul_impl.cc. Delete this when that file hands transposed factors to XNNPACK.
 */
import * as tf from "@tensorflow/tfjs-core";

const installed = new WeakSet<tf.KernelFunc>();

/** Puts a faster matrix product in place of the wasm backend's own; once, and only where that backend is loaded. */
export function quickenWasmMatMul(): void {
  const [multiply, transpose] = ["BatchMatMul", "Transpose"].map((name) => tf.getKernel(name, "wasm")?.kernelFunc);
  if (!multiply || !transpose || installed.has(multiply)) return;
  const kernelFunc = transposingFirst(multiply, transpose);
  installed.add(kernelFunc);
  tf.unregisterKernel("BatchMatMul", "wasm");
  tf.registerKernel({ kernelName: "BatchMatMul", backendName: "wasm", kernelFunc });
}

interface WasmBackend {
  disposeData(dataId: tf.DataId): unknown;
}

function transposingFirst(multiply: tf.KernelFunc, transpose: tf.KernelFunc): tf.KernelFunc {
  return (params) => {
    const { a, b } = params.inputs as { a: tf.TensorInfo; b: tf.TensorInfo };
    const { transposeA, transposeB } = params.attrs as { transposeA: boolean; transposeB: boolean };
    if ((!transposeA && !transposeB) || !isMatrix(a) || !isMatrix(b)) return multiply(params);
    const backend = params.backend as WasmBackend;

    const turned = (x: tf.TensorInfo): tf.TensorInfo => {
      const rank = x.shape.length;
      const perm = x.shape.map((_, axis) => (axis < rank - 2 ? axis : 2 * rank - 3 - axis));
      return transpose({ inputs: { x }, backend: params.backend, attrs: { perm } }) as tf.TensorInfo;
    };
    const product = (left: tf.TensorInfo, right: tf.TensorInfo): tf.TensorInfo =>
      multiply({
        inputs: { a: left, b: right },
        backend: params.backend,
        attrs: { transposeA: false, transposeB: false },
      }) as tf.TensorInfo;
    const passing = (made: tf.TensorInfo[], result: tf.TensorInfo): tf.TensorInfo => {
      for (const { dataId } of made) backend.disposeData(dataId);
      return result;
    };

    const [sizeA, sizeB] = [tf.util.sizeFromShape(a.shape), tf.util.sizeFromShape(b.shape)];
    const out = (transposeA ? a.shape.at(-1)! : a.shape.at(-2)!) * (transposeB ? b.shape.at(-2)! : b.shape.at(-1)!);
    const movedFirst = (transposeA ? sizeA : 0) + (transposeB ? sizeB : 0);
    const movedLast = (transposeA ? 0 : sizeA) + (transposeB ? 0 : sizeB) + out;
    if (movedLast < movedFirst) {
      // op(A) · op(B) = (op(B)ᵀ · op(A)ᵀ)ᵀ
      const left = transposeB ? b : turned(b);
      const right = transposeA ? a : turned(a);
      const made = [left, right].filter((x) => x !== a && x !== b);
      const upright = product(left, right);
      return passing([...made, upright], turned(upright));
    }
    const left = transposeA ? turned(a) : a;
    const right = transposeB ? turned(b) : b;
    return passing(
      [left, right].filter((x) => x !== a && x !== b),
      product(left, right),
    );
  };
}

/** Any rank, but one matrix only. */
function isMatrix({ shape, dtype }: tf.TensorInfo): boolean {
  return dtype === "float32" && shape.length >= 2 && shape.slice(0, -2).every((size) => size === 1);
}
