/**
 * One partition's part of a frame, as views into it: for some tables, keys and the values beside them. The views are
 * borrowed: who keeps a segment copies it.
 */
import type { Arena } from "../table/arena.ts";
import { copyFloats } from "../table/floats.ts";
import type { TableSpec } from "../table/table-spec.ts";

/** Keys per table: `counts[countsAt + t]` keys of table `tables[t]`, one after another from pair `keysAt` on. */
export interface KeySegment {
  readonly tables: Uint32Array;
  readonly counts: Uint32Array;
  readonly countsAt: number;
  /** Little-endian u32 pairs, ascending within a table. */
  readonly keys: Uint32Array;
  readonly keysAt: number;
}

/** The same with `dim` floats per key, in key order, from `valuesAt` on. */
export interface Segment extends KeySegment {
  readonly values: Float32Array;
  readonly valuesAt: number;
}

/** Where a segment of all tables of a job is written, in their order. */
export type SegmentTarget = Omit<Segment, "tables">;

/** How much there is of a segment, in all its tables. */
export interface SegmentSize {
  readonly pairs: number;
  readonly floats: number;
}

/** Where a segment lies in an arena: addresses of its first key and its first value. */
export interface SegmentPlace {
  readonly keys: number;
  readonly values: number;
}

/** Keys of each table of a job, and what belongs to them, in an arena. Shape of all: [tables], in the job's order. */
export interface KeyRuns {
  readonly counts: Uint32Array;
  /** Addresses of the keys, and of float32 [count, dim]. */
  readonly keys: Uint32Array;
  readonly values: Uint32Array;
}

const ABSENT = 0xffff_ffff;
/** Beyond this many keys a native copy is faster than a loop. */
const KEYS_LOOP_MAX = 64;

/** The tables of a job by number and by place. */
export class TableSet {
  readonly specs: readonly TableSpec[];
  readonly #places: ReadonlyMap<number, number>;

  /** @throws {RangeError} two tables of one id */
  constructor(specs: readonly TableSpec[]) {
    const places = new Map<number, number>();
    for (const [place, { id, name }] of specs.entries()) {
      const other = specs[places.get(id) ?? -1];
      if (other)
        throw new RangeError(`tables "${other.name}" and "${name}" have the same id ${id}: ids are unique in a job`);
      places.set(id, place);
    }
    this.specs = specs;
    this.#places = places;
  }

  /** The place of the table with this id; `guess` is where it usually is. */
  placeOf(id: number, guess: number): number {
    if (this.specs[guess]?.id === id) return guess;
    const place = this.#places.get(id);
    if (place !== undefined) return place;
    const known = this.specs.map((spec) => `${spec.id} "${spec.name}"`).join(", ");
    throw new RangeError(`no table ${id}: this job has ${known || "none"}`);
  }
}

/** Runs of no keys. */
export function newRuns(tables: TableSet): KeyRuns {
  const T = tables.specs.length;
  return { counts: new Uint32Array(T), keys: new Uint32Array(T), values: new Uint32Array(T) };
}

/**
 * Checks that a segment lies within its arrays; keys and values are not looked at.
 *
 * @throws {RangeError} unknown table, or counts that reach beyond the arrays
 */
export function sizeOf(tables: TableSet, segment: Segment): SegmentSize {
  const { specs } = tables;
  const { tables: ids, counts, countsAt } = segment;
  checkCounts(segment);
  let pairs = 0;
  let floats = 0;
  for (let t = 0; t < ids.length; t++) {
    const n = counts[countsAt + t]!;
    pairs += n;
    floats += n * specs[tables.placeOf(ids[t]!, t)]!.dim;
  }
  checkReach({ of: "keys", end: 2 * (segment.keysAt + pairs), length: segment.keys.length });
  checkReach({ of: "values", end: segment.valuesAt + floats, length: segment.values.length });
  return { pairs, floats };
}

/**
 * Notes where each table's part of a segment is that lies at `place`.
 *
 * @throws {RangeError} a repeated table
 */
export function layOut(tables: TableSet, segment: Segment, place: SegmentPlace, runs: KeyRuns): void {
  const { specs } = tables;
  const { tables: ids, counts, countsAt } = segment;
  runs.counts.fill(ABSENT);
  let { keys, values } = place;
  for (let t = 0; t < ids.length; t++) {
    const i = tables.placeOf(ids[t]!, t);
    const n = counts[countsAt + t]!;
    if (runs.counts[i] !== ABSENT) {
      throw new RangeError(`table ${ids[t]!} "${specs[i]!.name}" is twice in one segment`);
    }
    runs.counts[i] = n;
    runs.keys[i] = keys;
    runs.values[i] = values;
    keys += 8 * n;
    values += 4 * n * specs[i]!.dim;
  }
  if (ids.length === specs.length) return;
  for (let i = 0; i < specs.length; i++) if (runs.counts[i] === ABSENT) runs.counts[i] = 0;
}

/** How much there is of runs. */
export function sizeOfRuns({ specs }: TableSet, { counts }: KeyRuns): SegmentSize {
  let pairs = 0;
  let floats = 0;
  for (let i = 0; i < specs.length; i++) {
    pairs += counts[i]!;
    floats += counts[i]! * specs[i]!.dim;
  }
  return { pairs, floats };
}

