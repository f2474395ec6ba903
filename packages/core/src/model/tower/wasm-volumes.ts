/**
 * Workaround: on tfjs's wasm backend layers in three dimensions are wrong: max pooling, whose maxima begin at the smallest
 * positive float, with its gradient; a convolution's gradient by its input, and by its filter where it has a stride
 * (tfjs 4.22, November 2026). They are plain loops here.
 *
 * Shapes: x [B, D, H, W, C], filter [d, h, w, C, K], dy [B, outD, outH, outW, K].
 *
 * @see https://github.com/tensorflow/tfjs, tfjs-backend-wasm/src/cc/kernels/Conv3DBackpropInputV2.cc,
 * Conv3DBackpropFilterV2.cc, MaxPool3D.cc and MaxPool3DGrad.cc: delete each when gradients.contract.ts, beside, passes without it.
 */
import * as tf from "@tensorflow/tfjs-core";

type Shape5D = [number, number, number, number, number];
type Geometry = tf.backend_util.Conv3DInfo;

interface WasmBackend {
  makeOutput(shape: readonly number[], dtype: tf.DataType): tf.TensorInfo;
  typedArrayFromHeap(info: tf.TensorInfo): Float32Array;
}

/** Puts right kernels in their places; once, and only where that backend is loaded. */
export function completeWasmVolumes(): void {
  replace(tf.Conv3DBackpropInputV2, inputGradient);
  replace(tf.Conv3DBackpropFilterV2, filterGradient);
  replace(tf.MaxPool3D, maxPool);
  replace(tf.MaxPool3DGrad, maxPoolGradient);
}

function replace(kernelName: string, kernelFunc: tf.KernelFunc): void {
  const own = tf.getKernel(kernelName, "wasm");
  if (!own || own.kernelFunc === kernelFunc) return;
  tf.unregisterKernel(kernelName, "wasm");
  tf.registerKernel({ kernelName, backendName: "wasm", kernelFunc });
}

const inputGradient: tf.KernelFunc = ({ inputs, backend, attrs }) => {
  const { dy, filter } = inputs as unknown as { dy: tf.TensorInfo; filter: tf.TensorInfo };
  const { inputShape, strides, pad } = attrs as unknown as tf.Conv3DBackpropInputV2Attrs;
  const at = tf.backend_util.computeConv3DInfo(inputShape, filter.shape as Shape5D, strides, 1, pad);
  const { out, values: dx, of } = output(backend, inputShape);
  const [weights, grads] = [of(filter), of(dy)];
  const { inChannels: C, outChannels: K } = at;
  forEachPair(at, (pixel, place, window) => {
    for (let c = 0; c < C; c++) {
      let sum = 0;
      for (let k = 0; k < K; k++) sum += weights[(place * C + c) * K + k]! * grads[window * K + k]!;
      dx[pixel * C + c]! += sum;
    }
  });
  return out;
};

const filterGradient: tf.KernelFunc = ({ inputs, backend, attrs }) => {
  const { x, dy } = inputs as unknown as { x: tf.TensorInfo; dy: tf.TensorInfo };
  const { filterShape, strides, pad } = attrs as unknown as tf.Conv3DBackpropFilterV2Attrs;
  const at = tf.backend_util.computeConv3DInfo(x.shape as Shape5D, filterShape, strides, 1, pad);
  const { out, values: dFilter, of } = output(backend, filterShape);
  const [pixels, grads] = [of(x), of(dy)];
  const { inChannels: C, outChannels: K } = at;
  forEachPair(at, (pixel, place, window) => {
    for (let c = 0; c < C; c++) {
      for (let k = 0; k < K; k++) dFilter[(place * C + c) * K + k]! += pixels[pixel * C + c]! * grads[window * K + k]!;
    }
  });
  return out;
};

const maxPool: tf.KernelFunc = ({ inputs, backend, attrs }) => {
  const { x } = inputs as unknown as { x: tf.TensorInfo };
  const at = poolingOf(x, attrs);
  const { out, values, of } = output(backend, at.outShape);
  const pixels = of(x);
  for (const [i, best] of largestOf(at, pixels).entries()) values[i] = pixels[best]!;
  return out;
};

/** Each window's gradient goes to its first largest pixel. */
const maxPoolGradient: tf.KernelFunc = ({ inputs, backend, attrs }) => {
  const { input, dy } = inputs as unknown as { input: tf.TensorInfo; dy: tf.TensorInfo };
  const { out, values: dx, of } = output(backend, input.shape);
  const grads = of(dy);
  for (const [i, best] of largestOf(poolingOf(input, attrs), of(input)).entries()) dx[best]! += grads[i]!;
  return out;
};

function poolingOf({ shape }: tf.TensorInfo, attrs: tf.NamedAttrMap | undefined): Geometry {
  const { filterSize, strides, pad, dimRoundingMode } = attrs as unknown as tf.MaxPool3DAttrs;
  return tf.backend_util.computePool3DInfo(shape as Shape5D, filterSize, strides, 1, pad, dimRoundingMode);
}

/** Where the largest float of each window and channel is. */
function largestOf(at: Geometry, pixels: Float32Array): Int32Array {
  const C = at.inChannels;
  const largest = new Int32Array(tf.util.sizeFromShape(at.outShape)).fill(-1);
  forEachPair(at, (pixel, _, window) => {
    for (let c = 0; c < C; c++) {
      const best = largest[window * C + c]!;
      if (best < 0 || pixels[pixel * C + c]! > pixels[best]!) largest[window * C + c] = pixel * C + c;
    }
  });
  return largest;
}

/** Makes the output, of zeros, before inputs are looked at: it may grow the heap, which moves the arrays. */
function output(backend: unknown, shape: readonly number[]) {
  const wasm = backend as WasmBackend;
  const out = wasm.makeOutput(shape, "float32");
  return {
    out,
    values: wasm.typedArrayFromHeap(out).fill(0),
    of: (info: tf.TensorInfo) => wasm.typedArrayFromHeap(info),
  };
}

/** Calls `visit` with each window, each of its places that lies in the volume, and the pixel there; channels apart. */
function forEachPair(at: Geometry, visit: (pixel: number, place: number, window: number) => void): void {
  const { batchSize, inDepth, inHeight, inWidth, filterDepth, filterHeight, filterWidth, padInfo } = at;
  let window = 0;
  for (let b = 0; b < batchSize; b++) {
    for (let front = -padInfo.front, o = 0; o < at.outDepth; o++, front += at.strideDepth) {
      for (let top = -padInfo.top, p = 0; p < at.outHeight; p++, top += at.strideHeight) {
        for (let left = -padInfo.left, q = 0; q < at.outWidth; q++, left += at.strideWidth, window++) {
          for (let i = Math.max(0, -front); i < Math.min(filterDepth, inDepth - front); i++) {
            for (let j = Math.max(0, -top); j < Math.min(filterHeight, inHeight - top); j++) {
              for (let k = Math.max(0, -left); k < Math.min(filterWidth, inWidth - left); k++) {
                const pixel = ((b * inDepth + front + i) * inHeight + top + j) * inWidth + left + k;
                visit(pixel, (i * filterHeight + j) * filterWidth + k, window);
              }
            }
          }
        }
      }
    }
  }
}
