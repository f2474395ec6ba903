/**
 * Samples and keys of the steps that come next, read and planned before their turn: a step's plan is a pure function
 * of (step, rank, slots), so the next ones are known as long as the members stay. Data that is in memory is read one
 * step ahead at a time, while the rows of the step before are on their way; what is streamed has `fit.prefetch` steps
 * to arrive, one after another, since the stream keeps only the blocks that it was asked for last.
 */
import { EpochOrder, type Dataset } from "../../data/index.ts";
import type { JobManifest } from "../../job/index.ts";
import type { StepPlan } from "../job/plan.ts";
import type { StepRows, StepRowsFactory } from "../rows/step-rows.ts";

const PREFETCH = 2;
/** The epoch under way, and the one that is read ahead. */
const ORDERS_KEPT = 2;

/** Which samples of which step. */
export interface SliceOfStep {
  step: number;
  rank: number;
  slots: number;
  /** Of the term that the step is trained in. */
  shares?: readonly number[] | undefined;
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
  /** By step: its samples, from position `from` to `to` of its epoch's order. */
  readonly #steps = new Map<number, { from: number; to: number; rows: Read }>();
  readonly #orders = new Map<number, EpochOrder>();
  /** The last step that a stream was asked for. */
  #reading: Promise<unknown> | undefined;

  constructor(o: StepsAheadOptions) {
    this.#o = o;
  }

  /** The samples of a step, read ahead or now; they belong to the caller. */
  take(slice: SliceOfStep): Read {
    for (const [step, read] of this.#steps) {
      const { from, to } = this.#rangeOf({ ...slice, step });
      if (step < slice.step || read.from !== from || read.to !== to) this.#steps.delete(step);
    }
    const ahead = this.#steps.get(slice.step)?.rows;
    this.#steps.delete(slice.step);
    if (ahead) return ahead;
    const rows = this.#read(slice.step, this.#rangeOf(slice));
    this.#heed(rows);
    return rows;
  }

  /** Reads on behind a step, whose samples were taken. */
  readOn(slice: SliceOfStep): void {
    const { manifest, plan } = this.#o;
    const last = Math.min(plan.steps, slice.step + (manifest.fit.prefetch ?? PREFETCH));
    for (let later = slice.step + 1; later <= last; later++) {
      if (this.#steps.has(later)) continue;
      const range = this.#rangeOf({ ...slice, step: later });
      const rows = this.#reading ? this.#reading.then(() => this.#read(later, range)) : this.#read(later, range);
      this.#heed(rows);
      this.#steps.set(later, { ...range, rows });
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

  #rangeOf({ step, rank, slots, shares }: SliceOfStep): { from: number; to: number } {
    return this.#o.plan.sliceOf({ step, slot: rank, slots, shares });
  }

  #read(step: number, { from, to }: { from: number; to: number }): Read {
    const { plan, rows } = this.#o;
    const epoch = plan.epochOf(step);
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
