/**
 * The dense weights with their optimizer state on one worker: one flat buffer, updated by the same optimizer code
 * that serves rows on the PS. Every member of a term holds the same bits.
 */
import { assert } from "../../errors.ts";
import type { ClipSpec, JobManifest } from "../../job/index.ts";
import {
  clipByNorm,
  clipByValue,
  learningRateAt,
  optimizerOf,
  type Optimizer,
  type OptimizerSpec,
} from "../../optimizer/index.ts";
import { variableFloats } from "./dense-table.ts";

export class DenseState {
  readonly #floats: number;
  readonly #optimizerSpec: OptimizerSpec;
  readonly #optimizer: Optimizer;
  readonly #clip: ClipSpec | undefined;
  /** Floats of each variable, in order. */
  readonly #sizes: readonly number[];
  /** Gradients after clipping; empty without it. */
  readonly #clipped: Float32Array;
  /** [weights | optimizer state] */
  #buffer: Float32Array;

  /** @param weights float32, all variables of the manifest in order; copied */
  constructor({
    weights,
    manifest: { compile, model },
  }: {
    weights: Float32Array;
    manifest: {
      compile: Pick<JobManifest["compile"], "optimizer" | "clip">;
      model: Pick<JobManifest["model"], "variables">;
    };
  }) {
    this.#floats = weights.length;
    this.#optimizerSpec = compile.optimizer;
    this.#optimizer = optimizerOf(compile.optimizer);
    this.#clip = compile.clip;
    this.#sizes = model.variables.map(variableFloats);
    this.#clipped = new Float32Array(compile.clip === undefined ? 0 : this.#floats);
    this.#buffer = new Float32Array(this.#floats + this.#optimizer.stateWidth(this.#floats));
    this.#buffer.set(weights);
    this.#optimizer.initState(this.#buffer, 0, this.#floats);
  }

  /** A view; valid until the next update. */
  get weights(): Float32Array {
    return this.#buffer.subarray(0, this.#floats);
  }

  /** Of the optimizer's state. */
  get stateBytes(): number {
    return this.#buffer.byteLength - this.weights.byteLength;
  }

  /**
   * Applies the summed gradients of `step` (from 1), clipped as the manifest says.
   *
   * @param grads float32, at least as long as the weights; not changed
   */
  update({ grads, step }: { grads: Float32Array; step: number }): void {
    const rate = learningRateAt(this.#optimizerSpec, step);
    this.#optimizer.update(this.#buffer, 0, this.#floats, this.#bounded(grads), 0, step, rate);
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

  #bounded(grads: Float32Array): Float32Array {
    if (this.#clip === undefined) return grads;
    const { value, norm, globalNorm } = this.#clip;
    const clipped = this.#clipped;
    clipped.set(grads.subarray(0, this.#floats));
    if (value !== undefined) clipByValue(clipped, 0, this.#floats, value);
    if (norm !== undefined) {
      let at = 0;
      for (const size of this.#sizes) {
        clipByNorm(clipped, at, size, norm);
        at += size;
      }
    }
    if (globalNorm !== undefined) clipByNorm(clipped, 0, this.#floats, globalNorm);
    return clipped;
  }
}
