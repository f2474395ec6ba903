/**
 * The step transaction's messages as they travel. Those to and from PS nodes name the heads of the partition map that a
 * term goes by: a node speaks for the partitions that it is the head of in that map, so what it says by another one does not count.
 */
import type { Control, ControlOf } from "../../wire/index.ts";
import type { Attempt, HeldState, NodeMessage, StepEvent } from "./step-events.ts";

/** What names the map of a term. */
export interface TermOfJob {
  job: number;
  /** Of the term's partition map. */
  heads: number;
}

export function controlOf(message: NodeMessage, { job, heads }: TermOfJob): Control {
  switch (message.kind) {
    case "send-fence":
      return { type: "fence", job, term: message.term, heads };
    case "send-start-to-node":
      return startOf(message, { job, heads });
    case "send-commit": {
      const { step, attempt, term } = message;
      return { type: "commit", job, step, attempt, term, heads };
    }
    default:
      return message satisfies never;
  }
}

/** The start of an attempt, as nodes are told, and workers, who need to know the owners. */
export function startOf(
  { step, attempt, members, owners }: Attempt & { members: readonly number[]; owners?: readonly number[] },
  { job, heads }: TermOfJob,
): ControlOf<"start"> {
  const start = { step, attempt, term: attempt, heads, slots: members.length, members: [...members] };
  return { type: "start", job, ...start, ...(owners ? { owners: [...owners] } : {}) };
}

/** A rank holds the dense result of an attempt. */
export function heldOf({ step, attempt, rank, hash }: HeldState & { rank: number }, job: number): ControlOf<"held"> {
  return { type: "held", job, step, attempt, rank, hash };
}

/** What a node's answer means for the step under way, or undefined where it is by another map. */
export function eventOf(
  node: number,
  answer: ControlOf<"promise" | "staged" | "committed">,
  { heads }: TermOfJob,
): StepEvent | undefined {
  if (answer.heads !== heads) return undefined;
  if (answer.type === "promise") {
    const { term, committed, whole } = answer;
    return { kind: "promise", node, term, committed, whole };
  }
  return { kind: answer.type, node, step: answer.step, attempt: answer.attempt };
}
