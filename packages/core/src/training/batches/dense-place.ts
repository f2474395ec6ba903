/**
 * Where a worker has the dense weights of a job whose work is batches: on the PS, as rows that are pulled and pushed
 * with those of each batch; or here, where it trains its own between two rounds (`local-dense.ts`).
 */
import type { JobManifest } from "../../job/index.ts";
import { clipByNorm, clipByValue } from "../../optimizer/index.ts";
import { variableFloats } from "../dense/dense-table.ts";
import type { GradientModel } from "../job/gradient-model.ts";
import type { StepRows } from "../rows/step-rows.ts";

export interface DensePlace {
  /** Do dense weights travel with the rows of a batch? */
  readonly isPulled: boolean;
  /** The pulled rows of a batch are there: gives the model its weights. */
  begin(rows: StepRows): void;
  /**
   * The gradients of a batch of `samples` samples, clipped as the job says.
   *
   * @param grads float32, of Σ loss / global batch
   * @param of.step which the batch is of, from 1
   * @returns what is pushed with the rows
   */
  end(grads: Float32Array, of: { samples: number; step: number }): Float32Array | undefined;
}

export class DenseOnPs implements DensePlace {
  readonly isPulled = true;
  readonly #model: GradientModel;
  readonly #clip: GradientClip;

  constructor({ manifest, model }: { manifest: JobManifest; model: GradientModel }) {
    this.#model = model;
    this.#clip = new GradientClip(manifest);
  }

  begin(rows: StepRows): void {
    this.#model.setDense(rows.denseWeights(this.#model.denseFloats));
  }

  end(grads: Float32Array): Float32Array {
    this.#clip.apply(grads);
    return grads;
  }
}

/** Bounds on the dense gradients of one batch, in place. */
export class GradientClip {
  readonly #clip: JobManifest["compile"]["clip"];
  readonly #sizes: readonly number[];

  constructor({ compile, model }: JobManifest) {
    this.#clip = compile.clip;
    this.#sizes = model.variables.map(variableFloats);
  }

  apply(grads: Float32Array): void {
    if (this.#clip === undefined) return;
    const { value, norm, globalNorm } = this.#clip;
    if (value !== undefined) clipByValue(grads, 0, grads.length, value);
    if (globalNorm !== undefined) clipByNorm(grads, 0, grads.length, globalNorm);
    if (norm === undefined) return;
    let at = 0;
    for (const size of this.#sizes) {
      clipByNorm(grads, at, size, norm);
      at += size;
    }
  }
}
