/**
 * Keys as an author has them, and as frames want them: unique, by PS node and partition, ascending within each.
 * In between they are pairs of 32-bit words, so no loop touches a bigint.
 */
import { partitionFunction, type PartitionMap } from "../partition/index.ts";
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

/** What one frame to one PS node holds. */
export interface NodeKeys {
  readonly node: number;
  /** Numbers of the unique keys, in the order of the frame. */
  readonly order: Uint32Array;
  readonly partitions: Uint32Array;
  readonly generations: Uint32Array;
  readonly counts: Uint32Array;
  readonly keys: Uint32Array;
}

export interface KeyGroups {
  /** How many different keys there are; they are numbered as they first occur. */
  readonly unique: number;
  /** The number of each key given. Shape [K]. */
  readonly numbers: Uint32Array;
  /** At most `keysMax` keys each. */
  readonly frames: readonly NodeKeys[];
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
  return { unique: index.count, numbers, frames: framesOf(unique, map, keysMax) };
}

/** @param unique pairs of words */
function framesOf(unique: Uint32Array, map: PartitionMap, keysMax: number): NodeKeys[] {
  const partitionOf = partitionFunction(map.function, map.entries.length);
  const members = new Map<number, number[]>();
  for (let k = 0; k < unique.length / 2; k++) {
    const partition = partitionOf(unique[2 * k]!, unique[2 * k + 1]!);
    const those = members.get(partition);
    if (those) those.push(k);
    else members.set(partition, [k]);
  }
  const byKey = (a: number, b: number): number =>
    unique[2 * a + 1]! - unique[2 * b + 1]! || unique[2 * a]! - unique[2 * b]!;
  const drafts = new Map<number, FrameDraft[]>();
  for (const partition of [...members.keys()].sort((a, b) => a - b)) {
    const node = map.entries[partition]!.chain[0]!;
    const ofNode = drafts.get(node) ?? [];
    drafts.set(node, ofNode);
    const keys = members.get(partition)!.sort(byKey);
    for (let from = 0; from < keys.length;) {
      let draft = ofNode.at(-1);
      if (!draft || draft.order.length === keysMax) ofNode.push((draft = { order: [], partitions: [], counts: [] }));
      const to = Math.min(keys.length, from + keysMax - draft.order.length);
      for (let i = from; i < to; i++) draft.order.push(keys[i]!);
      draft.partitions.push(partition);
      draft.counts.push(to - from);
      from = to;
    }
  }
  return [...drafts].flatMap(([node, ofNode]) => ofNode.map((draft) => nodeKeysOf(node, draft, unique, map)));
}

interface FrameDraft {
  order: number[];
  partitions: number[];
  counts: number[];
}

function nodeKeysOf(node: number, draft: FrameDraft, unique: Uint32Array, map: PartitionMap): NodeKeys {
  const keys = new Uint32Array(2 * draft.order.length);
  draft.order.forEach((k, i) => {
    keys[2 * i] = unique[2 * k]!;
    keys[2 * i + 1] = unique[2 * k + 1]!;
  });
  return {
    node,
    order: Uint32Array.from(draft.order),
    partitions: Uint32Array.from(draft.partitions),
    generations: Uint32Array.from(draft.partitions, (p) => map.entries[p]!.generation),
    counts: Uint32Array.from(draft.counts),
    keys,
  };
}
