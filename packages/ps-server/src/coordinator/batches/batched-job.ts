/** A job whose batches the coordinator gives out, as those who give them out see it. */
import type { JobManifest } from "@volary/core/job";
import type { StepPlan } from "@volary/core/training";

/** What is asked of the job, and told to it. */
export interface BatchedJob {
  readonly job: number;
  readonly manifest: JobManifest;
  readonly plan: StepPlan | undefined;
  readonly term: number;
  /** Worker ids in rank order. */
  readonly members: readonly number[];
  /** Attempts of the steps whose batches are all finished. */
  readonly commits: readonly number[];
  readonly isEvaluating: boolean;
  readonly validationIsDue: boolean;
  /** No step after this one may be trained for now. */
  readonly trainableTo: number;
  /** Why training ends before its last step, once it does. */
  readonly ending: string | undefined;
  commit(step: { step: number; attempt: number; samples: number; lossSum: number }): void;
}
