/**
 * Samples and keys of the steps that come next, read and planned before their turn: a step's plan is a pure function
 * of (step, rank, slots), so the next ones are known as long as the members stay. Data that is in memory is read one
 * step ahead at a time, while the rows of the step before are on their way; what is streamed has `fit.prefetch` steps
 * to arrive, one after another, since the stream keeps only the blocks that it was asked for last.
 */
import { EpochOrder, type Dataset } from "../data/index.ts";
import type { JobManifest } from "../job/index.ts";
import type { StepPlan } from "./plan.ts";
import type { StepRows, StepRowsFactory } from "./step-rows.ts";

const PREFETCH = 2;
/** The epoch under way, and the one that is read ahead. */
const ORDERS_KEPT = 2;

/** Which samples of which step. */
export interface SliceOfStep {
  step: number;
  rank: number;
  slots: number;
}

export interface StepsAheadOptions {
  manifest: JobManifest;
  plan: StepPlan;
  dataset: Dataset;
  rows: StepRowsFactory;
}

type Read = StepRows | Promise<StepRows>;

export class StepsAhead {
  readonly #o: StepsAheadOptions;
  readonly #steps = new Map<number, SliceOfStep & { rows: Read }>();
  readonly #orders = new Map<number, EpochOrder>();
  /** The last step that a stream was asked for. */
  #reading: Promise<unknown> | undefined;

  constructor(o: StepsAheadOptions) {
    this.#o = o;
  }

  /** The samples of a step, read ahead or now; they belong to the caller. */
  take(slice: SliceOfStep): Read {
    for (const [step, read] of this.#steps) {
      if (step < slice.step || read.rank !== slice.rank || read.slots !== slice.slots) this.#steps.delete(step);
    }
    const ahead = this.#steps.get(slice.step)?.rows;
    this.#steps.delete(slice.step);
    if (ahead) return ahead;
    const rows = this.#read(slice);
    this.#heed(rows);
    return rows;
  }

  /** Reads on behind a step, whose samples were taken. */
  readOn({ step, rank, slots }: SliceOfStep): void {
    const { manifest, plan } = this.#o;
    const last = Math.min(plan.steps, step + (manifest.fit.prefetch ?? PREFETCH));
    for (let next = step + 1; next <= last; next++) {
      if (this.#steps.has(next)) continue;
      const slice = { step: next, rank, slots };
      const rows = this.#reading ? this.#reading.then(() => this.#read(slice)) : this.#read(slice);
      this.#heed(rows);
      this.#steps.set(next, { ...slice, rows });
      if (!(rows instanceof Promise)) return;
    }
  }

  drop(): void {
    this.#steps.clear();
  }

  /** What comes next waits for it; if it fails, who takes it hears of that. */
  #heed(rows: Read): void {
    if (rows instanceof Promise) this.#reading = rows.catch(() => {});
  }

  #read({ step, rank, slots }: SliceOfStep): Read {
    const { plan, rows } = this.#o;
    const epoch = plan.epochOf(step);
    const { from, to } = plan.sliceOf({ step, slot: rank, slots });
    return rows.read("train", this.#orderOf(epoch).slice(from, to), epoch);
  }

  #orderOf(epoch: number): EpochOrder {
    let order = this.#orders.get(epoch);
    if (!order) {
      const { manifest, dataset, plan } = this.#o;
      const { seed, fit } = manifest;
      const { blocks } = dataset;
      order = new EpochOrder({ rows: plan.trainRows, seed, epoch, blocks, shuffle: fit.shuffle });
      this.#orders.set(epoch, order);
      for (const old of this.#orders.keys()) if (this.#orders.size > ORDERS_KEPT) this.#orders.delete(old);
    }
    return order;
  }
}
