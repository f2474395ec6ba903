/**
 * The dense weights on one worker, with the optimizer's state of its own range of them alone (ZeRO-1: Rajbhandari et
 * al., SC 2020). A round sums the gradients of a range where its state is, puts the new weights in their place, and
 * gathers those on all workers; nothing of it is taken over before the step is committed.
 *
 * When the members change, their ranges do. The state is then handed over (`state-moves.ts`), and what it was stays
 * until a step is committed with the new ranges: a term that begins before that starts from the old ones again. The
 * state of a member that is lost is lost with it, and begins anew.
 */
import { assert, ProtocolError } from "../../errors.ts";
import type { JobManifest } from "../../job/index.ts";
import { LIMITS } from "../../limits.ts";
import { clipByValue, isElementwise, learningRateAt, optimizerOf } from "../../optimizer/index.ts";
import type { Optimizer, OptimizerSpec } from "../../optimizer/index.ts";
import { stateMoves, type RangeOf, type WeightRange } from "./state-moves.ts";

/** Weights that are updated at a time. */
const BLOCK_FLOATS = 128;

/** The state of some weights: for each float of state that a weight has, one of all of them, then the next. */
export interface StatePart extends WeightRange {
  state: Float32Array;
}

/** What a member needs of this worker's state. */
export interface StateForHeir extends StatePart {
  worker: number;
}

interface Members {
  owners: readonly number[];
  members: readonly number[];
  worker: number;
}

export class ShardedState {
  readonly #optimizerSpec: OptimizerSpec;
  readonly #optimizer: Optimizer;
  readonly #clipValue: number | undefined;
  /** Floats of state that a weight has. */
  readonly #width: number;
  readonly #rangeOf: RangeOf;
  /** [weights | optimizer state] of one block. */
  readonly #block: Float32Array;
  #weights: Float32Array;
  /** As the step left it that was committed last; undefined where this worker had no part in that. */
  #part: StatePart | undefined;
  /** What is to be the state of the members of the attempt under way, if they are others. */
  #next: StatePart | undefined;
  /** Floats of each piece of it that is still to come, by its first weight. */
  #missing = new Map<number, number>();
  /** Summed gradients of the own range, until their step is committed or summed again. */
  #sums: Float32Array = new Float32Array(0);

  /**
   * @param weights float32, all variables of the manifest in order; copied
   * @param rangeOf of which weights a rank sums the gradients in a round
   * @throws {RangeError} the optimizer, or the bound on gradients, needs all gradients of a variable together
   */
  constructor({
    weights,
    manifest: { compile },
    rangeOf,
  }: {
    weights: Float32Array;
    manifest: { compile: Pick<JobManifest["compile"], "optimizer" | "clip"> };
    rangeOf: RangeOf;
  }) {
    refuseUnshardable(compile);
    this.#weights = weights.slice();
    this.#optimizerSpec = compile.optimizer;
    this.#optimizer = optimizerOf(compile.optimizer);
    this.#clipValue = compile.clip?.value;
    this.#width = this.#optimizer.stateWidth(1);
    this.#rangeOf = rangeOf;
    this.#block = new Float32Array(BLOCK_FLOATS * (1 + this.#width));
  }

  /** A view; valid until the next update. */
  get weights(): Float32Array {
    return this.#weights;
  }

