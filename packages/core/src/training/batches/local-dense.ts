/**
 * Dense weights that a worker trains for itself, and what becomes of them in rounds (local SGD): members average the
 * change since the last round, and each applies the mean to the weights that all had then.
 *
 * With Nesterov's momentum the mean change is a gradient for the weights of the last round (Douillard et al., "DiLoCo",
 * arXiv:2311.08105): v = momentum · v + change; w += rate · (change + momentum · v).
 */
import { ProtocolError } from "../../errors.ts";
import type { OuterSpec } from "../../consistency/index.ts";
import type { JobManifest } from "../../job/index.ts";
import { learningRateAt, optimizerOf, type Optimizer, type OptimizerSpec } from "../../optimizer/index.ts";
import type { GradientModel } from "../job/gradient-model.ts";
import { GradientClip, type DensePlace } from "./dense-place.ts";

export class LocalDense implements DensePlace {
  readonly isPulled = false;
  readonly #model: GradientModel;
  readonly #outer: OuterSpec;
  readonly #batchSize: number;
  readonly #clip: GradientClip;
  readonly #optimizerSpec: OptimizerSpec;
  readonly #optimizer: Optimizer;
  readonly #floats: number;
  /** [weights | state of the job's optimizer] */
  readonly #local: Float32Array;
  /** Weights after the last round, and momentum: what members have in common. */
  readonly #common: Float32Array;
  #updates = 0;
  #round = 0;
  /** Does the model have other weights than the local ones? */
  #isModelOld = true;

  /** @param o.weights float32, the initial ones; copied */
  constructor(o: { manifest: JobManifest; model: GradientModel; outer: OuterSpec; weights: Float32Array }) {
    const { compile, fit } = o.manifest;
    this.#model = o.model;
    this.#outer = o.outer;
    this.#batchSize = fit.batchSize;
    this.#clip = new GradientClip(o.manifest);
    this.#optimizerSpec = compile.optimizer;
    this.#optimizer = optimizerOf(compile.optimizer);
    this.#floats = o.weights.length;
    this.#local = new Float32Array(this.#floats + this.#optimizer.stateWidth(this.#floats));
    this.#local.set(o.weights);
    this.#optimizer.initState(this.#local, 0, this.#floats);
    this.#common = new Float32Array(2 * this.#floats);
    this.#common.set(o.weights);
  }

  /** The last round that these weights have; 0 for the initial ones. */
  get round(): number {
    return this.#round;
  }

  /** Weights after the last round: a view. */
  get weights(): Float32Array {
    return this.#common.subarray(0, this.#floats);
  }

  begin(): void {
    if (!this.#isModelOld) return;
    this.#model.setDense(this.#local.subarray(0, this.#floats));
    this.#isModelOld = false;
  }

  /**
   * A local step: of the mean over the batch's own samples, at the job's step in a schedule, however late this worker
   * came. A batch without samples is none.
   */
  end(grads: Float32Array, { samples, step }: { samples: number; step: number }): undefined {
    if (samples === 0) return;
    const share = this.#batchSize / samples;
    for (let i = 0; i < grads.length; i++) grads[i] = grads[i]! * share;
    this.#clip.apply(grads);
    const updates = ++this.#updates;
    const rate = learningRateAt(this.#optimizerSpec, step);
    this.#optimizer.update(this.#local, 0, this.#floats, grads, 0, updates, rate);
    this.#isModelOld = true;
  }

  /** Before held-out rows are evaluated: as after the last round. */
  giveCommon(): void {
    this.#model.setDense(this.weights);
    this.#isModelOld = true;
  }

  /**
   * What this worker brings to a round: its change since the last one, times its share.
   *
   * @returns float32, a new array; zeros where it missed rounds, and has no change that counts
   */
  change({ round, share }: { round: number; share: number }): Float32Array {
    const change = new Float32Array(this.#floats);
    if (round !== this.#round + 1 || share === 0) return change;
    for (let i = 0; i < change.length; i++) change[i] = (this.#local[i]! - this.#common[i]!) * share;
    return change;
  }

  /** Goes on from the mean change of a round; one that is not the next changes nothing. */
  commit({ round, mean }: { round: number; mean: Float32Array }): void {
    if (round !== this.#round + 1) return;
    const n = this.#floats;
    if (this.#outer.kind === "average") {
      for (let i = 0; i < n; i++) this.#common[i] = this.#common[i]! + mean[i]!;
    } else {
      const { learningRate, momentum } = this.#outer;
      for (let i = 0; i < n; i++) {
        const v = Math.fround(Math.fround(momentum * this.#common[n + i]!) + mean[i]!);
        this.#common[n + i] = v;
        this.#common[i] = this.#common[i]! + learningRate * (mean[i]! + momentum * v);
      }
    }
    this.#goOnFrom(round);
  }

  /** What a worker needs that missed rounds: weights and momentum, as a copy. */
  snapshot(): Float32Array {
    return this.#common.slice();
  }

  /**
   * Takes over what {@link snapshot} gave after `round`, unless it is older than what is here.
   *
   * @throws {ProtocolError} it is as long as that of another model
   */
  restore({ round, snapshot }: { round: number; snapshot: Float32Array }): void {
    if (round <= this.#round) return;
    const { length } = this.#common;
    if (snapshot.length !== length)
      throw new ProtocolError(
        `the dense state after round ${round} has ${snapshot.length} floats; this job's has ${length}`,
      );
    this.#common.set(snapshot);
    this.#goOnFrom(round);
  }

  /** The optimizer's state stays: each worker has its own (DiLoCo). */
  #goOnFrom(round: number): void {
    this.#round = round;
    this.#local.set(this.weights);
    this.#isModelOld = true;
  }
}
