/**
 * One entry in the log of a partition, as it travels along the chain of its replicas (van Renesse and Schneider, OSDI
 * 2004). Replicas are told sums of whole steps, not the pushes they were summed from (Li et al., OSDI 2014, §4.4).
 *
 * Records of many partitions that were made together travel in one frame, a segment each.
 */
import { assert } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import { frame, type Frame, type RecordOpcode } from "@volary/core/wire";
import type { RecordLease } from "./record-memory.ts";

/** What the segments of one frame have in common; one object for all records that may share a frame. */
export interface RecordHead {
  readonly opcode: RecordOpcode;
  readonly fields: Partial<Pick<Frame, "step" | "attempt" | "term" | "slots" | "cursor" | "table">>;
  /** Shape [T]. */
  readonly tables: Uint32Array;
}

/** Its arrays are kept until it is acknowledged, and change no more. */
export interface RecordBody {
  readonly head: RecordHead;
  /** Keys of each table, shape [T]. */
  readonly counts: Uint32Array;
  /** Pairs of words. */
  readonly keys: Uint32Array;
  readonly values: Float32Array;
  /** What keys and values are in, where it is used again. */
  readonly lease?: RecordLease;
}

export interface ChainRecord extends RecordBody {
  readonly sequence: number;
}

const NO_WORDS = new Uint32Array(0);
const NO_VALUES = new Float32Array(0);

/** A record without keys. */
export function plainRecord(head: Omit<RecordHead, "tables">): RecordBody {
  return { head: { ...head, tables: NO_WORDS }, counts: NO_WORDS, keys: NO_WORDS, values: NO_VALUES };
}

export const CHECK_RECORD: RecordBody = plainRecord({ opcode: "checkRecord", fields: {} });

/** A record and where it belongs. */
export interface AddressedRecord {
  readonly partition: number;
  readonly generation: number;
  readonly record: ChainRecord;
}

/** Frames of records, in their order; neighbours that share a head share a frame, each partition once. */
export function recordFrames(job: number, records: readonly AddressedRecord[]): Frame[] {
  const frames: Frame[] = [];
  let group: AddressedRecord[] = [];
  let words = 0;
  const seen = new Set<number>();
  for (const each of records) {
    const { head, keys, values } = each.record;
    const more = keys.length + values.length;
    const isOther = group.length > 0 && group[0]!.record.head !== head;
    if (isOther || seen.has(each.partition) || (words > 0 && words + more > LIMITS.chainFrameWords)) {
      frames.push(frameOf(job, group));
      group = [];
      words = 0;
      seen.clear();
    }
    group.push(each);
    words += more;
    seen.add(each.partition);
  }
  if (group.length > 0) frames.push(frameOf(job, group));
  return frames;
}

function frameOf(job: number, group: readonly AddressedRecord[]): Frame {
  const { opcode, fields, tables } = group[0]!.record.head;
  return frame({
    opcode,
    job,
    ...fields,
    tables,
    partitions: Uint32Array.from(group, ({ partition }) => partition),
    generations: Uint32Array.from(group, ({ generation }) => generation),
    sequences: Uint32Array.from(group, ({ record }) => record.sequence),
    counts: joinedWords(group.map(({ record }) => record.counts)),
    keys: joinedWords(group.map(({ record }) => record.keys)),
    values: joinedFloats(group.map(({ record }) => record.values)),
  });
}

/** The parts one after another, without a copy where they lie so already. */
export function joinedWords(parts: readonly Uint32Array[]): Uint32Array {
  if (parts.length === 1) return parts[0]!;
  const { length, isOne } = layoutOf(parts);
  if (isOne) return new Uint32Array(parts[0]!.buffer, parts[0]!.byteOffset, length);
  const joined = new Uint32Array(length);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function joinedFloats(parts: readonly Float32Array[]): Float32Array {
  if (parts.length === 1) return parts[0]!;
  const { length, isOne } = layoutOf(parts);
  if (isOne) return new Float32Array(parts[0]!.buffer, parts[0]!.byteOffset, length);
  const joined = new Float32Array(length);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function layoutOf(parts: readonly (Uint32Array | Float32Array)[]): { length: number; isOne: boolean } {
  assert(parts.length > 0, "a frame has a record");
  const { buffer, byteOffset } = parts[0]!;
  let isOne = true;
  let length = 0;
  for (const part of parts) {
    if (part.buffer !== buffer || part.byteOffset !== byteOffset + 4 * length) isOne = false;
    length += part.length;
  }
  return { length, isOne };
}
