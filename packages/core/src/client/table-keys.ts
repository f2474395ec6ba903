/**
 * Keys as an author has them, and as frames want them: unique, by PS node and partition, ascending within each.
 * In between they are pairs of 32-bit words in typed arrays, so no loop touches a bigint.
 */
import { partitionFunction, type PartitionMap } from "../partition/index.ts";
import { fillAscending, sortByClass, sortByWord, type NumberOrder } from "../radix-sort.ts";
import { KeyIndex } from "../table/index.ts";

/**
 * 64-bit keys. Negative ones are the same 64 bits read without a sign: −1 is 2⁶⁴ − 1. Numbers must be whole and safe:
 * a larger id has lost bits before it gets here.
 */
export type Keys = BigUint64Array | BigInt64Array | readonly (bigint | number)[] | Uint32Array | Int32Array;

/** Keys as little-endian u32 pairs, low word first. Length 2K. */
export function wordsOf(keys: Keys): Uint32Array {
  if (keys instanceof BigUint64Array || keys instanceof BigInt64Array)
    return new Uint32Array(keys.buffer, keys.byteOffset, 2 * keys.length);
  const words = new BigUint64Array(keys.length);
  for (let i = 0; i < keys.length; i++) words[i] = wholeKey(keys[i]!, i);
  return new Uint32Array(words.buffer);
}

function wholeKey(key: bigint | number, i: number): bigint {
  if (typeof key === "bigint") {
    if (key >= -(2n ** 63n) && key < 2n ** 64n) return key;
    throw new RangeError(`keys[${i}] is ${key}: keys have 64 bits; hash longer ids`);
  }
  if (Number.isSafeInteger(key)) return BigInt(key);
  throw new RangeError(
    `keys[${i}] is ${key}: a number can only be a key if it is whole and at most 2^53 − 1; give larger ids as bigint`,
  );
}

/** Keys that are asked for, or pushed, together: whole partitions of one operation, in one frame or several. */
export interface KeyPart {
  /** Numbers of the unique keys, by partition, ascending by key within each. Shape [K]. */
  readonly order: Uint32Array;
  /** Ascending. Shape [S]. */
  readonly partitions: Uint32Array;
  /** Keys of each. Shape [S]. */
  readonly counts: Uint32Array;
  /** Pairs of words, in this order. Length 2K. */
  readonly keys: Uint32Array;
}

export interface KeyGroups {
  /** How many different keys there are; they are numbered as they first occur. */
  readonly unique: number;
  /** The number of each key given. Shape [K]. */
  readonly numbers: Uint32Array;
  /** At most `keysMax` keys each, each of one node's partitions. */
  readonly parts: readonly KeyPart[];
}

/** @param words as {@link wordsOf} gives them */
export function groupKeys(words: Uint32Array, map: PartitionMap, keysMax: number): KeyGroups {
  const K = words.length / 2;
  const index = new KeyIndex();
  const numbers = new Uint32Array(K);
  for (let i = 0; i < K; i++) {
    const lo = words[2 * i]!;
    const hi = words[2 * i + 1]!;
    const found = index.find(lo, hi);
    numbers[i] = found >= 0 ? found : index.insert(lo, hi);
  }
  const unique = index.entries.subarray(0, 2 * index.count);
  return { unique: index.count, numbers, parts: partsOf(unique, map, keysMax) };
}

/** A part, cut by the node that each of its partitions is asked at. */
export function partByNode(part: KeyPart, nodeOf: (partition: number) => number): Map<number, KeyPart> {
  const segments = new Map<number, number[]>();
  for (const [s, partition] of part.partitions.entries()) {
    const node = nodeOf(partition);
    const ofNode = segments.get(node);
    if (ofNode) ofNode.push(s);
    else segments.set(node, [s]);
  }
  return new Map([...segments].map(([node, chosen]) => [node, segmentsOf(part, chosen)]));
}

/** What a part holds of some partitions; undefined where it is nothing. */
export function partOfPartitions(part: KeyPart, partitions: ReadonlySet<number>): KeyPart | undefined {
  const chosen = [...part.partitions.keys()].filter((s) => partitions.has(part.partitions[s]!));
  return chosen.length > 0 ? segmentsOf(part, chosen) : undefined;
}

