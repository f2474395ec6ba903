/** From which time on a batch is late: by what the newest batches took, so that it fits any model and machine. */
import { LIMITS } from "@volary/core/limits";

const TIMES_KEPT = 64;

export class Lateness {
  readonly #times: number[] = [];

  note(ms: number): void {
    this.#times.push(ms);
    if (this.#times.length > TIMES_KEPT) this.#times.shift();
  }

  /** Nothing is late before the first batch is done. */
  get deadlineMs(): number {
    if (this.#times.length === 0) return Infinity;
    return Math.max(LIMITS.lateMsMin, deadlineOf(this.#times));
  }
}

/** What is unusually long beside these times: their median, and several of their median absolute deviations more. */
export function deadlineOf(times: readonly number[]): number {
  const usual = median(times);
  const deviation = median(times.map((ms) => Math.abs(ms - usual)));
  return usual + LIMITS.lateDeviations * deviation;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
