/**
 * How many samples a volunteer is given, and how long it is waited for. Both follow from what it took so far, as its
 * reducer saw it, so that nothing a volunteer claims can hold a step up.
 */
import { LIMITS } from "../../limits.ts";
import { median, unusuallyLong } from "../../statistics.ts";

const TIMES_KEPT = 32;
/** So many tasks in time before a share grows. */
const CALM_TASKS = 3;
/** After it shrank, a share stays for so many tasks, twice as many each time. */
const SETTLED_TASKS = 16;
const SETTLED_TASKS_MAX = 1024;

export class LeafPace {
  /** Milliseconds from when a task was given to when its update was there. */
  readonly #times: number[] = [];
  #samples: number;
  #calm = 0;
  #settle = 0;
  #settleFor = SETTLED_TASKS;
  #patienceMs: number = LIMITS.leafPatienceMs;

  /** @param probe what the volunteer says that one step took it; only its first share depends on it */
  constructor(probe: { samples: number; computeMs: number }, { stepMs }: { stepMs: number }) {
    const perMs = probe.samples / Math.max(probe.computeMs, 0.1);
    this.#samples = sizeAtMost((perMs * stepMs) / 2);
  }

  /** A power of two, so that a device meets few shapes: each new one may cost it a compilation. */
  get samples(): number {
    return this.#samples;
  }

  /** What a task usually takes; undefined before the first update. */
  get usualMs(): number | undefined {
    return this.#times.length === 0 ? undefined : median(this.#times);
  }

  /** Longer than this is unusually long: the median and several median absolute deviations, as for batches. */
  get deadlineMs(): number {
    if (this.#times.length === 0) return LIMITS.leafFirstMs;
    const unusual = this.#times.length < 3 ? 3 * median(this.#times) : unusuallyLong(this.#times);
    return Math.min(LIMITS.leafLongestMs, Math.max(LIMITS.leafLateMsMin, unusual));
  }

  /** How long steps may yet be held up by this volunteer; below 0 they were held up for too long already. */
  get patienceMs(): number {
    return this.#patienceMs;
  }

  /** A step has begun, so there is more patience. */
  earn(ms: number): void {
    this.#patienceMs = Math.min(LIMITS.leafLongestMs, this.#patienceMs + ms);
  }

  /** A step was held up by this volunteer for longer than steps may be: what is over what was left is to be made up for. */
  spend(ms: number): void {
    this.#patienceMs -= ms;
  }

  /**
   * An update came, in time or late.
   *
   * @param samples of its task: fewer than its share where there was no room for more
   * @param ms since its task was given; counts as no more than anyone would have waited
   * @param waitedMs how long everything else waited for it
   * @param stepMs what everything else took
   */
  note({ samples, ms, waitedMs, stepMs }: { samples: number; ms: number; waitedMs: number; stepMs: number }): void {
    this.#times.push(Math.min(ms, LIMITS.leafFirstMs));
    if (this.#times.length > TIMES_KEPT) this.#times.shift();
    if (waitedMs > stepMs / 4) this.#shrink();
    else if (waitedMs > 0 || samples < this.#samples || this.#settle-- > 0) this.#calm = 0;
    else if (++this.#calm >= CALM_TASKS) this.#grow();
  }

  #shrink(): void {
    this.#calm = 0;
    if (this.#samples === LIMITS.leafSamplesMin) return;
    this.#samples /= 2;
    this.#settle = this.#settleFor;
    this.#settleFor = Math.min(2 * this.#settleFor, SETTLED_TASKS_MAX);
  }

  #grow(): void {
    this.#calm = 0;
    if (2 * this.#samples > LIMITS.leafSamplesMax) return;
    this.#samples *= 2;
    for (const [i, ms] of this.#times.entries()) this.#times[i] = 2 * ms;
  }
}

/** The greatest power of two that is not over `samples`, and not under the least share. */
export function sizeAtMost(samples: number): number {
  let size: number = LIMITS.leafSamplesMin;
  while (2 * size <= Math.min(samples, LIMITS.leafSamplesMax)) size *= 2;
  return size;
}
