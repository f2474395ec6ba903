/** What a pull reads of a partition: weights of keys, in their order. */
import type { Arena } from "../table/arena.ts";
import { valueBytes, type RowDtype } from "../table/row-layout.ts";
import type { Rows } from "../table/rows.ts";
import { copyKeys, keyCount, keysInArena, type KeySegment, type TableSet } from "./segment.ts";

/** Where weights are written in an arena, and as what. */
export interface ReadTarget {
  /** Address, a multiple of 4, or of 2 for bfloat16. */
  readonly at: number;
  readonly dtype: RowDtype;
}

/** How many bytes {@link readRows} writes. */
export function bytesToRead(tables: TableSet, segment: KeySegment, dtype: RowDtype): number {
  keyCount(segment);
  let bytes = 0;
  for (let t = 0; t < segment.tables.length; t++) {
    const { dim } = tables.specs[tables.placeOf(segment.tables[t]!, t)]!;
    bytes += segment.counts[segment.countsAt + t]! * valueBytes(dtype, dim);
  }
  return bytes;
}

/** Writes the weights of the keys, and says how many bytes that were. */
export function readRows(
  { tables: set, rows: all, arena }: { tables: TableSet; rows: readonly Rows[]; arena: Arena },
  segment: KeySegment,
  { at: out, dtype }: ReadTarget,
): number {
  const n = keyCount(segment);
  let keys = keysInArena(arena, segment);
  if (keys === undefined) copyKeys(arena, segment, n, (keys = arena.scratch(8 * n)));
  const { tables, counts, countsAt } = segment;
  let at = out;
  for (let t = 0; t < tables.length; t++) {
    const count = counts[countsAt + t]!;
    const rows = all[set.placeOf(tables[t]!, t)]!;
    if (count === 0) continue;
    rows.read(keys, count, { at, dtype });
    keys += 8 * count;
    at += count * valueBytes(dtype, rows.dim);
  }
  return at - out;
}
