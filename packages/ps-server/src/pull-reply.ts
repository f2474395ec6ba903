/**
 * The answer to a pull: parts of whole segments, each in one memory; segments that are stale are named in the last one.
 */
import { frame, type Frame } from "@volary/core/wire";
import type { LinkId, PsEffect } from "./effects.ts";
import { staleEntries, type NodeContext } from "./node-context.ts";
import { valuesIn } from "./reply-buffers.ts";
import { bytesOf } from "./waiting-frames.ts";

export type ReplyPart = Extract<PsEffect, { kind: "frame" }>;

export interface PullToAnswer {
  readonly link: LinkId;
  readonly pull: Frame;
  readonly reply: Partial<Frame> & { opcode: "pullReply" };
}

/**
 * @param emit takes each part as soon as it is read
 * @throws {ClusterError} LIMIT_EXCEEDED: no memory for the answer; PARTITION_UNAVAILABLE: rows cannot be read from disk
 */
export function answerPull(context: NodeContext, o: PullToAnswer, emit: (part: ReplyPart) => void): void {
  const { segments, buffers } = context;
  const { link, pull, reply } = o;
  const S = segments.count;
  let served = 0;
  for (let from = 0, to = 0; from < S; from = to) {
    to = partEnd(context, from);
    const owner = segments.ownerOf(from);
    if (!owner) continue;
    served += to - from;
    const partial = segments.stale > 0 || to < S;
    const bytes = segments.bytesOf(from, to);
    const buffer = buffers.take(owner.arena, bytes);
    try {
      let at = buffer.valuesAt;
      for (let s = from; s < to; s++) at += segments.ownerOf(s)!.read(segments.at(s), { at, dtype: pull.dtype });
    } catch (error) {
      buffers.give(buffer);
      throw error;
    }
    const part = { ...reply, partial, cursor: segments.floatsBefore(from) };
    emit({
      kind: "frame",
      link,
      frame: frame({ ...part, ...valuesIn(buffer, { bytes, dtype: pull.dtype }) }),
      onSent: () => buffers.give(buffer),
    });
  }
  if (served < S || S === 0) {
    const last = { ...reply, dtype: pull.dtype, cursor: segments.floats };
    emit({ kind: "frame", link, frame: frame({ ...last, ...staleEntries(context, pull) }) });
  }
}

/**
 * The parts of an answer that is to wait, in memory of their own: buffers are few and large.
 *
 * @throws as {@link answerPull}
 */
export function readParts(context: NodeContext, o: PullToAnswer): ReplyPart[] {
  const parts: ReplyPart[] = [];
  answerPull(context, o, ({ frame: part, onSent, ...effect }) => {
    const own = { values: part.values.slice(), coded: part.coded.slice(), headRoom: 0 };
    parts.push({ ...effect, frame: { ...part, ...own } });
    onSent?.();
  });
  return parts;
}

/** Of values. */
export function bytesOfParts(parts: readonly ReplyPart[]): number {
  return parts.reduce((sum, part) => sum + bytesOf(part.frame), 0);
}

/** The end of the part that begins with segment `from`. */
function partEnd({ segments, bounds }: NodeContext, from: number): number {
  const arena = segments.ownerOf(from)?.arena;
  let to = from + 1;
  if (!arena) return to;
  while (
    to < segments.count &&
    segments.ownerOf(to)?.arena === arena &&
    segments.bytesOf(from, to + 1) <= bounds.replyPartBytes
  )
    to++;
  return to;
}
