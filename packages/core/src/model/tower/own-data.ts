/** Tensors back to arrays that the caller owns. */
import type { Tensor } from "@tensorflow/tfjs-core";

/**
 * Reads a tensor and disposes it. The cpu backend hands out the array the tensor lives in, which may even be one that
 * was uploaded; with the tensor gone it is the caller's, unless it was theirs before.
 */
export async function ownData(tensor: Tensor, uploaded: readonly Float32Array[]): Promise<Float32Array> {
  const data = (await tensor.data()) as Float32Array;
  tensor.dispose();
  return uploaded.some(({ buffer }) => buffer === data.buffer) ? data.slice() : data;
}
