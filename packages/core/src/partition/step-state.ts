/** What a partition is in its chain, how far it is in the steps of its job, and what it answers to their messages. */

/** "head": takes its part in steps, and decides which keys get rows · "replica": does what its head did. */
export type PartitionRole = "head" | "replica";

export interface Committed {
  readonly step: number;
  readonly attempt: number;
}

export interface StepState {
  role: PartitionRole;
  /** The greatest term promised. */
  promised: number;
  /** The last step applied, and the attempt that carried it. Step 0 stands for the initial values. */
  committed: Committed;
  /** The attempt at step committed + 1, or undefined before the first start. */
  attempt: number | undefined;
  /** Is step committed + 1 closed and summed? */
  staged: boolean;
}

export type PromiseAnswer =
  | { readonly kind: "promised"; readonly term: number; readonly committed: Committed }
  /** `term` is the greater one that was promised. */
  | { readonly kind: "refused"; readonly term: number };

export type StartAnswer =
  | { readonly kind: "accepted" }
  /** The term is below `term`, the attempt is older than the open one, or the step does not follow `committed`. */
  | { readonly kind: "refused"; readonly term: number; readonly committed: Committed };

/**
 * waiting: taken, others are missing · staged: taken, the step is closed and summed · duplicate: it was in already
 * · late: of an old step or attempt, or after its step closed, dropped · early: of a step or attempt that is not
 * open yet; the sender or the node keeps it and sends it again.
 */
export type Received = "waiting" | "staged" | "duplicate" | "late" | "early";

/** refused: of another step or attempt than is open, or a slot of it is not in. */
export type CloseAnswer = "staged" | "already" | "refused";

export type CommitAnswer = "committed" | "already" | "refused";
