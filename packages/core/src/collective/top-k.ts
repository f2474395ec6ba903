/**
 * All-reduce of only the greatest values of each rank: their places and values go around the ring, and every rank adds
 * up all of them in the order of ranks. What is not sent is kept and added to the next values (Aji & Heafield, EMNLP
 * 2017; Lin et al., "Deep Gradient Compression", ICLR 2018), without which most values would never be heard of.
 */
import { placesOfGreatest } from "../compression/index.ts";
import { assert, ProtocolError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { AllReduce, ReducePiece } from "./all-reduce.ts";
import { KERNELS } from "./kernels.ts";

const NO_BYTES = new Uint8Array(0);
/** Pairs of a place and a value in one piece. */
const PART_PAIRS = LIMITS.reducePartFloatsMax / 2;

export class TopKAllReduce implements AllReduce {
  readonly residual: Float32Array | undefined;
  readonly #rank: number;
  readonly #size: number;
  readonly #data: Float32Array;
  /** Values that each rank sends. */
  readonly #count: number;
  /** By rank and part: m places as words, then their m values. */
  readonly #parts: (Float32Array | undefined)[][];
  #missing: number;

  /**
   * @param data float32, shape [n]: summed in place; the caller must not touch it until `done`
   * @param share of the values, above 0 and below 1
   * @param residual float32, shape [n]: added to `data`, and not changed
   */
  constructor(o: {
    rank: number;
    size: number;
    data: Float32Array;
    share: number;
    residual?: Float32Array | undefined;
  }) {
    assert(o.rank >= 0 && o.rank < o.size, `rank ${o.rank} of ${o.size}`);
    this.#rank = o.rank;
    this.#size = o.size;
    this.#data = o.data;
    this.#count = countOfShare(o.share, o.data.length);
    const parts = Math.ceil(this.#count / PART_PAIRS);
    this.#parts = Array.from({ length: o.size }, () => Array.from({ length: parts }, () => undefined));
    this.#missing = (o.size - 1) * parts;
    if (o.residual !== undefined) KERNELS.addFloats(o.data, o.residual);
    const places = placesOfGreatest(KERNELS, o.data, this.#count);
    for (let part = 0; part < parts; part++) this.#parts[o.rank]![part] = pairsOf(o.data, this.#places(places, part));
    if (o.residual !== undefined) {
      this.residual = o.data.slice();
      for (const place of places) this.residual[place] = 0;
    }
    this.#sumWhenWhole();
  }

  get done(): boolean {
    return this.#missing === 0;
  }

  start(): ReducePiece[] {
    return this.#size === 1 ? [] : this.#parts[this.#rank]!.map((pairs, part) => this.#piece(0, part, pairs!));
  }

  /** At hop h rank r passes on what rank (r − h) mod N sends. */
  receive({ peer, hop, chunk, part, values }: ReducePiece): ReducePiece[] {
    const parts = this.#parts[chunk];
    const isOfTurn = peer === this.#at(this.#rank - 1) && hop < this.#size - 1 && chunk === this.#at(peer - hop);
    if (parts === undefined || !isOfTurn || part >= parts.length || !this.#fits(values, part)) {
      throw new ProtocolError(
        `top-k piece of rank ${peer}, hop ${hop}, chunk ${chunk}, part ${part} with ${values.length} words does not ` +
          `fit rank ${this.#rank} of ${this.#size}, which takes ${this.#count} of ${this.#data.length} floats`,
      );
    }
    if (parts[part] !== undefined) return [];
    const pairs = values.slice();
    parts[part] = pairs;
    this.#missing--;
    this.#sumWhenWhole();
    return hop < this.#size - 2 ? [{ ...this.#piece(hop + 1, part, pairs), chunk }] : [];
  }

  #at(rank: number): number {
    return (rank + 2 * this.#size) % this.#size;
  }

  #places(places: Uint32Array, part: number): Uint32Array {
    return places.subarray(part * PART_PAIRS, (part + 1) * PART_PAIRS);
  }

  #piece(hop: number, part: number, values: Float32Array): ReducePiece {
    const peer = this.#at(this.#rank + 1);
    return { peer, hop, chunk: this.#rank, part, dtype: "float32", values, coded: NO_BYTES };
  }

  /** Are these as many pairs as the part has, and their places ascending and among the data? */
  #fits(values: Float32Array, part: number): boolean {
    const m = Math.min(PART_PAIRS, this.#count - part * PART_PAIRS);
    if (values.length !== 2 * m) return false;
    const places = wordsOf(values).subarray(0, m);
    for (let i = 1; i < m; i++) if (places[i - 1]! >= places[i]!) return false;
    return places[m - 1]! < this.#data.length;
  }

  #sumWhenWhole(): void {
    if (this.#missing > 0) return;
    this.#data.fill(0);
    for (const pairs of this.#parts.flat()) addPairs(this.#data, pairs!);
  }
}

/** How many of `n` values the share is: one at least. */
export function countOfShare(share: number, n: number): number {
  return Math.min(n, Math.max(1, Math.ceil(share * n)));
}

function pairsOf(data: Float32Array, places: Uint32Array): Float32Array {
  const m = places.length;
  const pairs = new Float32Array(2 * m);
  wordsOf(pairs).set(places);
  for (let i = 0; i < m; i++) pairs[m + i] = data[places[i]!]!;
  return pairs;
}

function addPairs(data: Float32Array, pairs: Float32Array): void {
  const m = pairs.length / 2;
  const places = wordsOf(pairs);
  for (let i = 0; i < m; i++) data[places[i]!]! += pairs[m + i]!;
}

function wordsOf({ buffer, byteOffset, length }: Float32Array): Uint32Array {
  return new Uint32Array(buffer, byteOffset, length);
}
