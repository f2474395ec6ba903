/**
 * What the step needs of a model, so that the transaction runs with tfjs on any backend and with a toy in the
 * simulation. `model/training-model.ts` is the tfjs one.
 *
 * Shapes: B samples of this slot, E = floats of a sample's rows, N = floats of its numbers, M = places of its masked
 * sequences, L = floats of its label, O = numbers the model gives, R = rows that it has: one of each use, of a sequence
 * one for each of its places.
 */
export interface GradientModel {
  /** Floats of all dense variables together. */
  readonly denseFloats: number;
  /** Takes over new dense weights: float32, all variables in order. Copied before it returns. */
  setDense(flat: Float32Array): void;
  /**
   * One backward pass for dense variables and just the pulled rows, of Σ loss / globalSamples, so that the
   * gradients of slots simply add.
   *
   * @param at.rows float32, shape [B, E]
   * @param at.numbers float32, shape [B, N]
   * @returns arrays the caller owns; lossSum is the weighted sum over samples, not divided
   */
  step(at: StepInput): Promise<StepGradients>;
  /** @returns float32, shape [B, O]; the caller owns it */
  predict(at: PredictInput): Promise<Float32Array>;
  dispose(): void;
}

export interface PredictInput {
  /** float32, shape [B, E] */
  rows: Float32Array;
  /** float32, shape [B, N] */
  numbers: Float32Array;
  /** 1 where a place of a masked sequence counts, else 0: float32, shape [B, M], use after use; undefined where M = 0. */
  masks?: Float32Array | undefined;
  samples: number;
}

export interface StepInput extends PredictInput {
  /** float32, shape [B, L] */
  label: Float32Array;
  /** float32, shape [B]; undefined where every weight is 1. */
  weight?: Float32Array | undefined;
  globalSamples: number;
  /**
   * Says which of them are the same row: those with the same number, shape [B, R]; of `NO_ROW` there is none. Undefined:
   * all are of their own. What computes alone asks for neither this nor `step`.
   */
  rowIds?: (() => Uint32Array) | undefined;
  /** The step, or the batch where batches are given out, that the samples are of; what computes alone has no need of it. */
  step?: number | undefined;
}

export interface StepGradients {
  /** float32, shape [B, E] */
  rowGrads: Float32Array;
  /** float32, all variables in order */
  denseGrads: Float32Array;
  lossSum: number;
}
