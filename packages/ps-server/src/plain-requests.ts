/**
 * What clients ask of rows outside of steps: pull, set, direct push and export. Each is answered once the tails of the
 * chains have it; what was read, once they have confirmed that this node was their head then.
 *
 * Segments whose generation is stale are refused one by one and answered with their new entries; the rest are served
 * (Li et al., OSDI 2014, §4).
 */
import { ClusterError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import { TRAINING_CLIENT, type DirectPush } from "@volary/core/partition";
import { END_OF_EXPORT, frame, type Frame } from "@volary/core/wire";
import { broughtIn } from "./brought-in.ts";
import { directPushOf } from "./chain/applied-records.ts";
import type { SegmentPlace } from "./chain/head-records.ts";
import type { Replica } from "./chain/replica.ts";
import type { LinkId, PsEffect, PsEffects } from "./effects.ts";
import type { Accepts } from "./frame-segments.ts";
import { wholly, type JobShard } from "./job-shard.ts";
import { staleEntries, type NodeContext } from "./node-context.ts";
import { answerPull, bytesOfParts, readParts } from "./pull-reply.ts";
import { openValues } from "./pushed-values.ts";
import type { ReplyBuffer } from "./reply-buffers.ts";
import { bytesOf } from "./waiting-frames.ts";

/** Any replica answers a pull that says so with what it has. */
const byAny: Accepts = ({ isMember, isComplete }) => isMember && isComplete;

export class PlainRequests {
  readonly #context: NodeContext;

  constructor(context: NodeContext) {
    this.#context = context;
  }

  /** Reads whatever is there now: at the head, unless the pull lets any replica answer. */
  pull(shard: JobShard, link: LinkId, f: Frame, out: PsEffects): void {
    const { segments, counters } = this.#context;
    const isOfAny = f.slots === 1;
    const deposed = this.#context.sabotages.has("serve-stale-generation");
    segments.open(shard, f, isOfAny ? byAny : deposed ? servesAnything : undefined);
    if (this.#isHeld(shard, link, f)) return;
    const { replicas } = segments;
    const { step, attempt } = oldestOf(replicas);
    const { requestId, job, term } = f;
    const reply = { opcode: "pullReply", requestId, job, step, attempt, term } as const;
    const isAtOnce = isOfAny || replicas.every(({ isFollowed }) => !isFollowed);
    const answer = { link, pull: f, reply };
    if (isAtOnce) answerPull(this.#context, answer, (part) => out.push(part));
    const parts = isAtOnce ? [] : readParts(this.#context, answer);
    counters.pulls++;
    counters.rowsPulled += f.keys.length / 2;
    segments.countLoad();
    if (isAtOnce) return;
    const asked = askedBy(f);
    shard.replication.afterReads(replicas, {
      bytes: bytesOfParts(parts),
      release: () => {
        for (const part of parts) out.push(part);
      },
      fail: () => {
        for (const { onSent } of parts) onSent?.();
        out.push(moved(link, asked));
      },
    });
  }

  set(shard: JobShard, link: LinkId, f: Frame, out: PsEffects): void {
    const { segments } = this.#context;
    this.#write(shard, link, f, out, {
      check: (replica, s) => replica.partition.check(segments.at(s)),
      apply: (replica, s) => {
        replica.partition.set(segments.at(s));
        return true;
      },
      pass: (places) => shard.records.set(f, segments, places),
      reply: "setReply",
    });
  }

  /** Applied at once, wholly or not at all. */
  pushDirect(shard: JobShard, link: LinkId, f: Frame, out: PsEffects): void {
    const { segments, counters } = this.#context;
    const push = directPushOf(f);
    checkPusher(push, shard);
    const rows = this.#write(shard, link, f, out, {
      check: ({ partition }, s) => {
        if (!partition.hasApplied(push)) partition.check(segments.at(s));
      },
      apply: ({ partition }, s) => partition.pushDirect(push, segments.at(s)) === "applied",
      pass: (places) => shard.records.pushed(f, segments, places),
      reply: "pushDirectReply",
    });
    if (rows === undefined) return;
    if (rows > 0) counters.directPushes++;
    else counters.repeatedPushes++;
    counters.rowsPushed += rows;
  }

  /** Checks all segments, applies them, and passes on what changed; returns the rows of those, or undefined if it waits. */
  #write(
    shard: JobShard,
    link: LinkId,
    f: Frame,
    out: PsEffects,
    write: {
      check: (replica: Replica, s: number) => void;
      apply: (replica: Replica, s: number) => boolean;
      pass: (places: readonly SegmentPlace[]) => void;
      reply: "setReply" | "pushDirectReply";
    },
  ): number | undefined {
    const { segments, buffers } = this.#context;
    const values = openValues(this.#context, shard, f);
    const places: SegmentPlace[] = [];
    let copy: ReplyBuffer | undefined;
    let rows = 0;
    try {
      if (this.#isHeld(shard, link, f)) return undefined;
      copy = broughtIn(segments, buffers);
      for (let s = 0; s < segments.count; s++) {
        const replica = segments.replicaOf(s);
        if (replica) write.check(replica, s);
      }
      for (let s = 0; s < segments.count; s++) {
        const replica = segments.replicaOf(s);
        if (!replica || !wholly(shard, () => write.apply(replica, s))) continue;
        rows += segments.keysOf(s);
        places.push(segments.placeOf(s, replica));
      }
      write.pass(places);
      segments.countLoad();
    } finally {
      if (copy) buffers.give(copy);
      if (values) buffers.give(values);
    }
    const { requestId, job } = f;
    const bytes = bytesOf(f);
    const reply = frame({ opcode: write.reply, requestId, job, ...staleEntries(this.#context, f) });
    const asked = askedBy(f);
    shard.replication.afterWrites(segments.replicas, {
      bytes,
      release: () => out.push({ kind: "frame", link, frame: reply }),
      fail: () => out.push(moved(link, asked)),
    });
    return rows;
  }

  export(shard: JobShard, link: LinkId, f: Frame, out: PsEffects): void {
    const number = f.partitions[0];
    const replica = number === undefined ? undefined : shard.replicas[number];
    const generation = f.generations[0];
    if (!replica || generation === undefined || !replica.serves(generation))
      throw new ClusterError(
        "STALE_GENERATION",
        `PS node ${this.#context.node} is not the head of partition ${number} in generation ${generation}; ask for the new map`,
      );
    if (replica.isHeld) {
      shard.blocked.keep({ link, frame: f });
      return;
    }
    const dim = shard.dims.get(f.table);
    if (dim === undefined) throw new RangeError(`job ${shard.job} has no table ${f.table}`);
    const rowsMax = Math.min(LIMITS.exportRowsMax, Math.max(1, Math.floor(LIMITS.exportFloatsMax / dim)));
    const { keys, weights, next } = replica.partition.export({ table: f.table, cursor: f.cursor, rowsMax });
    const reply = frame({
      opcode: "exportReply",
      requestId: f.requestId,
      job: f.job,
      table: f.table,
      cursor: next ?? END_OF_EXPORT,
      partitions: f.partitions.slice(),
      generations: f.generations.slice(),
      keys,
      values: weights,
    });
    const asked = askedBy(f);
    shard.replication.afterReads([replica], {
      bytes: bytesOf(reply),
      release: () => out.push({ kind: "frame", link, frame: reply }),
      fail: () => out.push(moved(link, asked)),
    });
  }

  /** Keeps a request for a partition that is about to have another head. */
  #isHeld(shard: JobShard, link: LinkId, f: Frame): boolean {
    if ((f.opcode === "pull" && f.slots === 1) || !this.#context.segments.replicas.some(({ isHeld }) => isHeld))
      return false;
    shard.blocked.keep({ link, frame: f });
    return true;
  }
}

/** Steps advance by batches of training alone, and in no job whose steps are committed. */
function checkPusher({ client, slots }: DirectPush, { job, mode }: JobShard): void {
  const isOfTraining = client === TRAINING_CLIENT;
  if (isOfTraining !== (slots !== 0))
    throw new RangeError(
      `client ${client} pushes with ${slots} batches a step: those of training are client ${TRAINING_CLIENT} with 1 or more, all others have none; draw a number from 1`,
    );
  if (isOfTraining && mode.gradients !== "at-once")
    throw new RangeError(`the gradients of job ${job} are applied step by step: push them to a step`);
}

const servesAnything: Accepts = ({ isComplete, isMember }) => isComplete && isMember;

function oldestOf(replicas: readonly Replica[]): { step: number; attempt: number } {
  let oldest = { step: 0, attempt: 0 };
  for (const [i, { partition }] of replicas.entries()) {
    if (i === 0 || partition.committed.step < oldest.step) oldest = partition.committed;
  }
  return oldest;
}

interface Asked {
  readonly job: number;
  readonly requestId: number;
  readonly partitions: Uint32Array;
}

/** What an answer that comes later tells of a request, whose frame is gone by then. */
function askedBy({ job, requestId, partitions }: Frame): Asked {
  return { job, requestId, partitions: partitions.slice(0, 5) };
}

/** What was asked is not known to have been done: another node is the head now. */
function moved(link: LinkId, { job, requestId, partitions }: Asked): PsEffect {
  const message = `partitions ${partitions.join(", ")} moved while they were asked for; ask their new heads`;
  return { kind: "control", link, control: { type: "error", code: "STALE_GENERATION", message, job, requestId } };
}