/** @param chosen which segments, ascending */
function segmentsOf(part: KeyPart, chosen: readonly number[]): KeyPart {
  const S = part.partitions.length;
  if (chosen.length === S) return part;
  const starts = new Uint32Array(S + 1);
  for (let s = 0; s < S; s++) starts[s + 1] = starts[s]! + part.counts[s]!;
  const counts = Uint32Array.from(chosen, (s) => part.counts[s]!);
  const K = counts.reduce((sum, count) => sum + count, 0);
  const order = new Uint32Array(K);
  const keys = new Uint32Array(2 * K);
  let at = 0;
  for (const s of chosen) {
    const [from, to] = [starts[s]!, starts[s + 1]!];
    order.set(part.order.subarray(from, to), at);
    keys.set(part.keys.subarray(2 * from, 2 * to), 2 * at);
    at += to - from;
  }
  return { order, partitions: Uint32Array.from(chosen, (s) => part.partitions[s]!), counts, keys };
}

/** Consecutive keys of one partition, in the order by partition and key. */
interface Run {
  readonly partition: number;
  readonly from: number;
  readonly to: number;
}

/** @param unique pairs of words */
function partsOf(unique: Uint32Array, map: PartitionMap, keysMax: number): KeyPart[] {
  const { order, counts } = sortedByPartition(unique, map);
  const parts: KeyPart[] = [];
  for (const runs of runsByNode(counts, map).values()) {
    for (const cut of cutToParts(runs, keysMax)) parts.push(partOf(cut, { order, unique }));
  }
  return parts;
}

/** Numbers of the keys by partition, ascending by key within each, and how many keys each partition has. */
function sortedByPartition(unique: Uint32Array, map: PartitionMap): { order: Uint32Array; counts: Uint32Array } {
  const U = unique.length / 2;
  const P = map.entries.length;
  const partitionOf = partitionFunction(map.function, P);
  const low = new Uint32Array(U);
  const high = new Uint32Array(U);
  const partitions = new Uint32Array(U);
  for (let k = 0; k < U; k++) {
    const lo = (low[k] = unique[2 * k]!);
    const hi = (high[k] = unique[2 * k + 1]!);
    partitions[k] = partitionOf(lo, hi);
  }
  const sorted: NumberOrder = { order: new Uint32Array(U), spare: new Uint32Array(U) };
  fillAscending(sorted.order, U);
  sortByWord(sorted, low, U);
  sortByWord(sorted, high, U);
  const counts = sortByClass(sorted, partitions, U, P);
  return { order: sorted.order, counts };
}

/** The partitions that have keys, by the node that owns them. */
function runsByNode(counts: Uint32Array, map: PartitionMap): Map<number, Run[]> {
  const runs = new Map<number, Run[]>();
  let from = 0;
  for (let partition = 0; partition < map.entries.length; partition++) {
    const to = from + counts[partition]!;
    if (to === from) continue;
    const node = map.entries[partition]!.chain[0]!;
    const ofNode = runs.get(node);
    if (ofNode) ofNode.push({ partition, from, to });
    else runs.set(node, [{ partition, from, to }]);
    from = to;
  }
  return runs;
}

/** Cuts runs so that no part has more than `keysMax` keys. */
function cutToParts(runs: readonly Run[], keysMax: number): Run[][] {
  const parts: Run[][] = [];
  let room = 0;
  for (const { partition, from: first, to: end } of runs) {
    for (let from = first; from < end;) {
      if (room === 0) {
        parts.push([]);
        room = keysMax;
      }
      const to = Math.min(end, from + room);
      parts.at(-1)!.push({ partition, from, to });
      room -= to - from;
      from = to;
    }
  }
  return parts;
}

function partOf(runs: readonly Run[], of: { order: Uint32Array; unique: Uint32Array }): KeyPart {
  const order = new Uint32Array(runs.reduce((sum, { from, to }) => sum + to - from, 0));
  const partitions = new Uint32Array(runs.length);
  const counts = new Uint32Array(runs.length);
  let at = 0;
  for (const [r, { partition, from, to }] of runs.entries()) {
    partitions[r] = partition;
    counts[r] = to - from;
    order.set(of.order.subarray(from, to), at);
    at += to - from;
  }
  return { order, partitions, counts, keys: keysAt(order, of.unique) };
}

/** The keys of some numbers, as pairs of words. */
function keysAt(order: Uint32Array, unique: Uint32Array): Uint32Array {
  const keys = new Uint32Array(2 * order.length);
  for (let i = 0; i < order.length; i++) {
    const k = order[i]!;
    keys[2 * i] = unique[2 * k]!;
    keys[2 * i + 1] = unique[2 * k + 1]!;
  }
  return keys;
}
