/**
 * The segments of one frame as a PS node takes them: which partition each is for, which are stale, and where the keys
 * and values of each lie. Laid out once per frame, in arrays that are kept from frame to frame: a step's frame has
 * thousands of (segment, table) pairs.
 *
 * Shapes: S segments, T tables of the frame.
 */
import { bytesOfValues, eachRun } from "@volary/core/compression";
import { LIMITS } from "@volary/core/limits";
import { ProtocolError } from "@volary/core/errors";
import type { Partition, Segment } from "@volary/core/partition";
import type { SegmentPlace } from "./chain/head-records.ts";
import type { Replica } from "./chain/replica.ts";
import type { Arena, TableSpec } from "@volary/core/table";
import type { Frame } from "@volary/core/wire";

/** Where segments may go. */
export interface SegmentTargets {
  readonly job: number;
  readonly tables: readonly TableSpec[];
  readonly dims: ReadonlyMap<number, number>;
  /** By partition number; undefined where this node has none. */
  readonly replicas: readonly (Replica | undefined)[];
}

/** Which replicas take a segment of a generation. */
export type Accepts = (replica: Replica, generation: number) => boolean;

const byHead: Accepts = (replica, generation) => replica.serves(generation);

const NO_KEYS = new Uint32Array(0);
const NO_VALUES = new Float32Array(0);

export class FrameSegments {
  /** How many of the segments are stale. */
  stale = 0;
  #frame: Frame | undefined;
  #keys: Uint32Array = NO_KEYS;
  #values: Float32Array = NO_VALUES;
  readonly #owners: (Replica | undefined)[] = [];
  /** Width of the tables' rows, and bytes of a row in the frame's dtype, shape [T]. */
  #dims = new Uint32Array(0);
  #rowBytes = new Uint32Array(0);
  /** Keys, floats and bytes before each segment, shape [S + 1]. */
  #keysAt = new Uint32Array(1);
  #floatsAt = new Uint32Array(1);
  #bytesAt = new Uint32Array(1);

