/**
 * One job's share of a PS node: its replicas here, and what waits for their next step.
 */
import { consistencyOf, type Consistency } from "@volary/core/consistency";
import { ClusterError, ProtocolError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import { Partition, type PartitionMap } from "@volary/core/partition";
import type { Sabotages } from "@volary/core/sabotage";
import type { TableMemory } from "@volary/core/table";
import type { ControlOf } from "@volary/core/wire";
import { COORDINATOR, type LinkId, type PsBounds, type PsCounters, type PsEffects } from "./effects.ts";
import { HeadRecords } from "./chain/head-records.ts";
import { extendedChain, Replica } from "./chain/replica.ts";
import { Replication } from "./chain/replication.ts";
import type { SegmentTargets } from "./frame-segments.ts";
import { isRefusal } from "./refusal.ts";
import { WaitingFrames } from "./waiting-frames.ts";

/** Messages of a step's leader. */
export type LeaderControl = ControlOf<"fence" | "start" | "close" | "commit">;

export interface JobShard extends SegmentTargets {
  readonly mode: Consistency;
  readonly replication: Replication;
  readonly records: HeadRecords;
  /** Replicas that are heads of their chains, ascending by partition. */
  heads: readonly Replica[];
  /** Highest promised term, and the link its leader speaks over. */
  term: number;
  leader: LinkId | undefined;
  /** Pulls of a step that is not there yet. */
  readonly parked: WaitingFrames;
  /** Pushes of an attempt whose start has not come yet. */
  readonly early: WaitingFrames;
  /** What waits for a newer partition map: it was made by one, or its partition is about to move. */
  readonly blocked: WaitingFrames;
  blockedControls: { link: LinkId; control: LeaderControl }[];
  /** Why its rows are not to be trusted any more: something failed while they were changed. */
  broken: ClusterError | undefined;
}

export interface ShardOptions {
  node: number;
  memory: TableMemory;
  sabotages: Sabotages;
  counters: PsCounters;
  bounds: Required<PsBounds>;
  /** How many partitions there are, and how many of them this node has. */
  places: () => { partitions: number; places: number };
  /** Calls back once all is handled that was read at once. */
  afterRead: (run: () => void) => void;
  out: PsEffects;
}

export function openShard(
  control: ControlOf<"open-job">,
  o: ShardOptions & { map: PartitionMap | undefined },
): JobShard {
  const { job, seed, tables } = control;
  const { node, out, sabotages } = o;
  const mode = consistencyOf(control.consistency);
  const dims = new Map(tables.map((t) => [t.id, t.dim]));
  const replication = new Replication({
    job,
    node,
    tables,
    dims,
    sabotages,
    counters: o.counters,
    bounds: o.bounds,
    open: (partition, { generation, isComplete }) => {
      const { partitions, places } = o.places();
      if (partition >= partitions) throw new ProtocolError(`partition ${partition} of ${partitions} is none`);
      const share = o.memory.shareOf(partition, { partitions, places });
      const rows = new Partition({ partition, partitions, seed, tables, mode, share, role: "replica", sabotages });
      return new Replica(rows, { node, generation, isComplete });
    },
    send: (to, frame) => out.push({ kind: "peer", node: to, frame }),
    answer: (link, frame) => out.push({ kind: "frame", link, frame }),
    afterRead: o.afterRead,
    tellCoordinator: (message) => out.push({ kind: "control", link: COORDINATOR, control: message }),
  });
  if (o.map) replication.openAll(o.map);
  const { replicas } = replication;
  return {
    job,
    tables,
    dims,
    mode,
    replication,
    records: new HeadRecords(replication, tables),
    replicas,
    heads: headsOf(replicas),
    term: 0,
    leader: undefined,
    parked: new WaitingFrames({ what: "pulls", framesMax: LIMITS.parkedPullsMax }),
    early: new WaitingFrames({ what: "pushes", framesMax: LIMITS.earlyFramesMax }),
    blocked: new WaitingFrames({ what: "requests", framesMax: LIMITS.parkedPullsMax }),
    blockedControls: [],
    broken: undefined,
  };
}

/** Takes over a newer partition map. */
export function adoptMap(shard: JobShard, map: PartitionMap): void {
  shard.replication.adopt(map);
  shard.heads = headsOf(shard.replicas);
  for (const { partition } of shard.heads) shard.term = Math.max(shard.term, partition.promised);
}

function headsOf(replicas: readonly (Replica | undefined)[]): Replica[] {
  return replicas.filter((replica) => replica?.isHead === true && replica.isComplete) as Replica[];
}

/** How many partitions a node has, or is about to have. */
export function partitionsOn(node: number, map: PartitionMap): number {
  return map.entries.reduce((n, entry) => n + (extendedChain(entry).includes(node) ? 1 : 0), 0);
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
    const code = cause instanceof ClusterError && !cause.retryable ? cause.code : "BAD_UPDATE";
    const message = `the rows of job ${shard.job} are lost: a change of them failed half-way (${reason}); start the job anew`;
    shard.broken = new ClusterError(code, message, { cause });
    throw isRefusal(cause) ? shard.broken : cause;
  }
}

/** The newest step that any of this node's partitions has committed, and whether all have. */
export function committedOf({ heads, job }: JobShard): { step: number; attempt: number; whole: boolean } {
  if (heads.length === 0)
    throw new ClusterError("PARTITION_UNAVAILABLE", `this node is the head of no partition of job ${job}`);
  let newest = heads[0]!.partition.committed;
  let whole = true;
  for (const { partition } of heads) {
    const { committed } = partition;
    if (committed.step !== newest.step) whole = false;
    if (committed.step > newest.step) newest = committed;
  }
  return { ...newest, whole };
}
