/**
 * The toy job with gradients that are whole numbers and depend on no weight, and plain gradient descent from zeros: in
 * whichever order its batches are applied, each exactly once gives these rows and no others.
 */
import { EpochOrder, type Batch } from "@volary/core/data";
import type { JobManifest } from "@volary/core/job";
import { placeOfBatch, stepPlan, type GradientModel, type StepPlan } from "@volary/core/training";
import { DENSE_FLOATS, toyDataset, toyManifest, toyModel } from "./toy-job.ts";

/** A power of two: its products with whole numbers are exact. */
export const COUNTING_RATE = 0.5;

export function countingManifest(of: Parameters<typeof toyManifest>[0]): JobManifest {
  const manifest = toyManifest(of);
  const optimizer = { kind: "sgd", learningRate: COUNTING_RATE } as const;
  return {
    ...manifest,
    name: "counting",
    tables: manifest.tables.map((table) => ({ ...table, initializer: { kind: "zeros" }, optimizer })),
    compile: { ...manifest.compile, optimizer },
  };
}

export function isCounting({ name }: JobManifest): boolean {
  return name === "counting";
}

/** What a sample counts, from 1 to 10. */
function countOf(number: number): number {
  return Math.round(10 * number) + 1;
}

/** @param o.compute takes as long as a batch's computing */
export function countingModel({ compute }: { compute?: () => Promise<void> } = {}): GradientModel {
  return {
    ...toyModel(),
    step: async ({ numbers, samples }) => {
      await compute?.();
      return gradientsOf(numbers, samples);
    },
  };
}

function gradientsOf(numbers: Float32Array, samples: number) {
  const width = 5;
  const rowGrads = new Float32Array(samples * width);
  const denseGrads = new Float32Array(DENSE_FLOATS);
  let lossSum = 0;
  for (let b = 0; b < samples; b++) {
    const count = countOf(numbers[b]!);
    lossSum += count;
    for (let e = 0; e < width; e++) rowGrads[b * width + e] = e % 2 === 0 ? count : 1;
    for (let d = 0; d < DENSE_FLOATS; d++) denseGrads[d] = denseGrads[d]! + count * (d + 1);
  }
  return { rowGrads, denseGrads, lossSum };
}

/** What one batch does. */
export interface CountedBatch {
  readonly batch: number;
  readonly epoch: number;
  /** Its rows of the data. */
  readonly samples: Uint32Array;
  readonly lossSum: number;
  /** Of each table the gradients by key. */
  readonly tables: ReadonlyMap<string, ReadonlyMap<bigint, Float64Array>>;
  readonly denseGrads: Float32Array;
}

/** Cuts a job into its batches, and counts them. */
export class BatchCounter {
  readonly plan: StepPlan;
  readonly #manifest: JobManifest;
  readonly #dataset = toyDataset();

  constructor(manifest: JobManifest) {
    this.#manifest = manifest;
    this.plan = stepPlan({ manifest, trainRows: this.#dataset.trainRows });
  }

  samplesOf(batch: number): { epoch: number; samples: Uint32Array } {
    const { seed, fit, workersMin } = this.#manifest;
    const { step, slot } = placeOfBatch(this.#manifest, batch);
    const epoch = this.plan.epochOf(step);
    const order = new EpochOrder({ rows: this.plan.trainRows, seed, epoch, shuffle: fit.shuffle });
    const { from, to } = this.plan.sliceOf({ step, slot, slots: workersMin });
    return { epoch, samples: order.slice(from, to) };
  }

  count(batch: number): CountedBatch {
    const { epoch, samples } = this.samplesOf(batch);
    const read = this.#dataset.read("train", samples);
    const { rowGrads, denseGrads, lossSum } = gradientsOf(read.numbers.get("n")!, read.samples);
    return { batch, epoch, samples, lossSum, denseGrads, tables: this.#byKey(read, rowGrads) };
  }

  #byKey(read: Batch, rowGrads: Float32Array): Map<string, Map<bigint, Float64Array>> {
    const { embeddings } = this.#manifest.model;
    const tables = new Map(embeddings.map(({ table }) => [table, new Map<bigint, Float64Array>()]));
    let from = 0;
    for (const { field, table, dim } of embeddings) {
      const keys = new BigUint64Array(read.keys.get(field)!.slice().buffer);
      const rows = tables.get(table)!;
      const width = rowGrads.length / read.samples;
      for (const [b, key] of keys.entries()) {
        const sum = rows.get(key) ?? new Float64Array(dim);
        rows.set(key, sum);
        for (let d = 0; d < dim; d++) sum[d] = sum[d]! + rowGrads[b * width + from + d]!;
      }
      from += dim;
    }
    return tables;
  }
}
