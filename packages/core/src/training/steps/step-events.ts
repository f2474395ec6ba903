/** What a {@link StepTransaction} is told, and what it wants done. */
import type { DenseSum } from "../dense/dense-exchange.ts";
import type { Attempt } from "../job/attempt.ts";

export type { Attempt };

/** From the leader: run `step` as `attempt` over `members`. */
export interface StartEvent extends Attempt {
  kind: "start";
  members: readonly number[];
  /** The members of the step before, by rank, as far as they are still there; the others are {@link LOST}. */
  owners: readonly number[];
}

/** The number of no worker. */
export const LOST = 0;

/** From the leader of the term `attempt`: the dense state after `step`. */
export interface DenseStateEvent extends Attempt {
  kind: "dense-state";
}

/** The coordinator named a new term: its members in rank order, and the heads of the partition map that it goes by. */
export interface TermEvent {
  kind: "term";
  term: number;
  members: readonly number[];
  nodes: readonly number[];
}

/** A node has fenced. */
export interface PromiseEvent {
  kind: "promise";
  node: number;
  term: number;
  /** The newest step that any of its partitions has committed. */
  committed: Attempt;
  /** Have all of them? */
  whole: boolean;
}

/** Names the dense weights before a step and what its exchange gave: each worker must have the same bits of both. */
export interface HeldState extends Attempt {
  hash: string;
}

export type StepEvent =
  | TermEvent
  | PromiseEvent
  | StartEvent
  /** A node answered the pull for `step`, naming the step it last committed. */
  | { kind: "pulled"; node: number; step: number; committed: Attempt }
  | ({ kind: "computed" } & Attempt)
  /** This worker holds the dense result. */
  | ({ kind: "reduced" } & HeldState)
  | ({ kind: "staged"; node: number } & Attempt)
  | ({ kind: "held"; rank: number } & HeldState)
  | ({ kind: "committed"; node: number } & Attempt)
  /** The coordinator leases all steps below `to` to this term. */
  | { kind: "lease"; term: number; to: number }
  /** The coordinator leases no more steps to this term: training ends after those that are pushed. */
  | { kind: "no-lease"; term: number }
  | DenseStateEvent
  /** Nothing was heard for a while, or the link to a node came back: repeat what it has not answered. */
  | { kind: "resend"; node?: number };

/** To a PS node. */
export type NodeMessage =
  | { kind: "send-fence"; node: number; term: number }
  | ({ kind: "send-start-to-node"; node: number; members: readonly number[] } & Attempt)
  | ({ kind: "send-commit"; node: number; term: number } & Attempt);

export type StepEffect =
  | NodeMessage
  | ({ kind: "send-start-to-worker"; worker: number } & Omit<StartEvent, "kind">)
  | ({ kind: "send-held"; worker: number; rank: number } & HeldState)
  /** Give `worker`, which has no dense state, the state after `step`, for the start of `attempt`. */
  | ({ kind: "send-dense-state"; worker: number } & Attempt)
  /** Take over the dense state after `step` that the leader sent. */
  | { kind: "restore"; step: number }
  /** Load this slot's samples of `step` and send its pulls; the answers come as `pulled`. */
  | ({ kind: "prepare"; rank: number; slots: number } & Attempt)
  | ({ kind: "repeat-pull"; node: number } & Attempt)
  | ({ kind: "repeat-push"; node: number } & Attempt)
  | ({ kind: "compute" } & Attempt)
  /** Push the row gradients to every node. */
  | ({ kind: "push" } & Attempt)
  | ({ kind: "reduce" } & DenseSum)
  /** Apply the dense result held for `step`: it is committed. */
  | ({ kind: "apply" } & Attempt)
  /** Forget gradients and dense result of an attempt that will never be committed. */
  | ({ kind: "drop" } & Attempt)
  /** Stop sending for the old attempt, but keep what is held. */
  | { kind: "suspend" }
  | { kind: "request-lease"; term: number }
  /** `step` is known committed; the leader tells the coordinator. */
  | ({ kind: "report-commit" } & Attempt)
  | { kind: "finished"; step: number }
  /** The job cannot go on: nobody left has the dense state, or workers have different ones. */
  | { kind: "fail"; code: "NO_WORKERS" | "WEIGHTS_DIFFER"; message: string };
