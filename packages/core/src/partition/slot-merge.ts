/**
 * Merges the keys that several slots sent for one table into one ascending run, and sums the gradients of equal
 * keys in slot order: `((slot 0 + slot 1) + slot 2) …`, each sum rounded to float32. The order slots arrived in
 * cannot change a bit.
 *
 * A k-way merge by a binary heap of lanes (Knuth, TAOCP 3, §5.4.1): a lane is one slot's run of keys; of lanes that
 * stand at the same key the one of the lower slot comes first.
 */
import { addFloats, copyFloats } from "../table/floats.ts";

export class SlotMerge {
  #lanes = 0;
  readonly #keys: Uint32Array[] = [];
  readonly #values: Float32Array[] = [];
  /** Per lane: the pair it stands at, where its run ends, where the pair's values are, and the pair's two words. */
  #pair = new Uint32Array(0);
  #end = new Uint32Array(0);
  #valueAt = new Uint32Array(0);
  #lo = new Uint32Array(0);
  #hi = new Uint32Array(0);
  /** Lanes, the one with the smallest key first. */
  #heap = new Uint32Array(0);

  /** Adds the run of the next slot: `count` ascending keys, at least one, from pair `keysAt` on. */
  add(run: { keys: Uint32Array; values: Float32Array }, keysAt: number, valuesAt: number, count: number): void {
    const lane = this.#lanes++;
    if (lane >= this.#heap.length) this.#grow();
    this.#keys[lane] = run.keys;
    this.#values[lane] = run.values;
    this.#pair[lane] = keysAt;
    this.#end[lane] = keysAt + count;
    this.#valueAt[lane] = valuesAt;
  }

  /**
   * Writes the union of the keys to `outKeys` from pair `outPair` on and their sums to `out` from `outAt` on, and
   * forgets the runs.
   *
   * @returns how many keys were written
   */
  run(dim: number, outKeys: Uint32Array, outPair: number, out: Float32Array, outAt: number): number {
    const lanes = this.#lanes;
    this.#lanes = 0;
    if (lanes === 0) return 0;
    const unique =
      lanes === 1
        ? this.#copy(dim, outKeys, outPair, out, outAt)
        : this.#merge(lanes, dim, outKeys, outPair, out, outAt);
    this.#keys.length = 0;
    this.#values.length = 0;
    return unique;
  }

  #copy(dim: number, outKeys: Uint32Array, outPair: number, out: Float32Array, outAt: number): number {
    const keys = this.#keys[0]!;
    const from = this.#pair[0]!;
    const n = this.#end[0]! - from;
    for (let i = 0; i < 2 * n; i++) outKeys[2 * outPair + i] = keys[2 * from + i]!;
    copyFloats(out, outAt, this.#values[0]!, this.#valueAt[0]!, n * dim);
    return n;
  }

  #merge(lanes: number, dim: number, outKeys: Uint32Array, outPair: number, out: Float32Array, outAt: number): number {
    const heap = this.#heap;
    const lo = this.#lo;
    const hi = this.#hi;
    const pairs = this.#pair;
    const ends = this.#end;
    const valueAts = this.#valueAt;
    for (let lane = 0; lane < lanes; lane++) {
      lo[lane] = this.#keys[lane]![2 * pairs[lane]!]!;
      hi[lane] = this.#keys[lane]![2 * pairs[lane]! + 1]!;
      heap[lane] = lane;
    }
    for (let at = (lanes >>> 1) - 1; at >= 0; at--) siftDown(heap, lanes, at, lo, hi);

    let size = lanes;
    let pair = outPair - 1;
    let at = outAt - dim;
    while (size > 0) {
      const lane = heap[0]!;
      const values = this.#values[lane]!;
      if (pair >= outPair && outKeys[2 * pair] === lo[lane] && outKeys[2 * pair + 1] === hi[lane]) {
        addFloats(out, at, values, valueAts[lane]!, dim);
      } else {
        pair += 1;
        at += dim;
        outKeys[2 * pair] = lo[lane]!;
        outKeys[2 * pair + 1] = hi[lane]!;
        copyFloats(out, at, values, valueAts[lane]!, dim);
      }
      const next = pairs[lane]! + 1;
      if (next < ends[lane]!) {
        const keys = this.#keys[lane]!;
        pairs[lane] = next;
        valueAts[lane] = valueAts[lane]! + dim;
        lo[lane] = keys[2 * next]!;
        hi[lane] = keys[2 * next + 1]!;
      } else {
        heap[0] = heap[--size]!;
      }
      siftDown(heap, size, 0, lo, hi);
    }
    return pair - outPair + 1;
  }

  #grow(): void {
    const lanes = Math.max(4, 2 * this.#heap.length);
    const longer = (words: Uint32Array): Uint32Array<ArrayBuffer> => {
      const copy = new Uint32Array(lanes);
      copy.set(words);
      return copy;
    };
    this.#pair = longer(this.#pair);
    this.#end = longer(this.#end);
    this.#valueAt = longer(this.#valueAt);
    this.#lo = new Uint32Array(lanes);
    this.#hi = new Uint32Array(lanes);
    this.#heap = new Uint32Array(lanes);
  }
}

/** Lets the lane at `from` sink until no lane below it comes before it. */
function siftDown(heap: Uint32Array, size: number, from: number, lo: Uint32Array, hi: Uint32Array): void {
  const lane = heap[from]!;
  let at = from;
  for (let child = 2 * at + 1; child < size; child = 2 * at + 1) {
    if (child + 1 < size && comesBefore(heap[child + 1]!, heap[child]!, lo, hi)) child += 1;
    if (!comesBefore(heap[child]!, lane, lo, hi)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = lane;
}

function comesBefore(a: number, b: number, lo: Uint32Array, hi: Uint32Array): boolean {
  if (hi[a]! !== hi[b]!) return hi[a]! < hi[b]!;
  if (lo[a]! !== lo[b]!) return lo[a]! < lo[b]!;
  return a < b;
}
