/** Segments for tests: views that begin in the middle of larger arrays, as those of a frame do. */
import { expect } from "vitest";
import type { Partition } from "./partition.ts";
import type { KeySegment, Segment } from "./segment.ts";

/** Keys and their values, key by key, of one table. */
export interface TablePart {
  readonly table: number;
  readonly keys: readonly (bigint | number)[];
  readonly values: readonly number[];
}

export function segmentOf(...parts: readonly TablePart[]): Segment {
  const keys = parts.flatMap((part) => part.keys.map(BigInt));
  return {
    tables: Uint32Array.from(parts, ({ table }) => table),
    counts: Uint32Array.from([99, ...parts.map((part) => part.keys.length)]),
    countsAt: 1,
    keys: Uint32Array.from([1, 1, 1, 1, ...keys.flatMap((key) => [Number(key & 0xffffffffn), Number(key >> 32n)])]),
    keysAt: 2,
    values: Float32Array.from([NaN, NaN, NaN, ...parts.flatMap(({ values }) => values)]),
    valuesAt: 3,
  };
}

/** Keys as little-endian pairs of words. */
export function pairsOf(keys: readonly (bigint | number)[]): Uint32Array {
  return Uint32Array.from(keys.map(BigInt).flatMap((key) => [Number(key & 0xffffffffn), Number(key >> 32n)]));
}

/** Pairs of words as keys. */
export function keysOf(pairs: Uint32Array): bigint[] {
  return Array.from({ length: pairs.length / 2 }, (_, i) => (BigInt(pairs[2 * i + 1]!) << 32n) | BigInt(pairs[2 * i]!));
}

/** The weights that a read of a partition gives. */
export function weightsOf(partition: Partition, segment: KeySegment): Float32Array {
  const { arena } = partition;
  const bytes = partition.readBytes(segment, "float32");
  const at = arena.allocate(bytes);
  try {
    expect(partition.read(segment, { at, dtype: "float32" })).toBe(bytes);
    return arena.floats.slice(at / 4, (at + bytes) / 4);
  } finally {
    arena.free(at, bytes);
  }
}
