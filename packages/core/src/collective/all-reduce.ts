/**
 * All-reduce: every rank brings as many floats, and every rank gets their sum, with the same bits. An all-reduce is a
 * pure state machine, pieces in, pieces out, and its result depends on nothing but what the ranks bring.
 *
 * All dense variables of a model are one buffer, so there is one all-reduce a step, and nothing is left to fuse.
 *
 * What happens when a peer dies here: nothing; a round is abandoned by its owner when the term changes, and the old
 * residual is as it was.
 */
import { bytesOfBlocks, type ValueDtype } from "../compression/index.ts";
import { assert } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { Doubling } from "./doubling.ts";
import { RingAllReduce } from "./ring.ts";
import { TopKAllReduce, countOfShare } from "./top-k.ts";

/** In which form values travel; of `topK`, only this share of each rank's values does, the greatest. */
export type ReduceForm = ValueDtype | { readonly topK: number };

/** What travels from one rank to another. */
export interface ReducePiece {
  /** The rank that it goes to, or came from. */
  peer: number;
  /** How many times it has been passed on, or which exchange it belongs to. */
  hop: number;
  chunk: number;
  /** Which sub-chunk of the chunk. */
  part: number;
  dtype: ValueDtype;
  /** Empty unless the dtype is float32. Like `coded` a view: who keeps either beyond the next call copies it. */
  values: Float32Array;
  /** The values of any other dtype. */
  coded: Uint8Array;
  /** A view of the data that nothing changes before the piece has arrived: it may be sent from where it lies. */
  lasts?: boolean;
}

export interface AllReduce {
  readonly done: boolean;
  /** Once done: what this rank's values lost on their way, to be added to the next ones; undefined if none was given. */
  readonly residual: Float32Array | undefined;
  /** The pieces that open the round. */
  start(): ReducePiece[];
  /**
   * Takes a piece and returns what follows from it. Repeats are ignored.
   *
   * @throws {ProtocolError} a piece that no rank of this round can have sent
   */
  receive(piece: ReducePiece): ReducePiece[];
}

/** Replaces the sums in data[from, to) by what all ranks shall have there. */
export type OwnDone = (data: Float32Array, from: number, to: number) => void;

export interface ReduceOptions {
  rank: number;
  size: number;
  /** float32, shape [n], as long on every rank: summed in place, and not to be touched until done. */
  data: Float32Array;
  /** float32 by default. */
  form?: ReduceForm | undefined;
  /** What earlier rounds lost, float32, shape [n]: added to `data`, and not changed. A form's losses are dropped without it. */
  residual?: Float32Array | undefined;
  /**
   * Called once, when the sums of {@link RingAllReduce.ownRange} are whole, even if there are none: what it makes of
   * them is what all ranks get, in float32. Not with `topK`.
   */
  ownDone?: OwnDone | undefined;
}

/** Begins an all-reduce by the algorithm that {@link algorithmOf} says. */
export function allReduce(o: ReduceOptions): AllReduce {
  const algorithm = algorithmOf({ size: o.size, n: o.data.length, form: o.form, owned: o.ownDone !== undefined });
  if (algorithm === "doubling") return new Doubling(o);
  const { form = "float32" } = o;
  if (typeof form === "object") {
    assert(o.ownDone === undefined, "no rank has whole sums of its own where each sends its greatest values to all");
    return new TopKAllReduce({ ...o, share: form.topK });
  }
  return new RingAllReduce({ ...o, dtype: form });
}

/** A message received is summed as well as sent: so much more each byte of it counts. */
const SUMMED = 1.25;

/** Who asks for a form has slow links: so much more each byte counts next to a message. */
const SLOW_LINKS = 4;

/**
 * The algorithm that takes the least time, as all ranks find alike. Short messages cost as much as
 * `LIMITS.reduceLatencyBytes` long, so that what is short goes faster in a few exchanges of all values
 * (Thakur, Rabenseifner and Gropp, IJHPCA 2005), as float32 whatever the form; then nothing is lost.
 */
export function algorithmOf({
  size,
  n,
  form = "float32",
  owned,
}: {
  size: number;
  n: number;
  form?: ReduceForm | undefined;
  owned: boolean;
}): "doubling" | "ring" | "top-k" {
  const latency = LIMITS.reduceLatencyBytes / (form === "float32" ? 1 : SLOW_LINKS);
  const doubling = owned ? Infinity : Doubling.exchanges(size) * (latency + SUMMED * 4 * n);
  if (typeof form === "object") {
    const gather = (size - 1) * (latency + SUMMED * 8 * countOfShare(form.topK, n));
    return doubling <= gather ? "doubling" : "top-k";
  }
  const ring = (size - 1) * (2 * latency + ((1 + SUMMED) * bytesOfBlocks(form, n)) / size);
  return doubling <= ring ? "doubling" : "ring";
}
