/** The real clock of a tab or Web Worker. */
import type { Clock } from "@volary/core/wire";

export const realClock: Clock = {
  now: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};
