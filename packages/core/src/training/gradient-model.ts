/**
 * What the step needs of a model, so that the transaction runs with tfjs on any backend and with a toy in the
 * simulation. `model/training-model.ts` is the tfjs one.
 *
 * Shapes: B samples of this slot, E = Σ dims of the embedding uses, N number fields.
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
   * @returns arrays the caller owns; lossSum is the sum over samples, not divided
   */
  step(at: StepInput): Promise<StepGradients>;
  /** @returns float32, shape [B] */
  predict(at: { rows: Float32Array; numbers: Float32Array; samples: number }): Promise<Float32Array>;
  dispose(): void;
}

export interface StepInput {
  rows: Float32Array;
  numbers: Float32Array;
  label: Float32Array;
  samples: number;
  globalSamples: number;
}

export interface StepGradients {
  /** float32, shape [B, E] */
  rowGrads: Float32Array;
  /** float32, all variables in order */
  denseGrads: Float32Array;
  lossSum: number;
}
