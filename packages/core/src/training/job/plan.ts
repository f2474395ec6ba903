/**
 * The step plan: which samples a slot of a step trains on, as a pure function of (manifest, rows, step, slots, shares).
 * Steps count from 1 over the whole job; every sample of an epoch is in exactly one step of it, and every sample
 * of a step in exactly one slot, however many slots there are.
 */
import { assert } from "../../errors.ts";
import type { JobManifest } from "../../job/index.ts";

/** One slot of a step. */
export interface SlotOfStep {
  step: number;
  slot: number;
  slots: number;
  /** How long the slots' slices are in relation to one another, as a term says; equal without it. */
  shares?: readonly number[] | undefined;
}

export interface StepPlan {
  readonly trainRows: number;
  readonly stepsPerEpoch: number;
  /** The job's last step. */
  readonly steps: number;
  /** Epoch of a step, from 0. */
  epochOf(step: number): number;
  /** Positions [from, to) in the epoch's order that a whole step covers. */
  samplesOf(step: number): { from: number; to: number };
  /** Positions [from, to) in the epoch's order that one slot of a step covers. Of equal slices the first are longer. */
  sliceOf(at: SlotOfStep): { from: number; to: number };
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
    sliceOf: ({ step, slot, slots, shares }) => {
      const { from, to } = samplesOf(step);
      const samples = to - from;
      if (shares) return between(from, samples, { slot, slots, shares });
      const cut = (i: number) => from + Math.ceil((samples * i) / slots);
      return { from: cut(slot), to: cut(slot + 1) };
    },
  };
}

/** The cuts lie where the sums of the shares before them do, so slices lie side by side and the last ends the step. */
function between(
  from: number,
  samples: number,
  { slot, slots, shares }: { slot: number; slots: number; shares: readonly number[] },
): { from: number; to: number } {
  assert(shares.length === slots, `${shares.length} shares for ${slots} slots`);
  let [before, sum] = [0, 0];
  for (const [i, share] of shares.entries()) {
    if (i < slot) before += share;
    sum += share;
  }
  const cut = (share: number) => from + Math.ceil((samples * share) / sum);
  return { from: cut(before), to: slot === slots - 1 ? from + samples : cut(before + shares[slot]!) };
}