/** Copies runs out of an arena, one after the other. */
export function writeRuns({ specs }: TableSet, runs: KeyRuns, arena: Arena, into: SegmentTarget): void {
  let pair = into.keysAt;
  let at = into.valuesAt;
  for (let i = 0; i < specs.length; i++) {
    const n = runs.counts[i]!;
    const floats = n * specs[i]!.dim;
    into.counts[into.countsAt + i] = n;
    if (n === 0) continue;
    const key = runs.keys[i]! / 4;
    into.keys.set(arena.words.subarray(key, key + 2 * n), 2 * pair);
    copyFloats(into.values, at, arena.floats, runs.values[i]! / 4, floats);
    pair += n;
    at += floats;
  }
}

/**
 * How many keys a segment has.
 *
 * @throws {RangeError} counts that reach beyond the arrays
 */
export function keyCount(segment: KeySegment): number {
  checkCounts(segment);
  const { tables, counts, countsAt } = segment;
  let pairs = 0;
  for (let t = 0; t < tables.length; t++) pairs += counts[countsAt + t]!;
  checkReach({ of: "keys", end: 2 * (segment.keysAt + pairs), length: segment.keys.length });
  return pairs;
}

/**
 * Checks keys and values.
 *
 * @throws {RangeError} keys not strictly ascending within a table, or a value that is not finite
 */
export function checkRuns({ specs }: TableSet, runs: KeyRuns, arena: Arena): void {
  const { kernels } = arena;
  for (let i = 0; i < specs.length; i++) {
    const n = runs.counts[i]!;
    if (n === 0) continue;
    const keys = runs.keys[i]!;
    const values = runs.values[i]!;
    const bad = kernels.firstNotAscending(keys, n);
    if (bad >= 0) throw notAscending(specs[i]!, arena, keys, bad);
    if (kernels.allFinite(values, n * specs[i]!.dim) === 0) throw notFinite(specs[i]!, arena, { keys, values });
  }
}

/** Address of the keys of a segment, if they lie in the arena. */
export function keysInArena(arena: Arena, { keys, keysAt }: KeySegment): number | undefined {
  return keys.buffer === arena.words.buffer ? keys.byteOffset + 8 * keysAt : undefined;
}

/** Where a segment lies, if all of it lies in the arena. */
export function placeInArena(arena: Arena, segment: Segment): SegmentPlace | undefined {
  const keys = keysInArena(arena, segment);
  if (keys === undefined || segment.values.buffer !== arena.floats.buffer) return undefined;
  return { keys, values: segment.values.byteOffset + 4 * segment.valuesAt };
}

/** Copies `n` keys of a segment to an address. */
export function copyKeys(arena: Arena, { keys, keysAt }: KeySegment, n: number, to: number): void {
  const { words } = arena;
  if (n > KEYS_LOOP_MAX) {
    words.set(keys.subarray(2 * keysAt, 2 * (keysAt + n)), to / 4);
    return;
  }
  for (let i = 0; i < 2 * n; i++) words[to / 4 + i] = keys[2 * keysAt + i]!;
}

/** Copies a segment to an address: its keys, then its values. */
export function copySegment(arena: Arena, segment: Segment, { pairs, floats }: SegmentSize, to: number): SegmentPlace {
  const place = { keys: to, values: to + 8 * pairs };
  copyKeys(arena, segment, pairs, to);
  copyFloats(arena.floats, place.values / 4, segment.values, segment.valuesAt, floats);
  return place;
}

/** Bytes of a segment as {@link copySegment} lays it. */
export function segmentBytes({ pairs, floats }: SegmentSize): number {
  return 8 * pairs + 4 * floats;
}

function notAscending(spec: TableSpec, arena: Arena, keys: number, bad: number): RangeError {
  const [key, before] = [keyAt(arena, keys, bad), keyAt(arena, keys, bad - 1)];
  return new RangeError(
    `keys must ascend: keys[${bad}]=${key} after ${before}, in table "${spec.name}"; sort them and sum the gradients of equal keys`,
  );
}

function notFinite(spec: TableSpec, arena: Arena, { keys, values }: SegmentPlace): RangeError {
  let offset = 0;
  while (Number.isFinite(arena.floats[values / 4 + offset])) offset++;
  const key = keyAt(arena, keys, Math.floor(offset / spec.dim));
  return new RangeError(
    `${arena.floats[values / 4 + offset]!} for key ${key} of table "${spec.name}", component ${offset % spec.dim}: values must be finite; lower the learning rate or clip gradients`,
  );
}

function keyAt({ words }: Arena, keys: number, pair: number): bigint {
  return (BigInt(words[keys / 4 + 2 * pair + 1]!) << 32n) | BigInt(words[keys / 4 + 2 * pair]!);
}

function checkCounts({ tables, counts, countsAt }: KeySegment): void {
  checkReach({ of: "counts", end: countsAt + tables.length, length: counts.length });
}

function checkReach({ of, end, length }: { of: string; end: number; length: number }): void {
  if (end > length)
    throw new RangeError(`segment needs ${end} ${of} of a frame that has ${length}: its counts do not fit its arrays`);
}
