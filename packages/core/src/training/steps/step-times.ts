/**
 * What a worker tells the coordinator of its speed: the newest step that it has computed, and how long its samples took.
 * Told when a step is computed, but not at every one where steps are short.
 */
import { LIMITS } from "../../limits.ts";
import type { Clock, ControlOf } from "../../wire/index.ts";

export interface ComputedStep {
  term: number;
  step: number;
  samples: number;
  /** Of the backward pass and what surrounds it, without waiting for others. */
  computeMs: number;
}

export interface StepTimesOptions {
  job: number;
  clock: Clock;
  tell: (control: ControlOf<"step-times">) => void;
}

export class StepTimes {
  readonly #o: StepTimesOptions;
  /** Since the coordinator was told. */
  #sum: ComputedStep | undefined;
  #mayTellAt = -Infinity;
  #cancel: (() => void) | undefined;

  constructor(o: StepTimesOptions) {
    this.#o = o;
  }

  add({ term, step, samples, computeMs }: ComputedStep): void {
    const { samples: samplesBefore, computeMs: msBefore } = this.#sum ?? { samples: 0, computeMs: 0 };
    this.#sum = { term, step, samples: samplesBefore + samples, computeMs: msBefore + computeMs };
    const { clock } = this.#o;
    const waitMs = this.#mayTellAt - clock.now();
    if (waitMs <= 0) this.#tell();
    else this.#cancel ??= clock.after(waitMs, () => this.#tell());
  }

  close(): void {
    this.#cancel?.();
  }

  #tell(): void {
    const { job, clock, tell } = this.#o;
    this.#cancel?.();
    this.#cancel = undefined;
    this.#mayTellAt = clock.now() + LIMITS.stepTimesEveryMs;
    tell({ type: "step-times", job, ...this.#sum! });
    this.#sum = undefined;
  }
}
