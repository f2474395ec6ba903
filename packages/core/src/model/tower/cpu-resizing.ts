/**
 * Workaround: on tfjs's plain JavaScript backend two gradients of upSampling2d and resizing are wrong: to the nearest pixel
 * those of every sample but the first, which are taken from other samples, or are no numbers; and bilinear ones have
 * height and width exchanged, which tfjs then refuses (tfjs 4.22, November 2026).
 *
 * @see https://github.com/tensorflow/tfjs, tfjs-backend-cpu/src/kernels/: delete the one when ResizeNearestNeighborGrad.ts
 * adds a batch's offset in dy, not in the images, to `dyROffset`; the other when ResizeBilinearGrad.ts gives
 * [batch, xHeight, xWidth, depth].
 */
import * as tf from "@tensorflow/tfjs-core";

const completed = new WeakSet<tf.KernelFunc>();

/** Puts right gradients in their places; once, and only where that backend is loaded. */
export function completeResizing(): void {
  replace(tf.ResizeNearestNeighborGrad, () => nearestGradient);
  replace(tf.ResizeBilinearGrad, (own) => (params) => {
    const { shape } = params.inputs["images"]!;
    return { ...(own(params) as tf.TensorInfo), shape };
  });
}

function replace(kernelName: string, by: (own: tf.KernelFunc) => tf.KernelFunc): void {
  const own = tf.getKernel(kernelName, "cpu");
  if (!own || completed.has(own.kernelFunc)) return;
  const kernelFunc = by(own.kernelFunc);
  completed.add(kernelFunc);
  tf.unregisterKernel(kernelName, "cpu");
  tf.registerKernel({ ...own, kernelFunc });
}

interface CpuBackend {
  data: { get(dataId: tf.DataId): { values: Float32Array } };
  makeTensorInfo(shape: readonly number[], dtype: tf.DataType, values: Float32Array): tf.TensorInfo;
}

/** Each pixel's gradient goes to the pixel it was copied from. Shapes: images [B, H, W, C], dy [B, outH, outW, C]. */
const nearestGradient: tf.KernelFunc = ({ inputs, backend, attrs }) => {
  const { images, dy } = inputs as unknown as { images: tf.TensorInfo; dy: tf.TensorInfo };
  const { alignCorners } = attrs as unknown as tf.ResizeNearestNeighborGradAttrs;
  const [batch, height, width, channels] = images.shape as [number, number, number, number];
  const [, outHeight, outWidth] = dy.shape as [number, number, number, number];
  const cpu = backend as CpuBackend;
  const grads = cpu.data.get(dy.dataId).values;
  const sums = new Float32Array(tf.util.sizeFromShape(images.shape));
  const rows = sources({ pixels: height, out: outHeight, alignCorners });
  const columns = sources({ pixels: width, out: outWidth, alignCorners });
  let at = 0;
  for (let b = 0; b < batch; b++) {
    for (const row of rows) {
      for (const column of columns) {
        const pixel = ((b * height + row) * width + column) * channels;
        for (let c = 0; c < channels; c++) sums[pixel + c]! += grads[at++]!;
      }
    }
  }
  return cpu.makeTensorInfo(images.shape, "float32", sums);
};

/** Along one axis: the pixel that each one of the output is a copy of, as ResizeNearestNeighbor.ts chooses it. */
function sources({ pixels, out, alignCorners }: { pixels: number; out: number; alignCorners: boolean }): number[] {
  const aligned = alignCorners && out > 1;
  const scale = aligned ? (pixels - 1) / (out - 1) : pixels / out;
  const nearest = alignCorners ? Math.round : Math.floor;
  return Array.from({ length: out }, (_, i) => Math.min(pixels - 1, nearest(i * scale)));
}
