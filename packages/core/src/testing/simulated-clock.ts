/**
 * A clock that stands still until a test lets time pass. Timers run in the order of their times, equal times in the
 * order they were set; after each one everything that awaits gets its turn, so one seed gives one history.
 */
import type { Clock } from "../wire/index.ts";

interface Timer {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
  cancelled: boolean;
}

export interface SimulatedClockOptions {
  /** Resolves once all promises that can go on have gone on. By default one turn of the event loop. */
  settle?: () => Promise<void>;
}

export class SimulatedClock implements Clock {
  readonly #settleGiven: (() => Promise<void>) | undefined;
  #settle: () => Promise<void> = async () => {};
  /** A binary heap: the next timer is the first. */
  readonly #timers: Timer[] = [];
  #now = 0;
  #order = 0;
  #running = false;

  constructor({ settle }: SimulatedClockOptions = {}) {
    this.#settleGiven = settle;
  }

  now(): number {
    return this.#now;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { at: this.#now + Math.max(0, delayMs), order: this.#order++, run, cancelled: false };
    this.#insert(timer);
    return () => {
      timer.cancelled = true;
    };
  }

  /**
   * Lets time pass.
   *
   * @throws what a timer throws; the clock stands at that time then
   */
  advance(ms: number): Promise<void> {
    const to = this.#now + ms;
    return this.#exclusive(async () => {
      await this.#settle();
      while (await this.#runNext(to));
      this.#now = to;
    });
  }

  /**
   * Lets time pass until a promise settles.
   *
   * @throws {Error} nothing is left to happen, or `limitMs` have passed
   */
  until<T>(done: Promise<T>, { limitMs = 3_600_000 }: { limitMs?: number } = {}): Promise<T> {
    const to = this.#now + limitMs;
    return this.#exclusive(async () => {
      let settled = false;
      const note = () => {
        settled = true;
      };
      done.then(note, note);
      await this.#settle();
      while (!settled) {
        if (await this.#runNext(to)) continue;
        const why = this.#next() ? `not within ${limitMs} ms` : "and nothing is left to happen";
        throw new Error(`what was waited for did not come by ${this.#now} ms, ${why}`);
      }
      return done;
    });
  }

  /** Runs the next timer if it is due by `to`. */
  async #runNext(to: number): Promise<boolean> {
    const timer = this.#next();
    if (!timer || timer.at > to) return false;
    this.#removeFirst();
    this.#now = timer.at;
    timer.run();
    await this.#settle();
    return true;
  }

  /** The next timer that was not cancelled. */
  #next(): Timer | undefined {
    while (this.#timers[0]?.cancelled) this.#removeFirst();
    return this.#timers[0];
  }

  async #exclusive<T>(run: () => Promise<T>): Promise<T> {
    if (this.#running) throw new Error("the clock is running already: await the call before");
    this.#running = true;
    const turns = new EventLoopTurns();
    this.#settle = this.#settleGiven ?? (() => turns.next());
    try {
      return await run();
    } finally {
      turns.close();
      this.#running = false;
    }
  }

  #insert(timer: Timer): void {
    const timers = this.#timers;
    let at = timers.length;
    timers.push(timer);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (isBefore(timers[parent]!, timer)) break;
      timers[at] = timers[parent]!;
      at = parent;
    }
    timers[at] = timer;
  }

  #removeFirst(): void {
    const timers = this.#timers;
    const last = timers.pop()!;
    if (timers.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= timers.length) break;
      if (child + 1 < timers.length && isBefore(timers[child + 1]!, timers[child]!)) child++;
      if (isBefore(last, timers[child]!)) break;
      timers[at] = timers[child]!;
      at = child;
    }
    timers[at] = last;
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order);
}

/** Turns of the event loop: when one begins, all promises that could go on have. Ten times as fast as timers. */
class EventLoopTurns {
  readonly #channel = new MessageChannel();
  #resolve = () => {};

  constructor() {
    this.#channel.port1.onmessage = () => this.#resolve();
  }

  next(): Promise<void> {
    return new Promise((resolve) => {
      this.#resolve = resolve;
      this.#channel.port2.postMessage(undefined);
    });
  }

  close(): void {
    this.#channel.port1.close();
  }
}
