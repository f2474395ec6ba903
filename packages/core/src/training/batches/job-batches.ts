/**
 * The batches of a job whose work the coordinator gives out: each step of the plan is cut into as many as the job waits
 * for workers, so which samples a batch has is a pure function of its number.
 */
import { EpochOrder, weighingSamples, type Batch, type Dataset } from "../../data/index.ts";
import { ClusterError } from "../../errors.ts";
import type { JobManifest } from "../../job/index.ts";
import type { StepPlan } from "../job/plan.ts";

/** The epoch under way, and the one before or after it. */
const ORDERS_KEPT = 2;

/** A batch's place in the plan. */
export interface BatchPlace {
  /** From 1. */
  readonly step: number;
  readonly slot: number;
}

/** Batches of each step. */
export function batchesPerStep({ workersMin }: Pick<JobManifest, "workersMin">): number {
  return workersMin;
}

/** Batches of the whole job. */
export function batchCount(manifest: Pick<JobManifest, "workersMin">, { steps }: Pick<StepPlan, "steps">): number {
  return steps * batchesPerStep(manifest);
}

/** @param batch from 0 */
export function placeOfBatch(manifest: Pick<JobManifest, "workersMin">, batch: number): BatchPlace {
  const slots = batchesPerStep(manifest);
  return { step: Math.floor(batch / slots) + 1, slot: batch % slots };
}

/** How many samples a batch has, those that weigh nothing among them. */
export function samplesOfBatch(
  manifest: Pick<JobManifest, "workersMin">,
  plan: Pick<StepPlan, "sliceOf">,
  batch: number,
): number {
  const { from, to } = plan.sliceOf({ ...placeOfBatch(manifest, batch), slots: batchesPerStep(manifest) });
  return to - from;
}

/** Reads batches. */
export class JobBatches {
  readonly #o: { manifest: JobManifest; plan: StepPlan; dataset: Dataset };
  readonly #orders = new Map<number, EpochOrder>();

  constructor(o: { manifest: JobManifest; plan: StepPlan; dataset: Dataset }) {
    this.#o = o;
  }

  /**
   * The samples of a batch, those aside that weigh nothing.
   *
   * @throws {ClusterError} PROTOCOL_VIOLATION: the job has no such batch; BAD_DATA: as the data set
   */
  async read(batch: number): Promise<Batch> {
    const { manifest, plan, dataset } = this.#o;
    const batches = batchCount(manifest, plan);
    if (batch >= batches)
      throw new ClusterError("PROTOCOL_VIOLATION", `batch ${batch} is given, but the job has ${batches}`);
    const place = placeOfBatch(manifest, batch);
    const { from, to } = plan.sliceOf({ ...place, slots: batchesPerStep(manifest) });
    const epoch = plan.epochOf(place.step);
    return weighingSamples(await dataset.read("train", this.#orderOf(epoch).slice(from, to), epoch));
  }

  #orderOf(epoch: number): EpochOrder {
    let order = this.#orders.get(epoch);
    if (!order) {
      const { manifest, dataset, plan } = this.#o;
      const { seed, fit } = manifest;
      order = new EpochOrder({ rows: plan.trainRows, seed, epoch, blocks: dataset.blocks, shuffle: fit.shuffle });
      this.#orders.set(epoch, order);
      for (const old of this.#orders.keys()) if (this.#orders.size > ORDERS_KEPT) this.#orders.delete(old);
    }
    return order;
  }
}
