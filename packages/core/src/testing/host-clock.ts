/** The clock of one simulated process: it began at another time than others, and runs a little faster or slower. */
import type { Clock } from "../wire/index.ts";

export interface HostClockOptions {
  /** Its milliseconds in one of the network's; 1 by default. */
  rate?: number;
  /** What it shows when the network's clock shows 0. */
  startMs?: number;
}

export class HostClock implements Clock {
  readonly #true: Clock;
  /** Runs a timer when its process can. */
  readonly #run: (timer: () => void) => void;
  readonly #rate: number;
  readonly #startMs: number;

  constructor(trueClock: Clock, run: (timer: () => void) => void, { rate = 1, startMs = 0 }: HostClockOptions) {
    this.#true = trueClock;
    this.#run = run;
    this.#rate = rate;
    this.#startMs = startMs;
  }

  now(): number {
    return this.#startMs + this.#rate * this.#true.now();
  }

  after(delayMs: number, run: () => void): () => void {
    let cancelled = false;
    const cancel = this.#true.after(delayMs / this.#rate, () => this.#run(() => (cancelled ? undefined : run())));
    return () => {
      cancelled = true;
      cancel();
    };
  }
}
