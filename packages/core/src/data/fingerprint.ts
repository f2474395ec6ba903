/**
 * The fingerprint of a table: MurmurHash3_x86_128 over its values, column by column in the order given. It reads
 * values, not dictionary codes, so two readers that number their dictionaries differently agree.
 */
import { assert } from "../errors.ts";
import type { Column, ColumnTable } from "./spec/dataset.ts";
import { absorb, finish, hashStrings, murmur128, saltOf } from "./fields/murmur3.ts";

/** 32 hex digits. */
export function fingerprintOf(table: ColumnTable, columns: readonly string[]): string {
  const state = new Uint32Array(4);
  absorb(state, table.rows, columns.length, 0, 0);
  for (const name of columns) {
    const column = table.columns.get(name);
    assert(column !== undefined, `fingerprint of a column that was not read: ${name}`);
    const named = new TextEncoder().encode(`${name}\n${column.kind}`);
    murmur128(state.slice(), named, 0, state);
    absorbColumn(state, column);
  }
  finish(state, new Uint8Array(0), table.rows);
  return Array.from(state, (word) => word.toString(16).padStart(8, "0")).join("");
}

function absorbColumn(state: Uint32Array, column: Column): void {
  switch (column.kind) {
    case "string":
      absorbCoded(state, column.codes, hashStrings(saltOf(""), column.dictionary));
      return;
    case "int64":
      if (column.missing?.includes(1) === true) murmur128(state.slice(), column.missing, 0, state);
      absorbPairs(state, new Uint32Array(column.values.buffer, column.values.byteOffset, 2 * column.values.length));
      return;
    case "number":
      absorbPairs(state, new Uint32Array(column.values.buffer, column.values.byteOffset, 2 * column.values.length));
      return;
    case "list":
      absorb(state, column.offsets.length, column.offsets.at(-1) ?? 0, 0, 0);
      absorbColumn(state, column.elements);
      return;
    default:
      column satisfies never;
  }
}

/** Two rows to a block; the last of an odd number stands alone. */
function absorbPairs(state: Uint32Array, pairs: Uint32Array): void {
  for (let at = 0; at < pairs.length; at += 4) {
    absorb(state, pairs[at]!, pairs[at + 1]!, pairs[at + 2] ?? 0, pairs[at + 3] ?? 0);
  }
}

function absorbCoded(state: Uint32Array, codes: Uint32Array, values: Uint32Array): void {
  for (let row = 0; row < codes.length; row += 2) {
    const first = 2 * codes[row]!;
    const second = 2 * (codes[row + 1] ?? codes[row]!);
    absorb(state, values[first]!, values[first + 1]!, values[second]!, values[second + 1]!);
  }
}
