/** The kernel that tfjs's wasm backend lacks to train an embedding: sums of rows by number (tfjs 4.22). */
import * as tf from "@tensorflow/tfjs";

interface WasmBackend {
  makeOutput(shape: number[], dtype: tf.DataType): tf.TensorInfo;
  typedArrayFromHeap(info: tf.TensorInfo): Float32Array | Int32Array;
}

/**
 * Registers the kernel for the wasm backend, which must be the current one.
 *
 * @throws {Error} its gradients are not those of the cpu backend
 */
export async function giveWasmSegmentSums(): Promise<void> {
  if (!tf.getKernel(tf.UnsortedSegmentSum, "wasm"))
    tf.registerKernel({ kernelName: tf.UnsortedSegmentSum, backendName: "wasm", kernelFunc: segmentSums });
  const found = await gradientOfGather();
  await tf.setBackend("cpu");
  const expected = await gradientOfGather();
  await tf.setBackend("wasm");
  const odd = expected.findIndex((value, i) => Math.abs(value - found[i]!) > 1e-5);
  if (odd >= 0)
    throw new Error(`the gradient of a gather is ${found[odd]} at ${odd}; on the cpu it is ${expected[odd]}`);
}

/** Out is zero but for the rows that are named, so one pass over x is all there is to do. */
const segmentSums: tf.KernelFunc = ({ inputs, backend, attrs }) => {
  const { x, segmentIds } = inputs as unknown as { x: tf.TensorInfo; segmentIds: tf.TensorInfo };
  const { numSegments } = attrs as unknown as tf.UnsortedSegmentSumAttrs;
  const wasm = backend as unknown as WasmBackend;
  const out = wasm.makeOutput([numSegments, ...x.shape.slice(1)], "float32");
  const sums = wasm.typedArrayFromHeap(out);
  const rows = wasm.typedArrayFromHeap(x);
  const numbers = wasm.typedArrayFromHeap(segmentIds);
  const width = rows.length / numbers.length;
  sums.fill(0);
  for (let i = 0, from = 0; i < numbers.length; i++) {
    const to = numbers[i]! * width;
    for (let d = 0; d < width; d++) sums[to + d] = sums[to + d]! + rows[from++]!;
  }
  return out;
};

/** Of a small embedding in which keys come several times. */
async function gradientOfGather(): Promise<Float32Array> {
  const gradient = tf.tidy(() => {
    const table = tf.randomUniform<tf.Rank.R2>([50, 8], -1, 1, "float32", 1);
    const numbers = tf.tensor1d(
      Int32Array.from({ length: 64 }, (_, i) => (i * 7) % 20),
      "int32",
    );
    const weights = tf.randomUniform<tf.Rank.R2>([64, 8], -1, 1, "float32", 2);
    return tf.grad((of: tf.Tensor) => tf.sum(tf.mul(tf.gather(of, numbers), weights)))(table);
  });
  const values = await gradient.data<"float32">();
  gradient.dispose();
  return values;
}
