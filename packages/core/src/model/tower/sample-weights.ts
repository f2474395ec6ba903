/**
 * What a sample counts in training: its weight in the data times the weight of its label's class, as Keras's
 * `sample_weight` and `class_weight`. Both multiply the sample's loss and gradient; the divisor stays the number of samples
 * of the step, as in Keras and tfjs. Metrics know the data's weights alone.
 *
 * tfjs's `fit` refuses a class that `classWeight` does not name; here, as in Keras, it weighs 1.
 */

/** By class number. */
export type ClassWeight = Readonly<Record<string, number>>;

/**
 * The class of a label is its one number, or the greatest of several, as tfjs tells it.
 *
 * @param at.label float32, shape [B, labelWidth]
 * @param at.weight float32, shape [B]
 * @returns float32, shape [B], perhaps `weight` itself; undefined where every weight is 1
 */
export function sampleWeights({
  label,
  labelWidth,
  weight,
  classWeight,
}: {
  label: Float32Array;
  labelWidth: number;
  weight?: Float32Array | undefined;
  classWeight?: ClassWeight | undefined;
}): Float32Array | undefined {
  if (classWeight === undefined) return weight;
  const byClass = new Map(Object.entries(classWeight).map(([number, w]) => [Number(number), w]));
  const weights = new Float32Array(label.length / labelWidth);
  for (let b = 0; b < weights.length; b++) {
    const number = labelWidth === 1 ? label[b]! : greatest(label, b * labelWidth, labelWidth);
    weights[b] = (weight ? weight[b]! : 1) * (byClass.get(number) ?? 1);
  }
  return weights;
}

function greatest(values: Float32Array, at: number, length: number): number {
  let best = 0;
  for (let i = 1; i < length; i++) if (values[at + i]! > values[at + best]!) best = i;
  return best;
}
