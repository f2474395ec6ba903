/**
 * All-reduce by recursive doubling (Thakur, Rabenseifner and Gropp, IJHPCA 2005, §4.1): ranks 2^s apart exchange all
 * they have summed, for s = 0, 1, …: few messages, but of all values. Ranks beyond the largest power of two P hand
 * theirs to rank − P first and get the sum from it at the end.
 *
 * In each exchange both add the same two numbers, so all ranks have the same bits, whatever the timing.
 */
import { assert, ProtocolError } from "../errors.ts";
import type { AllReduce, ReducePiece } from "./all-reduce.ts";
import { KERNELS } from "./kernels.ts";

const NO_BYTES = new Uint8Array(0);

export class Doubling implements AllReduce {
  readonly residual: Float32Array | undefined;
  readonly #rank: number;
  readonly #data: Float32Array;
  /** What this rank does: sends its values, takes those of a peer, or both. */
  readonly #exchanges: readonly Exchange[];
  /** The exchange that is next. */
  #at = 0;
  /** The exchange whose values went out last. */
  #sentAt = -1;
  /** What came before it was due, by hop. */
  readonly #early = new Map<number, Float32Array>();

  /** Messages that follow one another on the longest way. */
  static exchanges(size: number): number {
    const doublings = Math.floor(Math.log2(size));
    return doublings + (size > 2 ** doublings ? 2 : 0);
  }

  /**
   * @param data float32, shape [n]: summed in place; the caller must not touch it until `done`
   * @param residual float32, shape [n]: added to `data`, and not changed; nothing is lost here
   */
  constructor({
    rank,
    size,
    data,
    residual,
  }: {
    rank: number;
    size: number;
    data: Float32Array;
    residual?: Float32Array | undefined;
  }) {
    assert(rank >= 0 && rank < size, `rank ${rank} of ${size}`);
    this.#rank = rank;
    this.#data = data;
    this.#exchanges = exchangesOf(rank, size);
    if (residual !== undefined) {
      KERNELS.addFloats(data, residual);
      this.residual = new Float32Array(data.length);
    }
  }

  get done(): boolean {
    return this.#at === this.#exchanges.length;
  }

  start(): ReducePiece[] {
    return this.#advance();
  }

  receive({ peer, hop, values }: ReducePiece): ReducePiece[] {
    const expected = this.#exchanges.findIndex((exchange) => exchange.hop === hop && exchange.peer === peer);
    if (this.#exchanges[expected]?.takes === undefined || values.length !== this.#data.length) {
      throw new ProtocolError(
        `all-reduce piece of rank ${peer}, hop ${hop} with ${values.length} values does not fit rank ${this.#rank}, ` +
          `which sums ${this.#data.length} floats by doubling`,
      );
    }
    if (expected < this.#at || this.#early.has(hop)) return [];
    this.#early.set(hop, values.slice());
    return this.#advance();
  }

  /** Does what can be done. Pieces are copies: the values may change in the same call. */
  #advance(): ReducePiece[] {
    const pieces: ReducePiece[] = [];
    for (; !this.done; this.#at++) {
      const { peer, hop, sends, takes } = this.#exchanges[this.#at]!;
      if (sends && this.#sentAt < this.#at) {
        this.#sentAt = this.#at;
        pieces.push({ peer, hop, chunk: 0, part: 0, dtype: "float32", values: this.#data.slice(), coded: NO_BYTES });
      }
      if (takes === undefined) continue;
      const values = this.#early.get(hop);
      if (values === undefined) break;
      this.#early.delete(hop);
      if (takes === "share") KERNELS.addFloats(this.#data, values);
      else this.#data.set(values);
    }
    return pieces;
  }
}

interface Exchange {
  readonly peer: number;
  readonly hop: number;
  readonly sends: boolean;
  /** Is what comes added, or is it the whole sum? */
  readonly takes?: "share" | "sum";
}

function exchangesOf(rank: number, size: number): Exchange[] {
  const doublings = Math.floor(Math.log2(size));
  const P = 2 ** doublings;
  const last = doublings + 1;
  if (rank >= P) {
    return [
      { peer: rank - P, hop: 0, sends: true },
      { peer: rank - P, hop: last, sends: false, takes: "sum" },
    ];
  }
  const hasExtra = rank + P < size;
  return [
    ...(hasExtra ? [{ peer: rank + P, hop: 0, sends: false, takes: "share" } as const] : []),
    ...Array.from({ length: doublings }, (_, s) => {
      return { peer: rank ^ (1 << s), hop: 1 + s, sends: true, takes: "share" } as const;
    }),
    ...(hasExtra ? [{ peer: rank + P, hop: last, sends: true }] : []),
  ];
}
