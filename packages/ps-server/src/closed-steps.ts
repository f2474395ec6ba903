/**
 * Steps that close by their leader's word, not when all slots are in: it names the slots that count, and what others sent
 * is dropped (Chen et al., "Revisiting Distributed Synchronous SGD", arXiv:1604.00981).
 */
import type { Consistency } from "@volary/core/consistency";
import type { ControlOf } from "@volary/core/wire";
import type { Replica } from "./chain/replica.ts";
import type { PsCounters } from "./effects.ts";
import type { JobShard } from "./job-shard.ts";

/** Do slots that are in never close a step by themselves? */
export function isClosedByLeader(mode: Consistency): boolean {
  return mode.gradients === "at-commit" && !mode.closesStep({ slotsIn: 1, slots: 1 });
}

/** Slots of the open step that every partition has. */
export function slotsIn(heads: readonly Replica[]): number[] {
  const first = heads[0]?.partition;
  if (first?.attempt === undefined) return [];
  const at = { step: first.committed.step + 1, attempt: first.attempt };
  const all = Array.from({ length: first.slots }, (_, slot) => slot);
  return all.filter((slot) => heads.every(({ partition }) => partition.hasSlot({ ...at, slot })));
}

/**
 * Closes a step in all partitions of the node that are heads, or in none. One that is closed already stays as it is.
 *
 * @returns false where it is refused: of another step or attempt, or with slots that are not in
 * @throws {RangeError | ClusterError} as `Partition.close`; the step is open everywhere then, with the slots it names
 */
export function closeStep(shard: JobShard, control: ControlOf<"close">, counters: PsCounters): boolean {
  const { heads, mode, records } = shard;
  const { step, attempt, slots } = control;
  const hasAll = ({ partition }: Replica) =>
    partition.committed.step === step - 1 &&
    partition.attempt === attempt &&
    slots.every((slot) => partition.hasSlot({ step, attempt, slot }));
  if (!isClosedByLeader(mode) || !heads.every(hasAll)) return false;
  const open = heads.filter(({ partition }) => !partition.staged);
  if (open.length === 0) return true;
  const late = slotsIn(heads).filter((slot) => !slots.includes(slot));
  let closed = 0;
  try {
    for (; closed < open.length; closed++) open[closed]!.partition.close(control);
  } catch (error) {
    for (const { partition } of open.slice(0, closed)) partition.reopen();
    throw error;
  }
  counters.latePushes += late.length;
  records.staged(open, { step, attempt, slots: open[0]!.partition.slots });
  return true;
}
