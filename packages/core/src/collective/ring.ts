/**
 * Ring all-reduce (Patarasu & Yuan, JPDC 2009): reduce-scatter, then all-gather, 2(N−1)/N bytes a member, with
 * sub-chunks in a pipeline. A pure state machine: frames in, frames out.
 *
 * Chunk c is summed in ring order from rank c + 1, so that rank c holds the whole sum; arrival order never changes
 * a result. Each sub-chunk travels on its own: at hop h rank r passes on chunk (r − 1 − h) mod N, for N − 1 hops of
 * summing and N − 1 hops of gathering.
 *
 * What happens when a peer dies here: nothing; the round is abandoned by its owner when the term changes.
 */
import { assert, ProtocolError } from "../errors.ts";
import { KernelMemory } from "../kernels/index.ts";
import { LIMITS } from "../limits.ts";

/** Shared by all rounds: it holds nothing between two calls. */
const KERNELS = new KernelMemory();

/** One sub-chunk on its way to the next rank. */
export interface RingPiece {
  /** 0 … 2N − 3: how many times it has been passed on. */
  hop: number;
  chunk: number;
  /** Which sub-chunk of the chunk. */
  part: number;
  values: Float32Array;
}

export class RingAllReduce {
  readonly #rank: number;
  readonly #size: number;
  readonly #data: Float32Array;
  readonly #partFloats: number;
  /** Pieces still to come; every piece comes once. */
  #missing: number;
  readonly #seen = new Set<string>();

  /**
   * @param data summed in place: float32, shape [n]; the caller must not touch it until `done`
   */
  constructor(o: { rank: number; size: number; data: Float32Array; partFloats?: number }) {
    assert(o.rank >= 0 && o.rank < o.size, `rank ${o.rank} of ${o.size}`);
    this.#rank = o.rank;
    this.#size = o.size;
    this.#data = o.data;
    this.#partFloats = o.partFloats ?? LIMITS.reduceChunkFloats;
    this.#missing = 0;
    for (let hop = 0; hop < 2 * (o.size - 1); hop++) this.#missing += this.#parts(this.#chunkAt(o.rank - 1, hop));
  }

  get done(): boolean {
    return this.#missing === 0;
  }

  /** The pieces that open the round; send them to rank + 1. */
  start(): RingPiece[] {
    if (this.#size === 1) return [];
    const chunk = this.#chunkAt(this.#rank, 0);
    return Array.from({ length: this.#parts(chunk) }, (_, part) => this.#piece(0, chunk, part));
  }

  /**
   * Takes a piece from rank − 1 and returns what to pass on to rank + 1. Repeats are ignored.
   *
   * @throws {ProtocolError} a piece that this ring cannot have sent
   */
  receive({ hop, chunk, part, values }: RingPiece): RingPiece[] {
    const last = 2 * (this.#size - 1) - 1;
    const { from, to } = this.#bounds(chunk, part);
    if (hop > last || chunk !== this.#chunkAt(this.#rank - 1, hop) || to - from !== values.length || from >= to) {
      throw new ProtocolError(
        `ring piece hop ${hop}, chunk ${chunk}, part ${part} with ${values.length} values does not fit rank ${this.#rank} of ${this.#size}`,
      );
    }
    const id = `${hop}/${part}`;
    if (this.#seen.has(id)) return [];
    this.#seen.add(id);
    this.#missing--;
    const data = this.#data;
    if (hop < this.#size - 1) {
      // In ring order the sender's partial sum comes before this rank's share; a sum of two is the same either way.
      KERNELS.addFloats(data.subarray(from, to), values);
    } else data.set(values, from);
    return hop < last ? [this.#piece(hop + 1, chunk, part)] : [];
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
    const cut = (i: number) => Math.floor((this.#data.length * i) / this.#size);
    return { from: cut(chunk), to: cut(chunk + 1) };
  }

  #bounds(chunk: number, part: number): { from: number; to: number } {
    if (chunk >= this.#size) return { from: 0, to: 0 };
    const { from, to } = this.#chunkBounds(chunk);
    const start = from + part * this.#partFloats;
    return { from: start, to: Math.min(start + this.#partFloats, to) };
  }

  /** A copy, so that later hops may change the data while it is being sent. */
  #piece(hop: number, chunk: number, part: number): RingPiece {
    const { from, to } = this.#bounds(chunk, part);
    return { hop, chunk, part, values: this.#data.slice(from, to) };
  }
}
