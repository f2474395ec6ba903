/**
 * Workaround: average pooling takes the mean of those pixels of a window that lie in the picture, but its gradient
 * divides by those of a whole window. With padding "same" it is too small at the edges, half of what it should be in the
 * last row of a window of 2 by 2, on all of tfjs's own backends (tfjs 4.22, November 2026); on TensorFlow's library it
 * is right. Elsewhere what comes back is enlarged before it is spread.
 *
 * @see https://github.com/tensorflow/tfjs, `avgMultiplier` in tfjs-backend-cpu/src/kernels/AvgPoolGrad.ts,
 * AvgPool3DGrad.ts and their namesakes of wasm, webgl and webgpu: delete this when gradients.contract.ts, beside, passes
 * without it on all of them.
 */
import * as tf from "@tensorflow/tfjs-core";

/** The backend whose kernels divide by the pixels that there are. */
const RIGHT = "tensorflow";

const completed = new WeakSet<tf.GradFunc>();

/** Mends average pooling's gradient in two and three dimensions; once. */
export function completeMeans(): void {
  for (const kernelName of [tf.AvgPool, tf.AvgPool3D]) {
    const own = tf.getGradient(kernelName);
    if (!own || completed.has(own.gradFunc)) continue;
    const gradFunc: tf.GradFunc = (dy, saved, attrs) => ({
      x: () => own.gradFunc(enlarged(dy as tf.Tensor, windowsOf(saved[0]!.shape, attrs)), saved, attrs)["x"]!(),
    });
    completed.add(gradFunc);
    tf.unregisterGradient(kernelName);
    tf.registerGradient({ ...own, gradFunc });
  }
}

/** The windows along one axis of the picture. */
interface Windows {
  /** Pixels. */
  pixels: number;
  /** Windows. */
  out: number;
  width: number;
  stride: number;
  /** Pixels of padding before the picture. */
  before: number;
}

/** Along each axis between the batch and the channels. */
function windowsOf(shape: readonly number[], attrs: tf.NamedAttrMap): Windows[] {
  const { filterSize, strides, pad, dimRoundingMode } = attrs as unknown as tf.AvgPool3DAttrs & tf.AvgPoolAttrs;
  const { computePool2DInfo, computePool3DInfo } = tf.backend_util;
  if (shape.length === 4) {
    const picture = shape as [number, number, number, number];
    const at = computePool2DInfo(picture, filterSize, strides, 1, pad, dimRoundingMode);
    return [rowsOf(at), columnsOf(at)];
  }
  const volume = shape as [number, number, number, number, number];
  const at = computePool3DInfo(volume, filterSize, strides, 1, pad, dimRoundingMode);
  const { inDepth: pixels, outDepth: out, filterDepth: width, strideDepth: stride, padInfo } = at;
  return [{ pixels, out, width, stride, before: padInfo.front }, rowsOf(at), columnsOf(at)];
}

type Pooling = tf.backend_util.Conv2DInfo | tf.backend_util.Conv3DInfo;

function rowsOf({ inHeight: pixels, outHeight: out, filterHeight: width, strideHeight: stride, padInfo }: Pooling) {
  return { pixels, out, width, stride, before: padInfo.top };
}

function columnsOf({ inWidth: pixels, outWidth: out, filterWidth: width, strideWidth: stride, padInfo }: Pooling) {
  return { pixels, out, width, stride, before: padInfo.left };
}

/** @param dy shape [B, outHeight, outWidth, C], or with the depth behind B */
function enlarged(dy: tf.Tensor, axes: readonly Windows[]): tf.Tensor {
  if (tf.getBackend() === RIGHT) return dy;
  return axes.reduce((grads, axis, i) => {
    const factors = wholeOverPresent(axis);
    if (factors.every((factor) => factor === 1)) return grads;
    const along = dy.shape.map((_, at) => (at === i + 1 ? axis.out : 1));
    return tf.mul(grads, tf.tensor(factors, along));
  }, dy);
}

/** Of each window. */
function wholeOverPresent({ pixels, out, width, stride, before }: Windows): Float32Array {
  return Float32Array.from({ length: out }, (_, i) => {
    const from = i * stride - before;
    return width / (Math.min(pixels, from + width) - Math.max(0, from));
  });
}
