/**
 * Workaround: of tfjs's wasm backend the gradients of a depthwise convolution and of a gather are missing ("Kernel
 * 'DepthwiseConv2dNativeBackpropInput' not registered"; tfjs 4.22, November 2026). They are plain loops here.
 *
 * Shapes: x [B, H, W, C], filter [h, w, C, Q], dy [B, outH, outW, C · Q], each Q outputs of a channel side by side.
 *
 * @see https://github.com/tensorflow/tfjs, tfjs-backend-wasm/src/register_all_kernels.ts: delete each when the list has
 * it: depthwiseConv2dNativeBackpropFilterConfig, depthwiseConv2dNativeBackpropInputConfig, unsortedSegmentSumConfig.
 */
import * as tf from "@tensorflow/tfjs-core";
import { completeWasmConvolution } from "./wasm-convolution.ts";
import { quickenWasmMatMul } from "./wasm-matmul.ts";
import { completeWasmVolumes } from "./wasm-volumes.ts";

/** Makes the wasm backend train whatever the others do, and dense layers faster; only where that backend is loaded. */
export function completeWasm(): void {
  quickenWasmMatMul();
  completeWasmConvolution();
  completeWasmVolumes();
  give(tf.DepthwiseConv2dNativeBackpropInput, { likeThatOf: tf.DepthwiseConv2dNative, kernelFunc: inputGradient });
  give(tf.DepthwiseConv2dNativeBackpropFilter, { likeThatOf: tf.DepthwiseConv2dNative, kernelFunc: filterGradient });
  give(tf.UnsortedSegmentSum, { likeThatOf: tf.GatherV2, kernelFunc: segmentSums });
}

function give(kernelName: string, { likeThatOf, kernelFunc }: { likeThatOf: string; kernelFunc: tf.KernelFunc }): void {
  if (tf.getKernel(likeThatOf, "wasm") && !tf.getKernel(kernelName, "wasm"))
    tf.registerKernel({ kernelName, backendName: "wasm", kernelFunc });
}

interface WasmBackend {
  makeOutput(shape: readonly number[], dtype: tf.DataType): tf.TensorInfo;
  typedArrayFromHeap(info: tf.TensorInfo): Float32Array;
}

const inputGradient: tf.KernelFunc = ({ inputs, backend, attrs }) => {
  const { dy, filter } = inputs as unknown as { dy: tf.TensorInfo; filter: tf.TensorInfo };
  const options = attrs as unknown as tf.DepthwiseConv2dNativeBackpropInputAttrs;
  const wasm = backend as unknown as WasmBackend;
  // Making the output first: it may grow the heap, which moves the arrays.
  const out = wasm.makeOutput(options.inputShape, "float32");
  const dx = wasm.typedArrayFromHeap(out).fill(0);
  const [weights, grads] = [wasm.typedArrayFromHeap(filter), wasm.typedArrayFromHeap(dy)];
  forEachProduct(geometryOf(options.inputShape, filter.shape, options), (pixel, weight, grad) => {
    dx[pixel]! += weights[weight]! * grads[grad]!;
  });
  return out;
};

const filterGradient: tf.KernelFunc = ({ inputs, backend, attrs }) => {
  const { x, dy } = inputs as unknown as { x: tf.TensorInfo; dy: tf.TensorInfo };
  const options = attrs as unknown as tf.DepthwiseConv2dNativeBackpropFilterAttrs;
  const wasm = backend as unknown as WasmBackend;
  const out = wasm.makeOutput(options.filterShape, "float32");
  const dFilter = wasm.typedArrayFromHeap(out).fill(0);
  const [pixels, grads] = [wasm.typedArrayFromHeap(x), wasm.typedArrayFromHeap(dy)];
  forEachProduct(geometryOf(x.shape, options.filterShape, options), (pixel, weight, grad) => {
    dFilter[weight]! += pixels[pixel]! * grads[grad]!;
  });
  return out;
};

type Options = Omit<tf.DepthwiseConv2dNativeBackpropFilterAttrs, "filterShape">;

function geometryOf(
  x: readonly number[],
  filter: readonly number[],
  { strides, dilations, pad, dimRoundingMode }: Options,
): tf.backend_util.Conv2DInfo {
  return tf.backend_util.computeConv2DInfo(
    x as [number, number, number, number],
    filter as [number, number, number, number],
    strides,
    dilations,
    pad,
    dimRoundingMode,
    true,
  );
}

/** Calls `at` with the places in x, in the filter and in dy of all that is multiplied. */
function forEachProduct(
  info: tf.backend_util.Conv2DInfo,
  at: (pixel: number, weight: number, grad: number) => void,
): void {
  const { batchSize, inHeight, inWidth, inChannels: C, outHeight, outWidth, filterHeight, filterWidth, padInfo } = info;
  const Q = info.outChannels / C;
  for (let b = 0; b < batchSize; b++) {
    for (let row = 0; row < outHeight; row++) {
      for (let column = 0; column < outWidth; column++) {
        const out = ((b * outHeight + row) * outWidth + column) * C * Q;
        for (let i = 0; i < filterHeight; i++) {
          const y = row * info.strideHeight - padInfo.top + i * info.dilationHeight;
          if (y < 0 || y >= inHeight) continue;
          for (let j = 0; j < filterWidth; j++) {
            const x = column * info.strideWidth - padInfo.left + j * info.dilationWidth;
            if (x < 0 || x >= inWidth) continue;
            const pixel = ((b * inHeight + y) * inWidth + x) * C;
            const weight = (i * filterWidth + j) * C * Q;
            for (let k = 0; k < C * Q; k++) at(pixel + Math.floor(k / Q), weight + k, out + k);
          }
        }
      }
    }
  }
}

/** Rows of x added up by the number of each, which is what the gradient of a gather comes down to. */
const segmentSums: tf.KernelFunc = ({ inputs, backend, attrs }) => {
  const { x, segmentIds } = inputs as unknown as { x: tf.TensorInfo; segmentIds: tf.TensorInfo };
  const { numSegments } = attrs as unknown as tf.UnsortedSegmentSumAttrs;
  const wasm = backend as unknown as WasmBackend;
  const out = wasm.makeOutput([numSegments, ...x.shape.slice(segmentIds.shape.length)], "float32");
  const sums = wasm.typedArrayFromHeap(out).fill(0);
  const [rows, numbers] = [wasm.typedArrayFromHeap(x), wasm.typedArrayFromHeap(segmentIds)];
  const width = sums.length / numSegments;
  for (const [i, number] of numbers.entries()) {
    if (number < 0 || number >= numSegments) continue;
    for (let d = 0; d < width; d++) sums[number * width + d]! += rows[i * width + d]!;
  }
  return out;
};
