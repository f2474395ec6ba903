/** What the parts of a PS node share. */
import type { PartitionMap } from "@volary/core/partition";
import type { Sabotages } from "@volary/core/sabotage";
import type { TableMemory } from "@volary/core/table";
import type { Frame } from "@volary/core/wire";
import type { PsBounds, PsCounters } from "./effects.ts";
import type { FrameSegments } from "./frame-segments.ts";
import type { ReplyBuffers } from "./reply-buffers.ts";

export interface NodeContext {
  readonly node: number;
  readonly memory: TableMemory;
  readonly sabotages: Sabotages;
  readonly bounds: Required<PsBounds>;
  readonly counters: PsCounters;
  readonly buffers: ReplyBuffers;
  /** Of the frame that is being handled. */
  readonly segments: FrameSegments;
  /** The newest partition map. */
  map: PartitionMap | undefined;
}

/** The new entries of a frame's stale segments: partition, generation and, as `counts`, the head. */
export function staleEntries({ segments, counters, map }: NodeContext, f: Frame): Partial<Frame> {
  if (segments.stale === 0) return {};
  counters.staleSegments += segments.stale;
  const partitions = f.partitions.filter((_, s) => segments.ownerOf(s) === undefined);
  const entry = (p: number) => map?.entries[p];
  return {
    tables: new Uint32Array(1),
    partitions,
    generations: partitions.map((p) => entry(p)?.generation ?? 0),
    counts: partitions.map((p) => entry(p)?.chain[0] ?? 0),
  };
}
