/** The real clock. Its timers keep no process alive: a server lives by the port it listens on. */
import { realClockOn, type Clock } from "@volary/core/wire";

export const realClock: Clock = realClockOn({
  now: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs).unref();
    return () => clearTimeout(timer);
  },
  afterReading: (run) => void setImmediate(run),
});
