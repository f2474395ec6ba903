/** How far two devices' gradients of one step are apart, and where. */
import type { StepGradients } from "@volary/core/training";

/** Gradients of one step, and the names of the dense variables they are of, in order. */
export interface TrialGradients extends StepGradients {
  variables: readonly { name: string; size: number }[];
}

export interface Parity {
  /** The largest |Δ| of a tensor over the largest |gradient| in it; 1 where a gradient is no number. */
  difference: number;
  /** Of the tensor that differs most: a variable's name, "the rows" or "the loss". */
  where: string;
}

/** Gradients below this share of the step's largest are compared with that: they are rounding errors of sums. */
const SMALL = 1e-6;

/** @param reference the same step on the device that is right */
export function parityOf(got: TrialGradients, reference: TrialGradients): Parity {
  const largest = Math.max(largestOf(reference.rowGrads), largestOf(reference.denseGrads));
  const worst = { difference: 0, where: "nothing" };
  const compare = (where: string, a: Float32Array, b: Float32Array): void => {
    const difference = differenceOf(a, b, SMALL * largest);
    if (difference > worst.difference) Object.assign(worst, { difference, where });
  };
  compare("the loss", Float32Array.of(got.lossSum), Float32Array.of(reference.lossSum));
  compare("the rows", got.rowGrads, reference.rowGrads);
  let at = 0;
  for (const { name, size } of reference.variables) {
    const [from, to] = [at, (at += size)];
    compare(name, got.denseGrads.subarray(from, to), reference.denseGrads.subarray(from, to));
  }
  return worst;
}

function differenceOf(a: Float32Array, b: Float32Array, least: number): number {
  if (a.length !== b.length) return 1;
  let apart = 0;
  for (let i = 0; i < b.length; i++) {
    const difference = Math.abs(a[i]! - b[i]!);
    if (!Number.isFinite(difference)) return 1;
    if (difference > apart) apart = difference;
  }
  return apart === 0 ? 0 : apart / Math.max(largestOf(b), least);
}

function largestOf(values: Float32Array): number {
  let largest = 0;
  for (const value of values) if (Math.abs(value) > largest) largest = Math.abs(value);
  return largest;
}
