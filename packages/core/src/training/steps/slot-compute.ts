/**
 * What one worker computes of a step: the backward pass of its slot, and, once the step is committed, the update of the
 * dense weights with the reduced gradients.
 */
import { stateHash } from "../../collective/index.ts";
import type { JobManifest } from "../../job/index.ts";
import { sumsOf, type DenseResult } from "../dense/dense-exchange.ts";
import { DenseState } from "../dense/dense-state.ts";
import type { GradientModel, StepGradients } from "../job/gradient-model.ts";
import type { StepPlan } from "../job/plan.ts";
import type { Attempt, CommittedStep } from "../job/attempt.ts";
import { ShardedState } from "../dense/sharded-state.ts";
import { refuseNonFinite } from "../job/step-fault.ts";
import type { StepRows } from "../rows/step-rows.ts";

export class SlotCompute {
  readonly #manifest: JobManifest;
  readonly #plan: StepPlan;
  readonly #model: GradientModel;
  readonly #dense: DenseState | ShardedState;

  /** @param o.weights float32, all dense variables in order; copied */
  constructor(o: { manifest: JobManifest; plan: StepPlan; model: GradientModel; weights: Float32Array }) {
    this.#manifest = o.manifest;
    this.#plan = o.plan;
    this.#model = o.model;
    const { weights, manifest } = o;
    this.#dense =
      manifest.fit.dense === "sharded"
        ? new ShardedState({ weights, manifest, rangeOf: sumsOf(weights.length) })
        : new DenseState({ weights, manifest });
    o.model.setDense(weights);
  }

  /** What a round's sums are updated with, where each worker does that for a part of them. */
  get shard(): ShardedState | undefined {
    return this.#dense instanceof ShardedState ? this.#dense : undefined;
  }

  /** Of the dense optimizer's state on this worker. */
  get stateBytes(): number {
    return this.#dense.stateBytes;
  }

  /** The dense weights: a view, valid until the next update. */
  get weights(): Float32Array {
    return this.#dense.weights;
  }

  /** For a worker that has none: weights and, unless it is sharded, optimizer state, as one copy. */
  snapshot(): Float32Array {
    return this.#dense.snapshot();
  }

  /** Takes over what {@link snapshot} gave. */
  restore(snapshot: Float32Array): void {
    this.#dense.restore(snapshot);
    this.#model.setDense(this.#dense.weights);
  }

  /** One backward pass over pulled rows, which are let go. */
  backward(step: number, rows: StepRows): Promise<StepGradients> {
    const { batch, numbers, masks } = rows;
    const { samples, label, weight } = batch;
    const globalSamples = this.#samplesOf(step);
    const sized = { samples, globalSamples, step };
    const rowIds = () => rows.rowIds();
    return this.#model.step({ rows: rows.gather(), rowIds, numbers, masks, label, weight, ...sized });
  }

  /**
   * Takes the result of {@link backward}: the row gradients are in `rows` from then on.
   *
   * @returns what is reduced: float32, the dense gradients and, as one more element, the loss
   * @throws {ClusterError} NAN_LOSS: the result is not finite
   */
  take(step: number, rows: StepRows, result: StepGradients): Float32Array {
    refuseNonFinite(result, { manifest: this.#manifest, step, plan: this.#plan, batch: rows.batch, of: "step" });
    rows.scatter(result.rowGrads);
    const data = new Float32Array(result.denseGrads.length + 1);
    data.set(result.denseGrads);
    data[data.length - 1] = result.lossSum;
    return data;
  }

  /** Names the bits of the weights and of what came of an exchange, which all workers must have. */
  hashWith({ values }: DenseResult): string {
    return stateHash(this.weights) + stateHash(values);
  }

  /** Takes over what came of a committed step's exchange. */
  apply({ step, attempt }: Attempt, { values, loss }: DenseResult): CommittedStep {
    if (this.#dense instanceof ShardedState) this.#dense.apply({ gathered: values, step });
    else this.#dense.update({ grads: values, step });
    this.#model.setDense(this.#dense.weights);
    return { step, attempt, samples: this.#samplesOf(step), lossSum: loss };
  }

  #samplesOf(step: number): number {
    const { from, to } = this.#plan.samplesOf(step);
    return to - from;
  }
}
