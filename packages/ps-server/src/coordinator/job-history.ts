/**
 * What a job's training was like: the loss of every step, the exact mean loss of every epoch, the metrics of every
 * evaluation of the held-out rows. Told to watchers bit by bit.
 */
import { LIMITS } from "@volary/core/limits";
import type { StepPlan } from "@volary/core/training";
import type { EpochNews, JobNews, StepNews, ValidationNews } from "@volary/core/wire";

/** How much of a history someone knows. */
export interface Known {
  steps: number;
  epochs: number;
  validations: number;
}

export const NOTHING_KNOWN: Known = { steps: 0, epochs: 0, validations: 0 };

export class JobHistory {
  readonly #plan: StepPlan;
  /** Mean loss of step i + 1, and its samples. */
  readonly #losses: number[] = [];
  readonly #samples: number[] = [];
  readonly #epochs: EpochNews[] = [];
  readonly #validations: ValidationNews[] = [];
  #epochLoss = 0;
  #epochSamples = 0;

  constructor(plan: StepPlan) {
    this.#plan = plan;
  }

  /** All there is to know. */
  get size(): Known {
    return { steps: this.#losses.length, epochs: this.#epochs.length, validations: this.#validations.length };
  }

  get newestValidation(): ValidationNews | undefined {
    return this.#validations.at(-1);
  }

  get newestEpoch(): EpochNews | undefined {
    return this.#epochs.at(-1);
  }

  /** Notes the next step. @param lossSum over its samples */
  commit({ samples, lossSum }: { samples: number; lossSum: number }): void {
    this.#losses.push(lossSum / samples);
    this.#samples.push(samples);
    this.#epochLoss += lossSum;
    this.#epochSamples += samples;
    const step = this.#losses.length;
    if (step % this.#plan.stepsPerEpoch === 0 || step === this.#plan.steps) this.#endEpoch(step);
  }

  /** Training ends before its last step. */
  end(): void {
    if (this.#epochSamples > 0) this.#endEpoch(this.#losses.length);
  }

  validated({ step, metrics }: Pick<ValidationNews, "step" | "metrics">): void {
    this.#validations.push({ step, epoch: this.#plan.epochOf(Math.max(1, step)), metrics });
  }

  /** What came after what is known: the newest of it, where it is a lot. */
  newsAfter(known: Known): JobNews {
    const after = <T>(all: readonly T[], count: number): T[] =>
      all.slice(Math.max(count, all.length - LIMITS.stepNewsMax));
    const firstStep = Math.max(known.steps, this.#losses.length - LIMITS.stepNewsMax);
    const steps: StepNews[] = [];
    for (let i = firstStep; i < this.#losses.length; i++) {
      steps.push({ step: i + 1, loss: this.#losses[i]!, samples: this.#samples[i]! });
    }
    return {
      steps,
      epochs: after(this.#epochs, known.epochs),
      validations: after(this.#validations, known.validations),
    };
  }

  #endEpoch(step: number): void {
    this.#epochs.push({
      epoch: this.#plan.epochOf(step),
      step,
      loss: this.#epochLoss / this.#epochSamples,
      samples: this.#epochSamples,
    });
    this.#epochLoss = 0;
    this.#epochSamples = 0;
  }
}
