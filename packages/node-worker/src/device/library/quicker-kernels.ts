/**
 * Workaround: some kernels of tfjs-node 4.22 call TensorFlow in a roundabout way, which costs a step of a tower a third
 * of its time. These call the operation that TensorFlow has for it. Times of [2048, 64] on 2 cores of an EPYC, TensorFlow
 * 2.21, November 2026:
 *
 * - the gradient of `relu` is the product with `step(x)`, which is seven operations there: 1.6 ms, `ReluGrad` 0.2;
 * - a product of two matrices is a batch of one: [2048, 64] · [64, 32] 0.5 ms, `MatMul` 0.35;
 * - a tensor that keeps its shape goes through `Reshape`: 0.06 ms, ten times a step.
 *
 * @see https://github.com/tensorflow/tfjs, tfjs-node/src/kernels: delete each when Step.ts, BatchMatMul.ts and Reshape.ts
 * do so themselves.
 */
import * as tf from "@tensorflow/tfjs";

const BACKEND = "tensorflow";

interface Attribute {
  name: string;
  type: number;
  value: unknown;
}

/** What is used of tfjs-node's `NodeJSKernelBackend`. */
interface NodeBackend {
  readonly binding: { TF_ATTR_BOOL: number; TF_ATTR_TYPE: number; TF_FLOAT: number };
  executeSingleOutput(name: string, attributes: Attribute[], inputs: tf.TensorInfo[]): tf.Tensor;
  incRef(dataId: tf.DataId): void;
}

/** Once the backend's own kernels are registered; doing so again changes nothing. */
export function quickenKernels(): void {
  replace(tf.Reshape, keepingShape);
  replace(tf.BatchMatMul, ofMatrices);
  quickenReluGradient();
}

const replaced = new WeakSet<tf.KernelFunc>();

function replace(kernelName: string, quicker: (own: tf.KernelFunc) => tf.KernelFunc): void {
  const own = tf.getKernel(kernelName, BACKEND)?.kernelFunc;
  if (!own || replaced.has(own)) return;
  const kernelFunc = quicker(own);
  replaced.add(kernelFunc);
  tf.unregisterKernel(kernelName, BACKEND);
  tf.registerKernel({ kernelName, backendName: BACKEND, kernelFunc });
}

function keepingShape(own: tf.KernelFunc): tf.KernelFunc {
  return (params) => {
    const x = params.inputs["x"] as tf.TensorInfo;
    const { shape } = params.attrs as unknown as tf.ReshapeAttrs;
    if (shape.length !== x.shape.length || shape.some((size, axis) => size !== x.shape[axis])) return own(params);
    (params.backend as NodeBackend).incRef(x.dataId);
    return { dataId: x.dataId, shape: x.shape, dtype: x.dtype };
  };
}

function ofMatrices(own: tf.KernelFunc): tf.KernelFunc {
  return (params) => {
    const { a, b } = params.inputs as { a: tf.TensorInfo; b: tf.TensorInfo };
    const isOne = [a, b].every(({ shape, dtype }) => shape.length === 2 && dtype === "float32");
    if (!isOne) return own(params);
    const { transposeA, transposeB } = params.attrs as unknown as tf.BatchMatMulAttrs;
    const backend = params.backend as NodeBackend;
    const { TF_ATTR_BOOL: type } = backend.binding;
    const transposed = [
      { name: "transpose_a", type, value: transposeA },
      { name: "transpose_b", type, value: transposeB },
    ];
    return backend.executeSingleOutput("MatMul", [ofFloats(backend), ...transposed], [a, b]);
  };
}

const ofFloats = ({ binding }: NodeBackend): Attribute => ({
  name: "T",
  type: binding.TF_ATTR_TYPE,
  value: binding.TF_FLOAT,
});

const RELU_GRADIENT = "ReluGrad";

/** Gradients are registered for all backends at once: on any other one it is as it was. */
function quickenReluGradient(): void {
  if (tf.getKernel(RELU_GRADIENT, BACKEND)) return;
  tf.registerKernel({
    kernelName: RELU_GRADIENT,
    backendName: BACKEND,
    kernelFunc: ({ inputs, backend }) => {
      const { dy, x } = inputs as { dy: tf.TensorInfo; x: tf.TensorInfo };
      const node = backend as NodeBackend;
      return node.executeSingleOutput(RELU_GRADIENT, [ofFloats(node)], [dy, x]);
    },
  });
  const own = tf.getGradient(tf.Relu);
  tf.unregisterGradient(tf.Relu);
  tf.registerGradient({
    ...own,
    gradFunc: (dy, saved, attrs) => {
      const [x] = saved;
      if (tf.getBackend() !== BACKEND || x!.dtype !== "float32") return own.gradFunc(dy, saved, attrs);
      return { x: () => tf.engine().runKernel(RELU_GRADIENT, { dy: dy as tf.Tensor, x: x! }) };
    },
  });
}
