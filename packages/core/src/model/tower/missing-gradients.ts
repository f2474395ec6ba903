/**
 * Workaround: of some kernels tfjs has no gradient, so that layers made of them stop a job with "gradient function not
 * found for Greater": masking, thresholdedReLU and conv3dTranspose (tfjs 4.22, November 2026). A comparison changes
 * nothing when its numbers move a little: its gradients are 0, as tfjs has it for GreaterEqual.
 *
 * @see https://github.com/tensorflow/tfjs, tfjs-core/src/register_all_gradients.ts: delete each when the list has it.
 */
import * as tf from "@tensorflow/tfjs-core";

/** Kernels that give bools, and their inputs. */
const COMPARISONS: Readonly<Record<string, readonly string[]>> = {
  [tf.Equal]: ["a", "b"],
  [tf.NotEqual]: ["a", "b"],
  [tf.Greater]: ["a", "b"],
  [tf.Less]: ["a", "b"],
  [tf.LessEqual]: ["a", "b"],
  [tf.LogicalAnd]: ["a", "b"],
  [tf.LogicalOr]: ["a", "b"],
  [tf.LogicalNot]: ["x"],
  [tf.Any]: ["x"],
  [tf.All]: ["x"],
};

/** Gives tfjs the gradients it lacks; once. */
export function completeMissing(): void {
  for (const [kernelName, inputs] of Object.entries(COMPARISONS)) give({ kernelName, ...zerosFor(inputs) });
  give({
    kernelName: tf.Conv3DBackpropInputV2,
    inputsToSave: ["dy", "filter"],
    gradFunc: transposedConvolution as tf.GradFunc,
  });
}

function give(config: tf.GradConfig): void {
  if (!tf.getGradient(config.kernelName)) tf.registerGradient(config);
}

function zerosFor(inputsToSave: readonly string[]): Pick<tf.GradConfig, "inputsToSave" | "gradFunc"> {
  return {
    inputsToSave: [...inputsToSave],
    gradFunc: (_, saved) =>
      // Those of a bool are floats, too.
      Object.fromEntries(inputsToSave.map((name, i) => [name, () => tf.zeros(saved[i]!.shape)])),
  };
}

/** A transposed convolution is linear in its input, `dy`, and in its filter; as Conv2DBackpropInput_grad.ts has it. */
function transposedConvolution(
  ddx: tf.Tensor5D,
  [dy, filter]: [tf.Tensor5D, tf.Tensor5D],
  attrs: tf.NamedAttrMap,
): ReturnType<tf.GradFunc> {
  const { strides, pad } = attrs as unknown as tf.Conv3DBackpropInputV2Attrs;
  const filterAttrs = { strides, pad, filterShape: filter.shape } as unknown as tf.NamedAttrMap;
  return {
    dy: () => tf.conv3d(ddx, filter, strides, pad),
    filter: () => tf.engine().runKernel<tf.Tensor>(tf.Conv3DBackpropFilterV2, { x: ddx, dy }, filterAttrs),
  };
}
