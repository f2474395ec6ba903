/**
 * Ring all-reduce (Patarasu & Yuan, JPDC 2009): reduce-scatter, then all-gather, 2(N−1)/N bytes a member, with
 * sub-chunks in a pipeline.
 *
 * Chunk c is summed in ring order from rank c + 1, so that rank c holds the whole sum; arrival order never changes
 * a result. Each sub-chunk travels on its own: at hop h rank r passes on chunk (r − 1 − h) mod N, for N − 1 hops of
 * summing and N − 1 hops of gathering.
 *
 * Where values travel in fewer bytes, every hop decodes, adds its share and encodes the sum, and the owner goes by the
 * bytes that it sends, as all others do. So each rank encodes each place once. What that loses is the residual that it
 * adds to its next values (Seide et al., Interspeech 2014; Karimireddy et al., ICML 2019).
 */
import { BLOCK_VALUES, bytesOfBlocks, decodeBlocks, encodeBlocks, type ValueDtype } from "../compression/index.ts";
import { assert, ProtocolError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { AllReduce, OwnDone, ReducePiece } from "./all-reduce.ts";
import { KERNELS } from "./kernels.ts";

const NO_VALUES = new Float32Array(0);
const NO_BYTES = new Uint8Array(0);

export class RingAllReduce implements AllReduce {
  readonly residual: Float32Array | undefined;
  readonly #rank: number;
  readonly #size: number;
  readonly #data: Float32Array;
  readonly #dtype: ValueDtype;
  /** What whole sums travel as. */
  readonly #gatherDtype: ValueDtype;
  readonly #ownDone: OwnDone | undefined;
  readonly #partFloats: number;
  /** Pieces still to come; every piece comes once. */
  #missing = 0;
  /** Sums of the own chunk that are not whole yet, in parts. */
  #ownMissing: number;
  readonly #seen = new Set<number>();

  /** The part of `length` floats that is wholly summed by `rank`, which then tells the others. */
  static ownRange({ rank, size, length }: { rank: number; size: number; length: number }): {
    from: number;
    to: number;
  } {
    const cut = (i: number) => Math.floor((length * i) / size);
    return { from: cut(rank), to: cut(rank + 1) };
  }

  /**
   * @param data float32, shape [n]: summed in place; the caller must not touch it until `done`
   * @param dtype what the values travel as; float32 by default
   * @param residual float32, shape [n]: added to `data`, and not changed
   * @param ownDone called once, when the sums of {@link ownRange} are whole: what it makes of them goes to all, as float32
   */
  constructor(o: {
    rank: number;
    size: number;
    data: Float32Array;
    dtype?: ValueDtype | undefined;
    residual?: Float32Array | undefined;
    ownDone?: OwnDone | undefined;
    partFloats?: number;
  }) {
    assert(o.rank >= 0 && o.rank < o.size, `rank ${o.rank} of ${o.size}`);
    this.#rank = o.rank;
    this.#size = o.size;
    this.#data = o.data;
    this.#dtype = o.dtype ?? "float32";
    this.#ownDone = o.ownDone;
    this.#gatherDtype = o.ownDone === undefined ? this.#dtype : "float32";
    this.#partFloats = o.partFloats ?? partFloatsOf(o.data.length, o.size);
    for (let hop = 0; hop < 2 * (o.size - 1); hop++) this.#missing += this.#parts(this.#chunkAt(o.rank - 1, hop));
    this.#ownMissing = this.#parts(o.rank);
    if (o.residual !== undefined) {
      KERNELS.addFloats(o.data, o.residual);
      this.residual = new Float32Array(o.data.length);
    }
  }

  get done(): boolean {
    return this.#missing === 0;
  }

  start(): ReducePiece[] {
    const { from, to } = this.#chunkBounds(this.#rank);
    if (this.#size === 1 || from === to) this.#ownDone?.(this.#data, from, to);
    if (this.#size === 1) return [];
    const chunk = this.#chunkAt(this.#rank, 0);
    return Array.from({ length: this.#parts(chunk) }, (_, part) => this.#sum(0, chunk, part));
  }

  receive({ peer, hop, chunk, part, dtype, values, coded }: ReducePiece): ReducePiece[] {
    const last = 2 * (this.#size - 1) - 1;
    const isGathered = hop >= this.#size - 1;
    const { from, to } = this.#bounds(chunk, part);
    const bytes = dtype === "float32" ? values.byteLength : coded.length;
    if (
      peer !== this.#before ||
      hop > last ||
      chunk !== this.#chunkAt(peer, hop) ||
      from >= to ||
      dtype !== (isGathered ? this.#gatherDtype : this.#dtype) ||
      bytes !== bytesOfBlocks(dtype, to - from)
    ) {
      throw new ProtocolError(
        `ring piece of rank ${peer}, hop ${hop}, chunk ${chunk}, part ${part} with ${bytes} bytes of ${dtype} ` +
          `does not fit rank ${this.#rank} of ${this.#size}, which sums ${this.#data.length} floats as ${this.#dtype}`,
      );
    }
    const id = hop * Math.ceil(this.#data.length / this.#partFloats) + part;
    if (this.#seen.has(id)) return [];
    this.#seen.add(id);
    this.#missing--;
    const sums = this.#data.subarray(from, to);
    const floats = dtype === "float32" ? values : decodeBlocks(KERNELS, coded, { dtype, n: to - from });
    if (isGathered) {
      sums.set(floats);
      if (hop === last) return [];
      if (dtype === "float32") return [this.#whole(hop + 1, chunk, part)];
      return [{ peer: this.#next, hop: hop + 1, chunk, part, dtype, values, coded }];
    }
    // In ring order the sender's partial sum comes before this rank's share; a sum of two is the same either way.
    KERNELS.addFloats(sums, floats);
    if (chunk !== this.#rank || this.#ownDone === undefined) return [this.#sum(hop + 1, chunk, part)];
    if (--this.#ownMissing > 0) return [];
    const own = this.#chunkBounds(chunk);
    this.#ownDone(this.#data, own.from, own.to);
    return Array.from({ length: this.#parts(chunk) }, (_, i) => this.#whole(hop + 1, chunk, i));
  }

  get #before(): number {
    return (this.#rank + this.#size - 1) % this.#size;
  }

  get #next(): number {
    return (this.#rank + 1) % this.#size;
  }

  /** The chunk that `rank` sends at `hop`. */
  #chunkAt(rank: number, hop: number): number {
    const n = this.#size;
    return (((rank - 1 - hop) % n) + 2 * n) % n;
  }

  #parts(chunk: number): number {
    const { from, to } = this.#chunkBounds(chunk);
    return Math.ceil((to - from) / this.#partFloats);
  }

  #chunkBounds(chunk: number): { from: number; to: number } {
    return RingAllReduce.ownRange({ rank: chunk, size: this.#size, length: this.#data.length });
  }

  #bounds(chunk: number, part: number): { from: number; to: number } {
    if (chunk >= this.#size) return { from: 0, to: 0 };
    const { from, to } = this.#chunkBounds(chunk);
    const start = from + part * this.#partFloats;
    return { from: start, to: Math.min(start + this.#partFloats, to) };
  }

  /**
   * This rank's sum, partial or whole, on its way. What its form loses is the residual of these places, unless it is
   * not finite: that must not come again for ever.
   */
  #sum(hop: number, chunk: number, part: number): ReducePiece {
    const dtype = this.#dtype;
    if (dtype === "float32") return this.#whole(hop, chunk, part);
    const { from, to } = this.#bounds(chunk, part);
    const sums = this.#data.subarray(from, to);
    const coded = encodeBlocks(KERNELS, sums, dtype);
    const isOwn = chunk === this.#rank;
    if (isOwn || this.residual !== undefined) {
      const sent = decodeBlocks(KERNELS, coded, { dtype, n: to - from });
      if (this.residual !== undefined) KERNELS.lostFloats(sums, sent, this.residual.subarray(from, to));
      if (isOwn) sums.set(sent);
    }
    return { peer: this.#next, hop, chunk, part, dtype, values: NO_VALUES, coded };
  }

  /** The data as they are: a view, since a link copies what it sends, and these places change next at the gather. */
  #whole(hop: number, chunk: number, part: number): ReducePiece {
    const { from, to } = this.#bounds(chunk, part);
    const values = this.#data.subarray(from, to);
    return { peer: this.#next, hop, chunk, part, dtype: "float32", values, coded: NO_BYTES, lasts: true };
  }
}

/**
 * Floats of a sub-chunk: an eighth of a chunk, so that a pipeline fills, but neither so few that messages cost more
 * than their bytes nor more than fit a cache; whole blocks of what travels as int8.
 */
function partFloatsOf(n: number, size: number): number {
  const eighth = BLOCK_VALUES * Math.ceil(n / size / 8 / BLOCK_VALUES);
  return Math.min(Math.max(eighth, LIMITS.reducePartFloatsMin), LIMITS.reducePartFloatsMax);
}
