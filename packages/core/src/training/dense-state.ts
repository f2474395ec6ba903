/**
 * The dense weights with their optimizer state on one worker: one flat buffer, updated by the same optimizer code
 * that serves rows on the PS. Every member of a term holds the same bits.
 */
import { assert } from "../errors.ts";
import { optimizerOf, type Optimizer, type OptimizerSpec } from "../optimizer/index.ts";

export class DenseState {
  readonly #floats: number;
  readonly #optimizer: Optimizer;
  /** [weights | optimizer state] */
  #buffer: Float32Array;

  /** @param weights float32, all variables in order; copied */
  constructor({ weights, optimizer }: { weights: Float32Array; optimizer: OptimizerSpec }) {
    this.#floats = weights.length;
    this.#optimizer = optimizerOf(optimizer);
    this.#buffer = new Float32Array(this.#floats + this.#optimizer.stateWidth(this.#floats));
    this.#buffer.set(weights);
    this.#optimizer.initState(this.#buffer, 0, this.#floats);
  }

  /** A view; valid until the next update. */
  get weights(): Float32Array {
    return this.#buffer.subarray(0, this.#floats);
  }

  /** Applies the summed gradients of `step` (from 1). @param grads float32, at least as long as the weights */
  update({ grads, step }: { grads: Float32Array; step: number }): void {
    this.#optimizer.update(this.#buffer, 0, this.#floats, grads, 0, step);
  }

  /** Everything a joiner needs, as one copy. */
  snapshot(): Float32Array {
    return this.#buffer.slice();
  }

  restore(snapshot: Float32Array): void {
    assert(
      snapshot.length === this.#buffer.length,
      `dense state of ${snapshot.length} floats, expected ${this.#buffer.length}`,
    );
    this.#buffer = snapshot.slice();
  }
}
