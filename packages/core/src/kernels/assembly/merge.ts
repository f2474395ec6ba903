// The slots of a step, merged: k ascending runs of keys become one, and the gradients of equal keys are summed in
// the order of the runs, ((run 0 + run 1) + run 2) …, each sum rounded to float32.
//
// Of k > 2 runs a binary heap holds the one with the smallest key first (Knuth, TAOCP 3, §5.4.1); of runs that stand
// at the same key the earlier comes first, which is the order of summation.
//
// A lane is one run: three words, the address of its keys, the address of its values, and how many keys are left.

import { addInto } from "./reduce";

const LANE_BYTES: u32 = 12;

/**
 * Writes the union of the lanes' keys and their sums. Lanes are used up; `outKeys` and `outValues` overlap no run,
 * and have room as if no two runs shared a key: until it is done the heap is where the last of those keys would be.
 *
 * @returns how many keys were written
 */
export function mergeRuns(lanes: usize, laneCount: u32, dim: u32, outKeys: usize, outValues: usize): u32 {
  if (laneCount == 0) return 0;
  if (laneCount == 1) return copyRun(lanes, dim, outKeys, outValues);
  if (laneCount == 2) return mergeTwo(lanes, lanes + LANE_BYTES, dim, outKeys, outValues);
  return mergeMany(lanes, laneCount, dim, outKeys, outValues);
}

function mergeTwo(left: usize, right: usize, dim: u32, outKeys: usize, outValues: usize): u32 {
  const rowBytes = dim << 2;
  let a = load<u32>(left);
  let b = load<u32>(right);
  let aValues = load<u32>(left, 4);
  let bValues = load<u32>(right, 4);
  const aEnd = a + (load<u32>(left, 8) << 3);
  const bEnd = b + (load<u32>(right, 8) << 3);
  let key = outKeys;
  let values = outValues;
  for (; a < aEnd && b < bEnd; key += 8, values += rowBytes) {
    const aKey = load<u64>(a);
    const bKey = load<u64>(b);
    store<u64>(key, aKey < bKey ? aKey : bKey);
    if (aKey == bKey) {
      addInto(values, aValues, bValues, dim);
      a += 8;
      aValues += rowBytes;
      b += 8;
      bValues += rowBytes;
    } else if (aKey < bKey) {
      copyRow(values, aValues, dim);
      a += 8;
      aValues += rowBytes;
    } else {
      copyRow(values, bValues, dim);
      b += 8;
      bValues += rowBytes;
    }
  }
  // One of them is empty.
  memory.copy(key, a, aEnd - a);
  memory.copy(values, aValues, ((aEnd - a) >> 3) * rowBytes);
  memory.copy(key, b, bEnd - b);
  memory.copy(values, bValues, ((bEnd - b) >> 3) * rowBytes);
  return <u32>((key - outKeys + (aEnd - a) + (bEnd - b)) >> 3);
}

function mergeMany(lanes: usize, laneCount: u32, dim: u32, outKeys: usize, outValues: usize): u32 {
  const rowBytes = dim << 2;
  // The heap's entries are the lanes' addresses, from its end downwards. There are never more of them than keys
  // still to be written, so that they are behind what has been written.
  let keys: u32 = 0;
  for (let i: u32 = 0; i < laneCount; i++) keys += load<u32>(lanes + i * LANE_BYTES, 8);
  const heap = outKeys + (keys << 3);
  let size: u32 = 0;
  for (let i: u32 = 0; i < laneCount; i++) {
    const lane = lanes + i * LANE_BYTES;
    if (load<u32>(lane, 8) > 0) store<u32>(entry(heap, size++), <u32>lane);
  }
  for (let i = size >> 1; i > 0; i--) sink(heap, size, i - 1, load<u32>(entry(heap, i - 1)));

  let key = outKeys - 8;
  let values = outValues - rowBytes;
  let last: u64 = 0;
  while (size > 0) {
    const lane = load<u32>(entry(heap, 0));
    const from = load<u32>(lane);
    const fromValues = load<u32>(lane, 4);
    const next = load<u64>(from);
    if (next == last && key >= outKeys) {
      addInto(values, values, fromValues, dim);
    } else {
      key += 8;
      values += rowBytes;
      last = next;
      store<u64>(key, next);
      copyRow(values, fromValues, dim);
    }
    const left = load<u32>(lane, 8) - 1;
    store<u32>(lane, from + 8);
    store<u32>(lane, fromValues + rowBytes, 4);
    store<u32>(lane, left, 8);
    if (left > 0) {
      sink(heap, size, 0, lane);
    } else {
      size -= 1;
      if (size > 0) sink(heap, size, 0, load<u32>(entry(heap, size)));
    }
  }
  return <u32>((key + 8 - outKeys) >> 3);
}

/** Puts `lane` at place `from` of the heap, or as far below as lanes come before it. */
function sink(heap: usize, size: u32, from: u32, lane: u32): void {
  const key = load<u64>(load<u32>(lane));
  let at = from;
  for (let child: u32 = 2 * at + 1; child < size; child = 2 * at + 1) {
    let below = load<u32>(entry(heap, child));
    let belowKey = load<u64>(load<u32>(below));
    if (child + 1 < size) {
      const other = load<u32>(entry(heap, child + 1));
      const otherKey = load<u64>(load<u32>(other));
      if (otherKey < belowKey || (otherKey == belowKey && other < below)) {
        child += 1;
        below = other;
        belowKey = otherKey;
      }
    }
    if (key < belowKey || (key == belowKey && lane < below)) break;
    store<u32>(entry(heap, at), below);
    at = child;
  }
  store<u32>(entry(heap, at), lane);
}

function entry(heap: usize, i: u32): usize {
  return heap - 4 - (i << 2);
}

function copyRun(lane: usize, dim: u32, outKeys: usize, outValues: usize): u32 {
  const n = load<u32>(lane, 8);
  memory.copy(outKeys, load<u32>(lane), n << 3);
  memory.copy(outValues, load<u32>(lane, 4), (n * dim) << 2);
  return n;
}

function copyRow(out: usize, row: usize, dim: u32): void {
  let at: usize = 0;
  for (const end = (dim & ~3) << 2; at < end; at += 16) v128.store(out + at, v128.load(row + at));
  for (const end = dim << 2; at < end; at += 4) store<u32>(out + at, load<u32>(row + at));
}
