/**
 * Samples with what a model said of them, as every metric reads them. A label is either as wide as the model's
 * output, or one number that is the class: its output counts as 1, the others as 0.
 *
 * Shapes: B samples, L floats of a label, O numbers the model gives.
 */
export interface ScoredBatch {
  readonly samples: number;
  /** float32, shape [B, L] */
  readonly labels: Float32Array;
  readonly labelWidth: number;
  /** float32, shape [B, O]: what the model predicts */
  readonly scores: Float32Array;
  readonly outputs: number;
  /** float32, shape [B]; undefined where every weight is 1. A sample of weight 0 is left out of everything. */
  readonly weight?: Float32Array | undefined;
  /** Keys of the samples' groups as u32 pairs, low word first, length 2B. */
  readonly group?: Uint32Array | undefined;
}

/** What output `o` of sample `b` should have been. */
export function targetAt({ labels, labelWidth, outputs }: ScoredBatch, b: number, o: number): number {
  return labelWidth === outputs ? labels[b * outputs + o]! : labels[b * labelWidth] === o ? 1 : 0;
}

/** The output with the greatest score; the first of several. */
export function greatestScore({ scores, outputs }: ScoredBatch, b: number): number {
  return greatest(scores, b * outputs, outputs);
}

/** The class of a sample: its label, or the greatest of its label's numbers. */
export function classOf({ labels, labelWidth }: ScoredBatch, b: number): number {
  return labelWidth === 1 ? labels[b]! : greatest(labels, b * labelWidth, labelWidth);
}

function greatest(values: Float32Array, at: number, length: number): number {
  let best = 0;
  for (let i = 1; i < length; i++) if (values[at + i]! > values[at + best]!) best = i;
  return best;
}

/**
 * @param needs "binary" where a metric needs targets of 0 and 1
 * @throws {RangeError} arrays that do not fit, a score or weight that is not finite, a class the model has no output for,
 * or a label that is neither 0 nor 1 where that is needed
 */
export function checkBatch(batch: ScoredBatch, needs: "binary" | "any"): void {
  const { samples, labels, labelWidth, scores, outputs, weight, group } = batch;
  checkLength("labels", labels, samples * labelWidth);
  checkLength("scores", scores, samples * outputs);
  if (weight) checkLength("weights", weight, samples);
  if (group) checkLength("words of group keys", group, 2 * samples);
  for (let b = 0; b < samples; b++) {
    if (weight && !(weight[b]! >= 0 && weight[b]! < Infinity))
      throw new RangeError(`weight of sample ${b} is ${weight[b]}; weights are finite and at least 0`);
    if (weight?.[b] === 0) continue;
    for (let i = b * outputs; i < (b + 1) * outputs; i++) {
      if (!Number.isFinite(scores[i]!)) {
        throw new RangeError(
          `score ${i - b * outputs} of sample ${b} is ${scores[i]}: the model has diverged; lower its learning rates`,
        );
      }
    }
    if (labelWidth === 1 && outputs > 1) checkClass(labels[b]!, b, outputs);
    else if (needs === "binary") checkBinary(batch, b);
  }
}

function checkLength(what: string, { length }: Float32Array | Uint32Array, wanted: number): void {
  if (length !== wanted) throw new RangeError(`${length} ${what}, but ${wanted} are needed`);
}

function checkClass(label: number, b: number, outputs: number): void {
  if (Number.isInteger(label) && label >= 0 && label < outputs) return;
  throw new RangeError(
    `label of sample ${b} is ${label}; the model gives ${outputs} outputs, classes 0 to ${outputs - 1}`,
  );
}

function checkBinary({ labels, labelWidth }: ScoredBatch, b: number): void {
  for (let i = b * labelWidth; i < (b + 1) * labelWidth; i++) {
    if (labels[i] === 0 || labels[i] === 1) continue;
    throw new RangeError(
      `label of sample ${b} is ${labels[i]}: auc and logloss need labels 0 and 1, as atLeast(…) makes them`,
    );
  }
}
