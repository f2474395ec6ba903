/**
 * One job's share of a PS node: its partitions here, and what waits for their next step.
 */
import { consistencyOf, type Consistency } from "@volary/core/consistency";
import { ClusterError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import { Partition, type PartitionMap } from "@volary/core/partition";
import type { TableMemory } from "@volary/core/table";
import type { ControlOf } from "@volary/core/wire";
import type { SegmentTargets } from "./frame-segments.ts";
import { isRefusal } from "./refusal.ts";
import { WaitingFrames } from "./waiting-frames.ts";

export interface JobShard extends SegmentTargets {
  readonly mode: Consistency;
  /** Those of this node, ascending. */
  readonly owned: readonly Partition[];
  /** Highest promised term, and the link its leader speaks over. */
  term: number;
  leader: number | undefined;
  readonly parked: WaitingFrames;
  /** Pushes of an attempt whose start has not come yet. */
  readonly early: WaitingFrames;
  /** Why its rows are not to be trusted any more: something failed while they were changed. */
  broken: ClusterError | undefined;
}

export function openShard(
  control: ControlOf<"open-job">,
  { node, map, memory }: { node: number; map: PartitionMap; memory: TableMemory },
): JobShard {
  const { job, seed, tables } = control;
  const mode = consistencyOf(control.consistency);
  const numbers = map.entries.flatMap(({ chain }, partition) => (chain.includes(node) ? [partition] : []));
  const owned = numbers.map((partition, place) => {
    const share = memory.shareOf(partition, { place, places: numbers.length });
    return new Partition({
      partition,
      generation: map.entries[partition]!.generation,
      seed,
      tables,
      mode,
      share,
      partitions: map.entries.length,
    });
  });
  const partitions: (Partition | undefined)[] = map.entries.map(() => undefined);
  for (const partition of owned) partitions[partition.partition] = partition;
  return {
    job,
    tables,
    dims: new Map(tables.map((t) => [t.id, t.dim])),
    mode,
    partitions,
    owned,
    term: 0,
    leader: undefined,
    parked: new WaitingFrames({ what: "pulls", framesMax: LIMITS.parkedPullsMax }),
    early: new WaitingFrames({ what: "pushes", framesMax: LIMITS.earlyFramesMax }),
    broken: undefined,
  };
}

/**
 * Changes rows. What can be refused was checked before; so what fails here, a server update of the operator's for one,
 * has changed a part of them, and nothing of the job is served any more.
 */
export function wholly<T>(shard: JobShard, change: () => T): T {
  try {
    return change();
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    const code = cause instanceof ClusterError ? cause.code : "PARTITION_UNAVAILABLE";
    const message = `the rows of job ${shard.job} are lost: a change of them failed half-way (${reason}); start the job anew`;
    shard.broken = new ClusterError(code, message, { cause });
    throw isRefusal(cause) ? shard.broken : cause;
  }
}

export function disposeShard({ owned }: JobShard): void {
  for (const partition of owned) partition.dispose();
}

/** All partitions of a node stage and commit together, so any one tells the step. */
export function anyPartition(shard: JobShard): Partition {
  const [first] = shard.owned;
  if (first) return first;
  throw new ClusterError("PARTITION_UNAVAILABLE", `this node owns no partition of job ${shard.job}`);
}
