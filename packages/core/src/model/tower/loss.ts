/**
 * Losses of a slot: Σ over its samples of weight · loss, so that the sums of slots add up. They are Keras's and
 * tfjs's, which take the mean over a sample's outputs. Where the model ends in the activation a loss would undo, the
 * activation is taken off and the loss works with logits: through a sigmoid in float32, a sample predicted wrongly with
 * certainty, where gradients matter most, would get none, as p(1 − p) is 0 there.
 *
 * Gradients use no kernel that tfjs's wasm backend lacks, such as gather's. `metrics/sample-loss.ts` has the same
 * formulas in float64.
 *
 * Shapes: B samples, O outputs of the model, L floats of a label.
 */
import * as tf from "@tensorflow/tfjs-core";
import type { LossName } from "../../job/manifest.ts";

/** As tfjs does, probabilities are held off 0 and 1 by this much. */
const EPSILON = 1e-7;

export interface LossInput {
  /** What the tower gives, or what it would activate: [B, O]. */
  output: tf.Tensor2D;
  /** [B, L] */
  label: tf.Tensor2D;
  /** [B]; undefined where every weight is 1. */
  weight: tf.Tensor1D | undefined;
  /** Was the activation of {@link activationUndoneBy} taken off? */
  form: "logits" | "values";
}

/** Σ weight · loss. Labels and weights are constants: only the output has a gradient. */
export function lossSum(loss: LossName, at: LossInput): tf.Scalar {
  const losses = lossesOf(loss, at);
  const [B, columns] = losses.shape;
  const weighted = at.weight ? tf.mul(losses, tf.reshape(at.weight, [B, 1])) : losses;
  const sum = tf.sum<tf.Scalar>(weighted);
  return columns === 1 ? sum : tf.mul(sum, 1 / columns);
}

/** The final activation whose input a loss takes instead of its output. */
export function activationUndoneBy(loss: LossName): "sigmoid" | "softmax" | undefined {
  switch (loss) {
    case "binaryCrossentropy":
      return "sigmoid";
    case "categoricalCrossentropy":
    case "sparseCategoricalCrossentropy":
      return "softmax";
    default:
      return undefined;
  }
}

/** A loss for each output, [B, O], or for each sample, [B, 1]. */
function lossesOf(loss: LossName, { output, label, form }: LossInput): tf.Tensor2D {
  switch (loss) {
    case "binaryCrossentropy":
      return form === "logits"
        ? binaryCrossentropyOfLogits(output, label)
        : binaryCrossentropyOfProbabilities(output, label);
    case "categoricalCrossentropy":
      return form === "logits" ? crossentropyOfLogits(output, label) : crossentropyOfProbabilities(output, label);
    case "sparseCategoricalCrossentropy": {
      const target = oneHot(label, output.shape[1]);
      return form === "logits" ? crossentropyOfLogits(output, target) : crossentropyOfProbabilities(output, target);
    }
    case "meanSquaredError":
      return tf.squaredDifference(output, label);
    case "meanAbsoluteError":
      return ofError(output, label, { cost: tf.abs, slope: tf.sign });
    case "huber":
      return ofError(output, label, { cost: huber, slope: (error) => tf.clipByValue(error, -1, 1) });
    case "logcosh":
      return ofError(output, label, { cost: logcosh, slope: tf.tanh });
    case "poisson":
      return tf.sub(output, tf.mul(label, tf.log(tf.add(output, EPSILON))));
    case "hinge":
      return tf.relu(tf.sub(1, tf.mul(signOf(label), output)));
    case "bpr":
      return bpr(output);
    case "sampledSoftmax":
      return crossentropyOfLogits(output, oneHot(tf.zeros([output.shape[0], 1]), output.shape[1]));
    default:
      return loss satisfies never;
  }
}

/** max(z, 0) − z·y + ln(1 + e^−|z|), with its gradient σ(z) − y. */
function binaryCrossentropyOfLogits(logits: tf.Tensor2D, label: tf.Tensor2D): tf.Tensor2D {
  const losses = tf.customGrad<tf.Tensor2D>((input, saver) => {
    const [z, save] = [input as tf.Tensor, saver as tf.GradSaveFunc];
    save([z, label]);
    return {
      value: tf.add(tf.sub(tf.relu(z), tf.mul(z, label)), softplusOfMinusAbs(z)),
      gradFunc: (dy, [saved, wanted]) => tf.mul(dy, tf.sub(tf.sigmoid(saved!), wanted!)),
    };
  });
  return losses(logits);
}

/** For outputs whose logits are out of reach. */
function binaryCrossentropyOfProbabilities(output: tf.Tensor2D, label: tf.Tensor2D): tf.Tensor2D {
  const p = tf.clipByValue(output, EPSILON, 1 - EPSILON);
  const ofOnes = tf.mul(label, tf.log(p));
  const ofZeros = tf.mul(tf.sub(1, label), tf.log(tf.sub(1, p)));
  return tf.neg(tf.add(ofOnes, ofZeros));
}

