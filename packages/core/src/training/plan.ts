/**
 * The step plan: which samples a slot of a step trains on, as a pure function of (manifest, rows, step, slots).
 * Steps count from 1 over the whole job; every sample of an epoch is in exactly one step of it, and every sample
 * of a step in exactly one slot, however many slots there are.
 */
import type { JobManifest } from "../job/index.ts";

export interface StepPlan {
  readonly trainRows: number;
  readonly stepsPerEpoch: number;
  /** The job's last step. */
  readonly steps: number;
  /** Epoch of a step, from 0. */
  epochOf(step: number): number;
  /** Positions [from, to) in the epoch's order that a whole step covers. */
  samplesOf(step: number): { from: number; to: number };
  /** Positions [from, to) in the epoch's order that one slot of a step covers: equal slices, the first ones longer. */
  sliceOf(at: { step: number; slot: number; slots: number }): { from: number; to: number };
}

/** The plan of a job whose training split has `trainRows` rows. */
export function stepPlan({ manifest, trainRows }: { manifest: Pick<JobManifest, "fit">; trainRows: number }): StepPlan {
  const { batchSize, epochs, stepsMax } = manifest.fit;
  const stepsPerEpoch = Math.ceil(trainRows / batchSize);
  const steps = Math.min(stepsPerEpoch * epochs, stepsMax ?? Infinity);
  const samplesOf = (step: number) => {
    const from = ((step - 1) % stepsPerEpoch) * batchSize;
    return { from, to: Math.min(from + batchSize, trainRows) };
  };
  return {
    trainRows,
    stepsPerEpoch,
    steps,
    epochOf: (step) => Math.floor((step - 1) / stepsPerEpoch),
    samplesOf,
    sliceOf: ({ step, slot, slots }) => {
      const { from, to } = samplesOf(step);
      const cut = (i: number) => from + Math.ceil(((to - from) * i) / slots);
      return { from: cut(slot), to: cut(slot + 1) };
    },
  };
}
