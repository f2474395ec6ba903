/** Time as an argument: the real clock in processes, a simulated one in tests and in the whole-cluster simulation. */
export interface Clock {
  /** Milliseconds on a clock that never goes back. */
  now(): number;
  /** Calls `run` once after `delayMs`; the returned function cancels. */
  after(delayMs: number, run: () => void): () => void;
}

/** What a platform tells of time. */
export interface Timers {
  now: () => number;
  after: (delayMs: number, run: () => void) => () => void;
  /** Calls `run` when what has arrived by now was read. */
  afterReading: (run: () => void) => void;
}

/** A timer that is called so much later than it was due was kept by a process that was busy, or stopped. */
const LATE_MS = 100;

/**
 * The real clock of a process. A busy process finds its timers due before it has read what came meanwhile, and would
 * take others for silent that are not. So a timer that is late lets the reading go first.
 */
export function realClockOn({ now, after, afterReading }: Timers): Clock {
  return {
    now,
    after: (delayMs, run) => {
      const lateMs = now() + delayMs + LATE_MS;
      let isCancelled = false;
      const cancel = after(delayMs, () => {
        if (now() < lateMs) run();
        else afterReading(() => isCancelled || run());
      });
      return () => {
        isCancelled = true;
        cancel();
      };
    },
  };
}
