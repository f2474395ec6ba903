/** What the batches of each step of the plan gave, until all of them are finished, in the order of steps. */
import { assert } from "@volary/core/errors";

export interface BatchResult {
  readonly samples: number;
  /** Over its samples. */
  readonly lossSum: number;
}

export interface StepResult extends BatchResult {
  readonly step: number;
}

export class StepResults {
  readonly #batchesPerStep: number;
  /** Steps that are not whole, by their number. */
  readonly #steps = new Map<number, { batches: number; samples: number; lossSum: number }>();
  #next = 1;

  constructor({ batchesPerStep }: { batchesPerStep: number }) {
    this.#batchesPerStep = batchesPerStep;
  }

  /** A batch of `step` is finished. @returns the steps that are whole with it, none before those that precede it */
  add({ step, samples, lossSum }: StepResult): StepResult[] {
    const of = this.#steps.get(step) ?? { batches: 0, samples: 0, lossSum: 0 };
    assert(step >= this.#next && of.batches < this.#batchesPerStep, `step ${step} has a batch too many`);
    of.batches++;
    of.samples += samples;
    of.lossSum += lossSum;
    this.#steps.set(step, of);
    const whole: StepResult[] = [];
    for (let first = this.#steps.get(this.#next); first?.batches === this.#batchesPerStep;) {
      this.#steps.delete(this.#next);
      whole.push({ step: this.#next++, samples: first.samples, lossSum: first.lossSum });
      first = this.#steps.get(this.#next);
    }
    return whole;
  }
}
