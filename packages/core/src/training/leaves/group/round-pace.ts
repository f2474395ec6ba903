/**
 * How long a reducer waits for the sum of a round, from when its own part is computed. It follows from what rounds took so
 * far, and doubles with each one that was not waited for, so that it follows a network that becomes slower.
 */
import { LIMITS } from "../../../limits.ts";
import { unusuallyLong } from "../../../statistics.ts";

const TIMES_KEPT = 32;

export class RoundPace {
  /** Milliseconds from when the reducer had computed its part to when all had the sum. */
  readonly #times: number[] = [];
  #failures = 0;

  /** The median and several median absolute deviations, as for tasks. */
  get waitMs(): number {
    if (this.#times.length < 3) return LIMITS.leafFirstMs;
    const patient = Math.max(LIMITS.leafLateMsMin, unusuallyLong(this.#times)) * 2 ** this.#failures;
    return Math.min(LIMITS.leafFirstMs, patient);
  }

  /** All had the sum after `ms`. */
  note(ms: number): void {
    this.#failures = 0;
    this.#times.push(ms);
    if (this.#times.length > TIMES_KEPT) this.#times.shift();
  }

  /** It was not there in time. */
  fail(): void {
    this.#failures++;
  }
}
