/**
 * Losses of a slot: the sum over its samples, so that the sums of slots add up. Shapes: B samples, all [B].
 */
import * as tf from "@tensorflow/tfjs-core";
import type { LossName } from "../job/manifest.ts";

/** As tfjs does, probabilities are held off 0 and 1 by this much. */
const EPSILON = 1e-7;

/** Σ loss. `output` is what the tower ends in: logits where its final sigmoid was taken off. */
export function lossSum(
  loss: LossName,
  at: { output: tf.Tensor; label: tf.Tensor; form: "logits" | "values" },
): tf.Scalar {
  switch (loss) {
    case "binaryCrossentropy":
      return at.form === "logits"
        ? crossentropyOfLogits(at.output, at.label)
        : crossentropyOfProbabilities(at.output, at.label);
    case "meanSquaredError":
      return tf.sum(tf.squaredDifference(at.form === "logits" ? tf.sigmoid(at.output) : at.output, at.label));
    default:
      return loss satisfies never;
  }
}

/**
 * max(z, 0) − z·y + log(1 + e^−|z|), with its gradient σ(z) − y written out. Through a sigmoid in float32, a sample
 * predicted wrongly with certainty, where gradients matter most, would get none: p(1 − p) is 0 there.
 */
function crossentropyOfLogits(logits: tf.Tensor, label: tf.Tensor): tf.Scalar {
  const summed = tf.customGrad((z, y, save) => {
    const [logit, target] = [z as tf.Tensor, y as tf.Tensor];
    (save as tf.GradSaveFunc)([logit, target]);
    const softplus = tf.log1p(tf.exp(tf.neg(tf.abs(logit))));
    const losses = tf.add(tf.sub(tf.relu(logit), tf.mul(logit, target)), softplus);
    return {
      value: tf.sum(losses),
      gradFunc: (dy, [saved, wanted]) => [tf.mul(dy, tf.sub(tf.sigmoid(saved!), wanted!)), tf.neg(tf.mul(dy, saved!))],
    };
  });
  return summed(logits, label) as tf.Scalar;
}

/** For outputs whose logits are out of reach. */
function crossentropyOfProbabilities(output: tf.Tensor, label: tf.Tensor): tf.Scalar {
  const p = tf.clipByValue(output, EPSILON, 1 - EPSILON);
  const ofOnes = tf.mul(label, tf.log(p));
  const ofZeros = tf.mul(tf.sub(1, label), tf.log(tf.sub(1, p)));
  return tf.neg(tf.sum(tf.add(ofOnes, ofZeros)));
}