  /** Of the optimizer's state, and what updating it needs. */
  get stateBytes(): number {
    return (this.#part?.state.byteLength ?? 0) + (this.#next?.state.byteLength ?? 0) + this.#block.byteLength;
  }

  /** What a joiner needs, as one copy: the weights. State it gets from its owners. */
  snapshot(): Float32Array {
    return this.#weights.slice();
  }

  restore(snapshot: Float32Array): void {
    const { length } = this.#weights;
    assert(snapshot.length === length, `dense weights of ${snapshot.length} floats, expected ${length}`);
    this.#weights = snapshot.slice();
    this.#part = undefined;
    this.#next = undefined;
  }

  /**
   * Makes ready for a step that `members` train, where the state after the step before is split over `owners`.
   *
   * @returns what other members need of this worker's state, as copies; and what of its own range begins anew, since
   *   who had its state is lost
   */
  arrange({ owners, members, worker }: Members): { send: StateForHeir[]; lost: WeightRange[] } {
    this.#next = undefined;
    this.#missing.clear();
    const send: StateForHeir[] = [];
    const lost: WeightRange[] = [];
    if (same(owners, members)) {
      assert(this.#part !== undefined, `worker ${worker} has no state, and is an owner of it`);
      return { send, lost };
    }
    const own = this.#rangeOf({ rank: members.indexOf(worker), size: members.length });
    const next = this.#begin(own);
    for (const { from, to, owner, heir } of stateMoves({ owners, members, rangeOf: this.#rangeOf })) {
      if (owner === undefined && heir === worker && owners.length > 0) lost.push({ from, to });
      if (owner === undefined || this.#width === 0) continue;
      for (const piece of pieces({ from, to })) {
        if (owner === worker && heir === worker) this.#copy(next, this.#pieceOf(piece));
        else if (owner === worker) send.push({ worker: heir, ...this.#pieceOf(piece) });
        else if (heir === worker) this.#missing.set(piece.from, (piece.to - piece.from) * this.#width);
      }
    }
    this.#next = next;
    return { send, lost };
  }

  /** Has everything come that was arranged? */
  get isWhole(): boolean {
    return this.#missing.size === 0;
  }

  /**
   * Takes a piece of state that another worker has sent.
   *
   * @throws {ProtocolError} it is none that is to come
   */
  take({ from, state }: Pick<StatePart, "from" | "state">): void {
    const next = this.#next;
    if (!next || this.#missing.get(from) !== state.length)
      throw new ProtocolError(`${state.length} floats of state from weight ${from} on are none that were to come`);
    this.#missing.delete(from);
    this.#copy(next, { from, to: from + state.length / this.#width, state });
  }

  /**
   * Puts the new weights in the place of the summed gradients of this worker's range. Nothing changes yet.
   *
   * @param data float32, in the order of the weights: the sums at [from, to)
   */
  propose({ data, from, to, step }: { data: Float32Array; step: number } & WeightRange): void {
    const part = this.#next ?? this.#part;
    assert(
      part?.from === from && part.to === to && this.isWhole,
      `sums of the weights ${from} … ${to}, and state of ${part?.from} … ${part?.to}`,
    );
    if (this.#sums.length !== to - from) this.#sums = new Float32Array(to - from);
    this.#sums.set(data.subarray(from, to));
    if (this.#clipValue !== undefined) clipByValue(this.#sums, 0, this.#sums.length, this.#clipValue);
    this.#update({ part, step, updated: (at, length) => data.set(this.#block.subarray(0, length), from + at) });
  }

  /** Takes over the weights that a committed step's round has gathered. @param gathered float32, at least the weights */
  apply({ gathered, step }: { gathered: Float32Array; step: number }): void {
    const part = this.#next ?? this.#part;
    assert(part !== undefined, `step ${step} is committed, and this worker had no part in it`);
    this.#update({ part, step, updated: (at, length) => this.#store(part, { at, length }) });
    this.#weights.set(gathered.subarray(0, this.#weights.length));
    this.#part = part;
    this.#next = undefined;
  }

  /** Updates a copy of each block of the own range; `updated` is told when it stands in `#block`. */
  #update(o: { part: StatePart; step: number; updated: (at: number, length: number) => void }): void {
    const { part, step, updated } = o;
    const floats = part.to - part.from;
    const rate = learningRateAt(this.#optimizerSpec, step);
    const block = this.#block;
    for (let at = 0; at < floats; at += BLOCK_FLOATS) {
      const length = Math.min(BLOCK_FLOATS, floats - at);
      block.set(this.#weights.subarray(part.from + at, part.from + at + length));
      for (let k = 0; k < this.#width; k++)
        block.set(part.state.subarray(k * floats + at, k * floats + at + length), (k + 1) * length);
      this.#optimizer.update(block, 0, length, this.#sums, at, step, rate);
      updated(at, length);
    }
  }

  /** The state of weights that are what they are, and were never updated. */
  #begin({ from, to }: WeightRange): StatePart {
    const part = { from, to, state: new Float32Array((to - from) * this.#width) };
    for (let at = 0; at < to - from; at += BLOCK_FLOATS) {
      const length = Math.min(BLOCK_FLOATS, to - from - at);
      this.#block.set(this.#weights.subarray(from + at, from + at + length));
      this.#optimizer.initState(this.#block, 0, length);
      this.#store(part, { at, length });
    }
    return part;
  }

  /** The state of `#block` becomes that of some weights of a part. */
  #store({ from, to, state }: StatePart, { at, length }: { at: number; length: number }): void {
    for (let k = 0; k < this.#width; k++)
      state.set(this.#block.subarray((k + 1) * length, (k + 2) * length), k * (to - from) + at);
  }

  #pieceOf({ from, to }: WeightRange): StatePart {
    const floats = to - from;
    const piece = { from, to, state: new Float32Array(floats * this.#width) };
    assert(this.#part !== undefined, `state of the weights ${from} … ${to} is to be handed over, and is not here`);
    copyState(this.#part, piece, { from, to });
    return piece;
  }

  #copy(to: StatePart, piece: StatePart): void {
    copyState(piece, to, piece);
  }
}

/** Copies the state of a range that both parts have. */
function copyState(source: StatePart, target: StatePart, { from, to }: WeightRange): void {
  const sourceFloats = source.to - source.from;
  const targetFloats = target.to - target.from;
  for (let k = 0; k * sourceFloats < source.state.length; k++) {
    const at = k * sourceFloats + from - source.from;
    target.state.set(source.state.subarray(at, at + to - from), k * targetFloats + from - target.from);
  }
}

/** The range in pieces that a frame takes. */
function pieces({ from, to }: WeightRange): WeightRange[] {
  const floats = LIMITS.stateShareFloats;
  return Array.from({ length: Math.ceil((to - from) / floats) }, (_, i) => ({
    from: from + i * floats,
    to: Math.min(from + (i + 1) * floats, to),
  }));
}

function same(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((x, i) => x === b[i]);
}

/** @throws {RangeError} the state of some weights cannot be updated without the gradients of others */
export function refuseUnshardable({ optimizer, clip }: Pick<JobManifest["compile"], "optimizer" | "clip">): void {
  if (!isElementwise(optimizer))
    throw new RangeError(
      `fit.dense is "sharded", and ${optimizer.kind} updates no weight by itself; use adam() or leave it out`,
    );
  const bound = clip?.norm !== undefined ? "norm" : clip?.globalNorm !== undefined ? "globalNorm" : undefined;
  if (bound !== undefined)
    throw new RangeError(
      `fit.dense is "sharded", and compile.clip.${bound} needs all gradients in one place; use clip.value or leave it out`,
    );
}