/** −Σ t · ln softmax(z), with its gradient softmax(z) · Σ t − t. */
function crossentropyOfLogits(logits: tf.Tensor2D, target: tf.Tensor2D): tf.Tensor2D {
  const losses = tf.customGrad<tf.Tensor2D>((input, saver) => {
    const [z, save] = [input as tf.Tensor, saver as tf.GradSaveFunc];
    const shifted = tf.sub(z, tf.max(z, 1, true));
    const logP = tf.sub(shifted, tf.log(tf.sum(tf.exp(shifted), 1, true)));
    save([logP, target]);
    return {
      value: tf.neg(tf.sum(tf.mul(target, logP), 1, true)),
      gradFunc: (dy, [saved, t]) => tf.mul(dy, tf.sub(tf.mul(tf.exp(saved!), tf.sum(t!, 1, true)), t!)),
    };
  });
  return losses(logits);
}

/** As tfjs, of each output's share of their sum. */
function crossentropyOfProbabilities(output: tf.Tensor2D, target: tf.Tensor2D): tf.Tensor2D {
  const p = tf.clipByValue(tf.div(output, tf.sum(output, 1, true)), EPSILON, 1 - EPSILON);
  return tf.neg(tf.sum(tf.mul(target, tf.log(p)), 1, true));
}

/** −ln σ(s₀ − sⱼ) for each negative j (Rendle et al., UAI 2009); column 0 is the positive. [B, O − 1] */
function bpr(scores: tf.Tensor2D): tf.Tensor2D {
  const [B, O] = scores.shape;
  const losses = tf.customGrad<tf.Tensor2D>((input, saver) => {
    const [s, save] = [input as tf.Tensor2D, saver as tf.GradSaveFunc];
    const lead = tf.sub(tf.slice(s, [0, 0], [B, 1]), tf.slice(s, [0, 1], [B, O - 1]));
    save([lead]);
    return {
      value: tf.add(tf.relu(tf.neg(lead)), softplusOfMinusAbs(lead)),
      gradFunc: (dy, [saved]) => {
        const pull = tf.mul<tf.Tensor2D>(dy, tf.sigmoid(tf.neg(saved!)));
        return tf.concat([tf.neg(tf.sum<tf.Tensor2D>(pull, 1, true)), pull], 1);
      },
    };
  });
  return losses(scores);
}

/** A loss of the error output − label, with its gradient written out. */
function ofError(
  output: tf.Tensor2D,
  label: tf.Tensor2D,
  { cost, slope }: Record<"cost" | "slope", (error: tf.Tensor2D) => tf.Tensor2D>,
): tf.Tensor2D {
  const losses = tf.customGrad<tf.Tensor2D>((input, saver) => {
    const [error, save] = [input as tf.Tensor2D, saver as tf.GradSaveFunc];
    save([error]);
    return { value: cost(error), gradFunc: (dy, [saved]) => tf.mul(dy, slope(saved as tf.Tensor2D)) };
  });
  return losses(tf.sub(output, label));
}

/** e²/2 up to |e| = 1, then |e| − ½: with q the smaller of |e| and 1, q · (|e| − q/2). */
function huber(error: tf.Tensor2D): tf.Tensor2D {
  const size = tf.abs(error);
  const q = tf.minimum(size, 1);
  return tf.mul(q, tf.sub(size, tf.mul(q, 0.5)));
}

/** ln cosh e = |e| + ln(1 + e^−2|e|) − ln 2 */
function logcosh(error: tf.Tensor2D): tf.Tensor2D {
  const size = tf.abs(error);
  return tf.sub(tf.add(size, tf.log1p(tf.exp(tf.mul(size, -2)))), Math.LN2);
}

/** ln(1 + e^−|x|) */
function softplusOfMinusAbs(x: tf.Tensor): tf.Tensor {
  return tf.log1p(tf.exp(tf.neg(tf.abs(x))));
}

/** Hinge's labels are −1 and 1; 0 counts as −1, as in Keras. */
function signOf(label: tf.Tensor2D): tf.Tensor2D {
  return tf.sub(label, tf.cast(tf.equal(label, 0), "float32"));
}

/**
 * [B, 1] numbers of classes → [B, O]. Cast at the end: tfjs 4.22's wasm kernel writes integers into what it calls
 * float32 when it is asked for that.
 */
function oneHot(classes: tf.Tensor2D, O: number): tf.Tensor2D {
  const [B] = classes.shape;
  const integers = tf.oneHot(tf.cast(tf.reshape(classes, [B]), "int32"), O) as tf.Tensor2D;
  return tf.cast(integers, "float32");
}
