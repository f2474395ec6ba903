/** The steps that a job was trained in, as the oracle replays them: which samples are in which slot of each. */
import { EpochOrder } from "@volary/core/data";
import type { JobManifest } from "@volary/core/job";
import { placeOfBatch, type StepPlan } from "@volary/core/training";
import type { ClosedStep } from "./closed-steps.ts";
import type { FinishedJob } from "./training-run.ts";

export interface ReplayedStep {
  readonly slots: readonly ReplayedSlot[];
  /** By rank; none where the PS have the dense weights. */
  readonly members: readonly number[];
  /** What gradients are means over. */
  readonly globalSamples: number;
  /** What the sum over the slots is multiplied with. */
  readonly scale: number;
}

interface ReplayedSlot {
  readonly epoch: number;
  /** The step of the plan that the samples are of. */
  readonly planned: number;
  /** Rows of the data. */
  readonly samples: Uint32Array;
}

interface PlannedJob {
  manifest: JobManifest;
  plan: StepPlan;
}

/** Steps that all members of a term take together: the slots are those that its members and shares give. */
export function stepsOfTerms(
  { manifest, plan }: PlannedJob,
  { commits, terms }: Pick<FinishedJob, "commits" | "terms">,
): ReplayedStep[] {
  const ordered = orderOf({ manifest, plan });
  return commits.map(({ step, attempt }) => {
    const { members, shares } = terms.find(({ term }) => term === attempt)!;
    const { from, to } = plan.samplesOf(step);
    const slots = members.map((_, slot) => ordered({ step, slot, slots: members.length, shares }));
    return { slots, members, globalSamples: to - from, scale: 1 };
  });
}

/** Steps that the coordinator closed with the batches that were in. */
export function stepsOfBatches({ manifest, plan }: PlannedJob, steps: readonly ClosedStep[]): ReplayedStep[] {
  const ordered = orderOf({ manifest, plan });
  return steps.map(({ batches, scale }) => ({
    slots: batches.map((batch) => ordered({ ...placeOfBatch(manifest, batch), slots: manifest.workersMin })),
    members: [],
    globalSamples: manifest.fit.batchSize,
    scale,
  }));
}

function orderOf({ manifest, plan }: PlannedJob): (at: Parameters<StepPlan["sliceOf"]>[0]) => ReplayedSlot {
  const { seed, fit } = manifest;
  return (at) => {
    const epoch = plan.epochOf(at.step);
    const { from, to } = plan.sliceOf(at);
    const order = new EpochOrder({ rows: plan.trainRows, seed, epoch, shuffle: fit.shuffle });
    return { epoch, planned: at.step, samples: order.slice(from, to) };
  };
}
