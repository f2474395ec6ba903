/** `tf.Layer.apply` returns a union of tensors; this says which, and reads from left to right. */
import { SymbolicTensor, type layers } from "@tensorflow/tfjs-layers";

/**
 * Applies `steps` one after the other. tfjs types what `layer.apply` gives as any of several sorts of tensors; this gives
 * the one sort that a model is made of.
 *
 * @param inputs of the first step; several, where that joins them
 * @returns what the last step gives
 * @throws {TypeError} a step that is no layer, or that gives several tensors
 * @example const late = through([route, hour], tf.layers.concatenate(), tf.layers.dense({ units: 1 }));
 */
export function through(inputs: SymbolicTensor | SymbolicTensor[], ...steps: layers.Layer[]): SymbolicTensor {
  let at = inputs;
  for (const [i, step] of steps.entries()) {
    // A function has an `apply` of its own: tf.layers.dense without its call is the likeliest slip.
    if (typeof step !== "object" || typeof step?.apply !== "function") {
      throw new TypeError(
        `through(): step ${i + 1} of ${steps.length} is no layer; pass what tf.layers makes, as tf.layers.dense({ units: 64 })`,
      );
    }
    const applied = step.apply(at);
    if (Array.isArray(applied))
      throw new TypeError(
        `through(): layer "${step.name}" gives ${applied.length} tensors; apply it by itself and pick one`,
      );
    at = applied as SymbolicTensor;
  }
  if (Array.isArray(at))
    throw new TypeError(
      `through(): ${at.length} tensors and no layer to join them; begin with tf.layers.concatenate()`,
    );
  return at;
}