  /**
   * Lays out a frame.
   *
   * @param accepts by default heads alone take segments, of the generations since they are
   * @throws {RangeError} a table that the job has not, or partitions that do not ascend
   * @throws {ProtocolError} more values than a frame may have
   */
  open(targets: SegmentTargets, f: Frame, accepts: Accepts = byHead): void {
    const S = f.partitions.length;
    this.#frame = f;
    this.#keys = f.keys;
    this.#values = f.values;
    this.#openTables(targets, f);
    if (this.#keysAt.length <= S) {
      this.#keysAt = new Uint32Array(2 * S + 1);
      this.#floatsAt = new Uint32Array(2 * S + 1);
      this.#bytesAt = new Uint32Array(2 * S + 1);
    }
    this.stale = 0;
    this.#owners.length = S;
    for (let s = 0; s < S; s++) {
      if (s > 0 && f.partitions[s]! <= f.partitions[s - 1]!)
        throw new RangeError(
          `partitions must ascend: ${f.partitions[s]} after ${f.partitions[s - 1]}; sort the segments`,
        );
      const replica = targets.replicas[f.partitions[s]!];
      const owner = replica && accepts(replica, f.generations[s]!) ? replica : undefined;
      this.#owners[s] = owner;
      if (!owner) this.stale++;
    }
    const overAt = placeSegments(f.counts, S, this.#dims, this.#rowBytes, this.#keysAt, this.#floatsAt, this.#bytesAt);
    if (overAt >= 0)
      throw new ProtocolError(
        `the keys of a ${f.opcode} frame of job ${targets.job} have more than ${LIMITS.valuesPerFrameMax} values, up to its segment ${overAt}`,
      );
  }

  /** The keys of the frame, where they were copied. */
  setKeys(keys: Uint32Array): void {
    this.#keys = keys;
  }

  /** The values of the frame as floats, where they came in another dtype or were copied. */
  setValues(values: Float32Array): void {
    this.#values = values;
  }

  get keys(): Uint32Array {
    return this.#keys;
  }

  get values(): Float32Array {
    return this.#values;
  }

  /** The memory of all partitions that segments are for; undefined where there are several, or none. */
  arena(): Arena | undefined {
    let arena: Arena | undefined;
    for (let s = 0; s < this.#owners.length; s++) {
      const owner = this.#owners[s]?.partition;
      if (!owner || owner.arena === arena) continue;
      if (arena) return undefined;
      arena = owner.arena;
    }
    return arena;
  }

  get count(): number {
    return this.#owners.length;
  }

  /** Floats of the rows of all keys, and their bytes in the frame's dtype. */
  get floats(): number {
    return this.#floatsAt[this.count]!;
  }

  get bytes(): number {
    return this.#bytesAt[this.count]!;
  }

  /** Floats before segment `s`. */
  floatsBefore(s: number): number {
    return this.#floatsAt[s]!;
  }

  /** Bytes of the rows of segments [from, to). */
  bytesOf(from: number, to: number): number {
    return this.#bytesAt[to]! - this.#bytesAt[from]!;
  }

  keysOf(s: number): number {
    return this.#keysAt[s + 1]! - this.#keysAt[s]!;
  }

  /** Undefined where the segment is stale. */
  ownerOf(s: number): Partition | undefined {
    return this.#owners[s]?.partition;
  }

  /** The replicas that take segments, in their order. */
  get replicas(): Replica[] {
    return this.#owners.filter((owner) => owner !== undefined);
  }

  /** Undefined where the segment is stale. */
  replicaOf(s: number): Replica | undefined {
    return this.#owners[s];
  }

  /** Where segment `s` lies in the keys and values of the frame. */
  placeOf(s: number, replica: Replica): SegmentPlace {
    const { tables, counts } = this.#frame!;
    return {
      replica,
      counts: counts.subarray(s * tables.length, (s + 1) * tables.length),
      keysAt: this.#keysAt[s]!,
      keys: this.keysOf(s),
      valuesAt: this.#floatsAt[s]!,
      values: this.#floatsAt[s + 1]! - this.#floatsAt[s]!,
    };
  }

  /** Notes how many rows each replica served. */
  countLoad(): void {
    for (let s = 0; s < this.#owners.length; s++) {
      const owner = this.#owners[s];
      if (owner) owner.load += this.keysOf(s);
    }
  }

  /** Segment `s`, as views of the frame. */
  at(s: number): Segment {
    const { tables, counts } = this.#frame!;
    return {
      tables,
      counts,
      countsAt: s * tables.length,
      keys: this.#keys,
      keysAt: this.#keysAt[s]!,
      values: this.#values,
      valuesAt: this.#floatsAt[s]!,
    };
  }

  /**
   * Calls `run` for rows of one width that lie one after another: `rows` rows of `dim` values, of the whole frame. A
   * frame whose tables have one width is one run.
   */
  eachRun(run: (rows: number, dim: number) => void): void {
    eachRun({ counts: this.#frame!.counts, dims: this.#dims }, run);
  }

  /** Lets the frame go. */
  close(): void {
    this.#frame = undefined;
    this.#keys = NO_KEYS;
    this.#values = NO_VALUES;
    this.#owners.length = 0;
  }

  #openTables({ job, tables, dims }: SegmentTargets, f: Frame): void {
    const T = f.tables.length;
    if (this.#dims.length !== T) {
      this.#dims = new Uint32Array(T);
      this.#rowBytes = new Uint32Array(T);
    }
    for (let t = 0; t < T; t++) {
      const dim = dims.get(f.tables[t]!);
      if (dim === undefined) {
        const known = tables.map(({ id, name }) => `${id} (${name})`).join(", ");
        throw new RangeError(`job ${job} has no table ${f.tables[t]!}; its tables are ${known}`);
      }
      this.#dims[t] = dim;
      this.#rowBytes[t] = bytesOfValues(f.dtype, { rows: 1, dim });
    }
  }
}

// -- the loop ------------------------------------------------------------------------------------------------

/** Adds up keys, floats and bytes before each segment; returns the segment with which there are too many, or -1. */
function placeSegments(
  counts: Uint32Array,
  S: number,
  dims: Uint32Array,
  rowBytes: Uint32Array,
  keysAt: Uint32Array,
  floatsAt: Uint32Array,
  bytesAt: Uint32Array,
): number {
  const T = dims.length;
  let keys = 0;
  let floats = 0;
  let bytes = 0;
  for (let s = 0; s < S; s++) {
    for (let t = 0; t < T; t++) {
      const n = counts[s * T + t]!;
      keys += n;
      floats += n * dims[t]!;
      bytes += n * rowBytes[t]!;
    }
    if (floats > LIMITS.valuesPerFrameMax) return s;
    keysAt[s + 1] = keys;
    floatsAt[s + 1] = floats;
    bytesAt[s + 1] = bytes;
  }
  return -1;
}
