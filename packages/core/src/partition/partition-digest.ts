/**
 * What the replicas of a partition have in common, as a text to compare: equal replicas, equal texts. Where they
 * differ, it says in which table.
 */
import { mixA } from "../hash.ts";
import { ROW_HEADER_BYTES, valueBytes, type RowLayout } from "../table/row-layout.ts";
import { RowsCopy } from "../table/rows-copy.ts";
import type { PartitionParts } from "./partition-parts.ts";

/** Of rows that are read at a time; one row, where that is more. */
const BYTES = 65_536;

/** Reads all rows and changes nothing. */
export function digestOf({ tables, rows, vocabulary, identities, state }: PartitionParts): string {
  const { step, attempt } = state.committed;
  const ofTables = tables.specs.map(({ name }, place) => {
    const { source, count } = rows[place]!;
    const counts = vocabulary.cares[place]!.admission?.snapshot();
    const waiting = counts ? `, counts ${hex(hashOf(counts, 0, counts.length))}` : "";
    return `"${name}" ${count} rows ${rowsDigest(new RowsCopy(source), source.table.layout)}${waiting}`;
  });
  const pushes = identities.snapshot();
  const pushed = Uint32Array.from(pushes.flatMap((number) => [number >>> 0, Math.floor(number / 2 ** 32)]));
  return [`step ${step} attempt ${attempt}`, `pushes ${hex(hashOf(pushed, 0, pushed.length))}`, ...ofTables].join("; ");
}

/** The sum of the rows' hashes: their order does not count. */
function rowsDigest(copy: RowsCopy, layout: RowLayout): string {
  const { dtype, dim, stateAt, stateWidth, stride } = layout;
  const words = new Uint32Array((Math.max(1, Math.floor(BYTES / stride)) * stride) / 4);
  const bytes = new Uint8Array(words.buffer);
  // int8: scale, minimum, bytes. What pads weights to whole words does not count.
  const weightsEnd = ROW_HEADER_BYTES + (dtype === "int8" ? 8 + dim : valueBytes(dtype, dim));
  const rowEnd = stateAt + 4 * stateWidth;
  let [low, high] = [0, 0];
  for (let n = copy.next(bytes); n > 0; n = copy.next(bytes)) {
    for (let row = 0; row < n; row++) {
      bytes.fill(0, row * stride + weightsEnd, row * stride + stateAt);
      const from = (row * stride) / 4;
      const hash = hashOf(words, from, from + rowEnd / 4);
      low = (low + hash) >>> 0;
      high = (high + mixA(hash ^ words[from]!)) >>> 0;
    }
  }
  return hex(high) + hex(low);
}

function hashOf(words: Uint32Array, from: number, to: number): number {
  let hash = 0x811c9dc5;
  for (let i = from; i < to; i++) hash = mixA(Math.imul(hash, 0x01000193) ^ words[i]!);
  return hash;
}

function hex(number: number): string {
  return number.toString(16).padStart(8, "0");
}
