/**
 * Sequences and which of their places count. tfjs hands a layer the mask of its first input as the `mask` argument of
 * `call`: true, or 1, where a place counts.
 *
 * Shapes: B samples, L places, D floats each.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { Shape } from "@tensorflow/tfjs-layers";

/** The mask a layer was called with, as 1 and 0: float32, shape [B, L]; undefined where every place counts. */
export function sequenceMask(kwargs: { mask?: unknown } | undefined): tf.Tensor2D | undefined {
  const given = kwargs?.mask;
  const mask = (Array.isArray(given) ? given[0] : given) as tf.Tensor2D | null | undefined;
  return mask ? tf.cast(mask, "float32") : undefined;
}

/** Added to the scores of places that do not count: far below any score, and finite, so nothing becomes NaN. */
const FAR_BELOW = -1e9;

/** Values [B, L, …] of the places that count, and far below any of these where one does not. */
export function onlyWhereCounted(values: tf.Tensor, mask: tf.Tensor): tf.Tensor {
  return tf.add(tf.mul(values, mask), tf.mul(tf.sub(1, mask), FAR_BELOW));
}

/** Σₗ weightₗ xₗ of a sequence, shape [B, D]. */
export function weightedSum(x_BLD: tf.Tensor3D, weights_BL: tf.Tensor2D): tf.Tensor2D {
  const [B, L, D] = x_BLD.shape;
  return tf.reshape(tf.matMul(tf.reshape(weights_BL, [B, 1, L]), x_BLD), [B, D]);
}

/** D of a sequence. @throws {TypeError} naming `layer` */
export function sequenceWidth(layer: string, shape: Shape | Shape[]): number {
  const D = shape.length === 3 ? shape[2] : undefined;
  if (typeof D === "number") return D;
  throw new TypeError(
    `${layer}: got shape ${JSON.stringify(shape)}; apply it to a sequence [null,L,D], as an embedding() of an input() of shape [50] gives`,
  );
}
