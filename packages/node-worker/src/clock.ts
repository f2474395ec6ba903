/** The real clock. */
import { realClockOn, type Clock } from "@volary/core/wire";

export const realClock: Clock = realClockOn({
  now: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
  afterReading: (run) => void setImmediate(run),
});
