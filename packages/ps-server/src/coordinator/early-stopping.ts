/**
 * Ends training when what it watches no longer becomes better: the rule of tfjs's `callbacks.earlyStopping`, as data
 * in the job manifest and decided here, so that it holds whoever watches the job.
 */
import type { EarlyStoppingSpec } from "@volary/core/job";

interface Seen {
  step: number;
  value: number;
}

export class EarlyStopping {
  readonly #spec: EarlyStoppingSpec;
  #best: Seen | undefined;
  #newest = 0;
  /** Evaluations since the best one. */
  #waited = 0;

  constructor(spec: EarlyStoppingSpec) {
    this.#spec = spec;
  }

  /**
   * Takes the value after a step; one step counts once.
   *
   * @returns why training should end here, for people, if it should
   */
  take({ step, value }: Seen): string | undefined {
    if (step <= this.#newest) return undefined;
    this.#newest = step;
    const { monitor, patience, minDelta, mode } = this.#spec;
    const best = this.#best;
    const gain = best === undefined ? Infinity : mode === "max" ? value - best.value : best.value - value;
    if (gain > minDelta) {
      this.#best = { step, value };
      this.#waited = 0;
      return undefined;
    }
    this.#waited++;
    if (this.#waited < patience) return undefined;
    return (
      `stopped early after step ${step}: ${monitor} is ${short(value)}, no better than ` +
      `${short(best!.value)} after step ${best!.step}`
    );
  }
}

const short = (value: number): string => value.toPrecision(5);
