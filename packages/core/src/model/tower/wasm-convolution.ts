/**
 * Workaround: on tfjs's wasm backend convolutional nets cannot be trained. The gradient of a convolution's filter is
 * missing ("Kernel 'Conv2DBackpropFilter' not registered"), and that of max pooling differs from the definition (by 13 %
 * of the largest gradient before it, windows and steps of 2 by 2; tfjs 4.22, Node 24, November 2026). The
 * first is composed here of the backend's own slices and matrix products, one for each place of the filter; the second
 * is a plain loop.
 *
 * @see https://github.com/tensorflow/tfjs, tfjs-backend-wasm/src/register_all_kernels.ts and cc/kernels/MaxPoolGrad.cc:
 * delete the one when the list has conv2DBackpropFilterConfig, the other when the test beside passes without it.
 */
import * as tf from "@tensorflow/tfjs-core";

const completed = new WeakSet<tf.KernelFunc>();

/** Gives the wasm backend the gradients it lacks; once, and only where that backend is loaded. */
export function completeWasmConvolution(): void {
  if (tf.getKernel(tf.Conv2D, "wasm") && !tf.getKernel(tf.Conv2DBackpropFilter, "wasm")) {
    tf.registerKernel({ kernelName: tf.Conv2DBackpropFilter, backendName: "wasm", kernelFunc: filterGradient });
  }
  const pooling = tf.getKernel(tf.MaxPoolGrad, "wasm")?.kernelFunc;
  if (!pooling || completed.has(pooling)) return;
  tf.unregisterKernel(tf.MaxPoolGrad, "wasm");
  tf.registerKernel({ kernelName: tf.MaxPoolGrad, backendName: "wasm", kernelFunc: maxPoolGradient });
  completed.add(maxPoolGradient);
}

interface WasmBackend {
  disposeData(dataId: tf.DataId): unknown;
  makeOutput(shape: number[], dtype: tf.DataType): tf.TensorInfo;
  typedArrayFromHeap(info: tf.TensorInfo): Float32Array;
}

/** For each place of the filter: (the pixels it saw)ᵀ · dy, [n, C]ᵀ · [n, K] with n = B × outHeight × outWidth. */
const filterGradient: tf.KernelFunc = ({ inputs, backend, attrs }) => {
  const { x, dy } = inputs as unknown as { x: tf.TensorInfo; dy: tf.TensorInfo };
  const { strides, pad, dataFormat, dimRoundingMode, filterShape } = attrs as unknown as tf.Conv2DBackpropFilterAttrs;
  if (dataFormat !== "NHWC")
    throw new TypeError(`the wasm backend convolves in NHWC; got ${dataFormat}: use dataFormat "channelsLast"`);
  const at = tf.backend_util.computeConv2DInfo(
    x.shape as [number, number, number, number],
    filterShape,
    strides,
    1,
    pad,
    dimRoundingMode,
  );
  const run = (name: string, given: Record<string, unknown>, options: Record<string, unknown>): tf.TensorInfo =>
    tf.getKernel(name, "wasm").kernelFunc({
      inputs: given as unknown as tf.NamedTensorInfoMap,
      attrs: options as unknown as tf.NamedAttrMap,
      backend,
    }) as tf.TensorInfo;
  const free = ({ dataId }: tf.TensorInfo): unknown => (backend as WasmBackend).disposeData(dataId);

  const { top, bottom, left, right } = at.padInfo;
  const paddings = [
    [0, 0],
    [top, bottom],
    [left, right],
    [0, 0],
  ];
  const padded = run(tf.PadV2, { x }, { paddings, constantValue: 0 });
  const n = at.batchSize * at.outHeight * at.outWidth;
  const products: tf.TensorInfo[] = [];
  for (let row = 0; row < at.filterHeight; row++) {
    for (let column = 0; column < at.filterWidth; column++) {
      const end = [row + (at.outHeight - 1) * at.strideHeight + 1, column + (at.outWidth - 1) * at.strideWidth + 1];
      const seen = run(
        tf.StridedSlice,
        { x: padded },
        {
          begin: [0, row, column, 0],
          end: [at.batchSize, ...end, at.inChannels],
          strides: [1, at.strideHeight, at.strideWidth, 1],
          beginMask: 0,
          endMask: 0,
          ellipsisMask: 0,
          newAxisMask: 0,
          shrinkAxisMask: 0,
        },
      );
      const factors = { a: seenAs(seen, [1, n, at.inChannels]), b: seenAs(dy, [1, n, at.outChannels]) };
      products.push(run(tf.BatchMatMul, factors, { transposeA: true, transposeB: false }));
      free(seen);
    }
  }
  free(padded);
  const matrices = products.map((product) => seenAs(product, [at.inChannels, at.outChannels]));
  const joined = run(tf.Concat, matrices as unknown as Record<string, unknown>, { axis: 0 });
  products.forEach(free);
  return seenAs(joined, filterShape);
};

/** The same floats in another shape. */
function seenAs({ dataId, dtype }: tf.TensorInfo, shape: number[]): tf.TensorInfo {
  return { dataId, dtype, shape };
}

/** Each window's gradient goes to its first largest pixel. */
const maxPoolGradient: tf.KernelFunc = (params) => {
  const { input, dy } = params.inputs as unknown as { input: tf.TensorInfo; dy: tf.TensorInfo };
  const { filterSize, strides, pad, dimRoundingMode } = params.attrs as unknown as tf.MaxPoolGradAttrs;
  const backend = params.backend as WasmBackend;
  const shape = input.shape as [number, number, number, number];
  const at = tf.backend_util.computePool2DInfo(shape, filterSize, strides, 1, pad, dimRoundingMode);
  // Making the output first: it may grow the heap, which moves the arrays.
  const dx = backend.makeOutput(input.shape, "float32");
  const gradients = backend.typedArrayFromHeap(dx).fill(0);
  spreadToLargest(backend.typedArrayFromHeap(input), backend.typedArrayFromHeap(dy), at, gradients);
  return dx;
};

function spreadToLargest(
  x: Float32Array,
  dy: Float32Array,
  at: tf.backend_util.Conv2DInfo,
  gradients: Float32Array,
): void {
  const { batchSize, inHeight, inWidth, inChannels, outHeight, outWidth, filterHeight, filterWidth, padInfo } = at;
  let out = 0;
  for (let b = 0; b < batchSize; b++) {
    for (let row = 0; row < outHeight; row++) {
      const top = row * at.strideHeight - padInfo.top;
      const rowEnd = Math.min(inHeight, top + filterHeight);
      for (let column = 0; column < outWidth; column++) {
        const left = column * at.strideWidth - padInfo.left;
        const columnEnd = Math.min(inWidth, left + filterWidth);
        for (let c = 0; c < inChannels; c++) {
          let largest = -1;
          for (let i = Math.max(0, top); i < rowEnd; i++) {
            for (let j = Math.max(0, left); j < columnEnd; j++) {
              const pixel = ((b * inHeight + i) * inWidth + j) * inChannels + c;
              if (largest < 0 || x[pixel]! > x[largest]!) largest = pixel;
            }
          }
          gradients[largest]! += dy[out++]!;
        }
      }
    }
  }
}
