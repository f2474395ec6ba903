/**
 * The losses of a job, of one sample and in float64, from what the model predicted: so the loss of held-out rows
 * needs no device and merges exactly. Training computes the same formulas in float32, with gradients: see
 * `model/loss.ts`. Regularizers and class weights belong to training and are not in it, as in Keras.
 */
import type { LossName } from "../job/index.ts";
import { classOf, targetAt, type ScoredBatch } from "./scored-batch.ts";

/** As in tfjs and Keras, probabilities are held off 0 and 1 by this much. */
const EPSILON = 1e-7;

/** The loss of sample `b`. */
export function sampleLoss(loss: LossName, batch: ScoredBatch, b: number): number {
  switch (loss) {
    case "binaryCrossentropy":
      return mean(batch, b, binaryCrossentropy);
    case "categoricalCrossentropy":
    case "sparseCategoricalCrossentropy":
      return categoricalCrossentropy(batch, b);
    case "meanSquaredError":
      return mean(batch, b, (score, target) => (score - target) * (score - target));
    case "meanAbsoluteError":
      return mean(batch, b, (score, target) => Math.abs(score - target));
    case "huber":
      return mean(batch, b, (score, target) => huber(Math.abs(score - target)));
    case "logcosh":
      return mean(batch, b, (score, target) => logcosh(Math.abs(score - target)));
    case "poisson":
      return mean(batch, b, (score, target) => score - target * Math.log(score + EPSILON));
    case "hinge":
      return mean(batch, b, (score, target) => Math.max(0, 1 - (target === 0 ? -1 : target) * score));
    case "bpr":
      return bpr(batch, b);
    case "sampledSoftmax":
      return sampledSoftmax(batch, b);
    default:
      return loss satisfies never;
  }
}

export function binaryCrossentropy(score: number, target: number): number {
  const p = Math.min(Math.max(score, EPSILON), 1 - EPSILON);
  if (target === 1) return -Math.log(p);
  if (target === 0) return -Math.log(1 - p);
  return -(target * Math.log(p) + (1 - target) * Math.log(1 - p));
}

/** −ln of the class's share of all scores. */
export function categoricalCrossentropy(batch: ScoredBatch, b: number): number {
  const { scores, outputs, labelWidth } = batch;
  let sum = 0;
  for (let o = 0; o < outputs; o++) sum += scores[b * outputs + o]!;
  const cost = (o: number): number =>
    -Math.log(Math.min(Math.max(scores[b * outputs + o]! / sum, EPSILON), 1 - EPSILON));
  if (labelWidth === 1) return cost(classOf(batch, b));
  let total = 0;
  for (let o = 0; o < outputs; o++) {
    const target = targetAt(batch, b, o);
    if (target !== 0) total += target * cost(o);
  }
  return total;
}

function huber(error: number): number {
  return error <= 1 ? 0.5 * error * error : error - 0.5;
}

function logcosh(error: number): number {
  return error + Math.log1p(Math.exp(-2 * error)) - Math.LN2;
}

/** Mean over the negatives of −ln σ(s₀ − sⱼ). */
function bpr({ scores, outputs }: ScoredBatch, b: number): number {
  const at = b * outputs;
  let sum = 0;
  for (let o = 1; o < outputs; o++) sum += softplus(scores[at + o]! - scores[at]!);
  return sum / (outputs - 1);
}

/** −ln softmax at column 0. */
function sampledSoftmax({ scores, outputs }: ScoredBatch, b: number): number {
  const at = b * outputs;
  let greatest = -Infinity;
  for (let o = 0; o < outputs; o++) greatest = Math.max(greatest, scores[at + o]!);
  let sum = 0;
  for (let o = 0; o < outputs; o++) sum += Math.exp(scores[at + o]! - greatest);
  return Math.log(sum) + greatest - scores[at]!;
}

function softplus(x: number): number {
  return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
}

/** The mean of a cost over the outputs of a sample. */
export function mean(batch: ScoredBatch, b: number, cost: (score: number, target: number) => number): number {
  const { scores, outputs } = batch;
  if (outputs === 1) return cost(scores[b]!, targetAt(batch, b, 0));
  let sum = 0;
  for (let o = 0; o < outputs; o++) sum += cost(scores[b * outputs + o]!, targetAt(batch, b, o));
  return sum / outputs;
}
