/** The waits of a tab before it dials its gateway again, of its own accord and for as long as it may. */
import { LIMITS } from "@volary/core/limits";
import type { Clock } from "@volary/core/wire";

export interface BackoffOptions {
  clock: Clock;
  /** In [0, 1). */
  random: () => number;
}

export class Backoff {
  readonly #o: BackoffOptions;
  /** Dials since one was of use. */
  #attempts = 0;
  /** Ends the wait under way. */
  #wake: () => void = () => {};

  constructor(o: BackoffOptions) {
    this.#o = o;
  }

  /** None before the first dial; then they double, ± 25 %, so that tabs do not all return at once. */
  async wait(): Promise<void> {
    const attempts = this.#attempts++;
    if (attempts === 0) return;
    const { clock, random } = this.#o;
    const { leafBackoffMs, leafBackoffMaxMs } = LIMITS;
    const ms = Math.min(leafBackoffMs * 2 ** (attempts - 1), leafBackoffMaxMs) * (0.75 + 0.5 * random());
    await new Promise<void>((resolve) => {
      const cancel = clock.after(ms, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
    this.#wake = () => {};
  }

  /** The wait under way ends now. */
  hurry(): void {
    this.#wake();
  }

  /** A dial was of use: there is no wait before the next one. */
  reset(): void {
    this.#attempts = 0;
  }
}
