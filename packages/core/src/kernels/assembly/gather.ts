// Weights of keys out of their rows: a pull.

import { BLOCK, FOUND, findBlock, touchEach } from "./table";
import { ROW_HEADER_BYTES, convertRow, weightsBytes } from "./rows";

/**
 * Writes the weights of each key, one after the other as `outDtype`. The numbers of absent keys go to `misses`, in
 * order, and their places in `out` stay as they are. Returns how many they are.
 */
export function tableGather(
  table: usize,
  keys: usize,
  n: u32,
  dim: u32,
  rowDtype: u32,
  out: usize,
  outDtype: u32,
  misses: usize,
): u32 {
  const rowBytes = ROW_HEADER_BYTES + weightsBytes(rowDtype, dim);
  const outBytes = weightsBytes(outDtype, dim);
  let to = out;
  let miss = misses;
  for (let from: u32 = 0; from < n; from += BLOCK) {
    const count = min(n - from, BLOCK);
    findBlock(table, keys + (from << 3), count, FOUND);
    touchEach(FOUND, count, rowBytes);
    for (let i: u32 = 0; i < count; i++) {
      const row = load<u32>(FOUND + (i << 2));
      if (row == 0) {
        store<u32>(miss, from + i);
        miss += 4;
      } else convertRow(row + ROW_HEADER_BYTES, rowDtype, to, outDtype, dim);
      to += outBytes;
    }
  }
  return <u32>(miss - misses) >> 2;
}
