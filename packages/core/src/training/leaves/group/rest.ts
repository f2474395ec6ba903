import { LIMITS } from "../../../limits.ts";

/**
 * When what has failed may be tried again: after a rest, twice as long after each failure in a row. So what fails every
 * time costs little, and what failed once, of a busy moment, is soon back.
 */
export class Rest {
  #untilMs = -Infinity;
  #failures = 0;

  isOver(now: number): boolean {
    return now >= this.#untilMs;
  }

  fail(now: number): void {
    this.#untilMs = now + Math.min(LIMITS.groupRestMsMax, LIMITS.groupRestMs * 2 ** this.#failures++);
  }

  succeed(): void {
    this.#failures = 0;
  }
}
