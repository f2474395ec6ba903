/**
 * One partition's part of a frame, as views into it: for some tables, keys and the values beside them. Nothing is
 * copied until the segment was checked and is staged.
 */
import { allFinite } from "../table/floats.ts";
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

/** Where each table's part of a segment lies: table i at `base + i`. */
export interface SegmentLayout {
  readonly counts: Uint32Array;
  readonly keysAt: Uint32Array;
  readonly valuesAt: Uint32Array;
}

const ABSENT = 0xffff_ffff;

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

/**
 * Checks that a segment lies within its arrays and notes where its tables are; keys and values are not looked at.
 *
 * @throws {RangeError} unknown or repeated table, or counts that reach beyond the arrays
 */
export function layOut(tables: TableSet, segment: Segment, layout: SegmentLayout, base: number): void {
  const { specs } = tables;
  const { tables: ids, counts, countsAt } = segment;
  checkCounts(segment);
  layout.counts.fill(ABSENT, base, base + specs.length);
  let keysAt = segment.keysAt;
  let valuesAt = segment.valuesAt;
  for (let t = 0; t < ids.length; t++) {
    const place = tables.placeOf(ids[t]!, t);
    const n = counts[countsAt + t]!;
    if (layout.counts[base + place] !== ABSENT) {
      throw new RangeError(`table ${ids[t]!} "${specs[place]!.name}" is twice in one segment`);
    }
    layout.counts[base + place] = n;
    layout.keysAt[base + place] = keysAt;
    layout.valuesAt[base + place] = valuesAt;
    keysAt += n;
    valuesAt += n * specs[place]!.dim;
  }
  for (let i = base; i < base + specs.length; i++) {
    if (layout.counts[i] === ABSENT) layout.counts[i] = 0;
  }
  checkReach({ of: "keys", end: 2 * keysAt, length: segment.keys.length });
  checkReach({ of: "values", end: valuesAt, length: segment.values.length });
}

/** @throws {RangeError} counts that reach beyond the arrays, or an unknown table */
export function floatsOf(tables: TableSet, segment: KeySegment): number {
  checkCounts(segment);
  let keys = segment.keysAt;
  let floats = 0;
  for (let t = 0; t < segment.tables.length; t++) {
    const n = segment.counts[segment.countsAt + t]!;
    keys += n;
    floats += n * tables.specs[tables.placeOf(segment.tables[t]!, t)]!.dim;
  }
  checkReach({ of: "keys", end: 2 * keys, length: segment.keys.length });
  return floats;
}

/**
 * Checks the keys and values of a segment that was laid out.
 *
 * @throws {RangeError} keys not strictly ascending within a table, or a value that is not finite
 */
export function checkContents(tables: TableSet, segment: Segment, layout: SegmentLayout, base: number): void {
  const { keys, values } = segment;
  const { specs } = tables;
  for (let i = 0; i < specs.length; i++) {
    const n = layout.counts[base + i]!;
    if (n === 0) continue;
    const spec = specs[i]!;
    const from = layout.keysAt[base + i]!;
    const bad = firstNotAscending(keys, from, from + n);
    if (bad >= 0) throw notAscending(spec, keys, from, bad);
    const at = layout.valuesAt[base + i]!;
    if (!allFinite(values, at, n * spec.dim)) throw notFinite(spec, segment, from, at);
  }
}

/** The pair that is not above the one before it, or -1. */
function firstNotAscending(keys: Uint32Array, from: number, to: number): number {
  let lastLo = keys[2 * from]!;
  let lastHi = keys[2 * from + 1]!;
  for (let k = from + 1; k < to; k++) {
    const lo = keys[2 * k]!;
    const hi = keys[2 * k + 1]!;
    if (hi < lastHi || (hi === lastHi && lo <= lastLo)) return k;
    lastLo = lo;
    lastHi = hi;
  }
  return -1;
}

function notAscending(spec: TableSpec, keys: Uint32Array, from: number, bad: number): RangeError {
  return new RangeError(
    `keys must ascend: keys[${bad - from}]=${keyAt(keys, bad)} after ${keyAt(keys, bad - 1)}, in table "${spec.name}"; sort them and sum the gradients of equal keys`,
  );
}

function notFinite(spec: TableSpec, { keys, values }: Segment, from: number, at: number): RangeError {
  const offset = values.subarray(at).findIndex((value) => !Number.isFinite(value));
  const key = keyAt(keys, from + Math.floor(offset / spec.dim));
  return new RangeError(
    `${values[at + offset]!} for key ${key} of table "${spec.name}", component ${offset % spec.dim}: values must be finite; lower the learning rate or clip gradients`,
  );
}

function keyAt(keys: Uint32Array, pair: number): bigint {
  return (BigInt(keys[2 * pair + 1]!) << 32n) | BigInt(keys[2 * pair]!);
}

function checkCounts({ tables, counts, countsAt }: KeySegment): void {
  checkReach({ of: "counts", end: countsAt + tables.length, length: counts.length });
}

function checkReach({ of, end, length }: { of: string; end: number; length: number }): void {
  if (end > length)
    throw new RangeError(`segment needs ${end} ${of} of a frame that has ${length}: its counts do not fit its arrays`);
}
