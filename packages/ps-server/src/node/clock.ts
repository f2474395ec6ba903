/** The real clock. Its timers keep no process alive: a server lives by the port it listens on. */
import type { Clock } from "@volary/core/wire";

export const realClock: Clock = {
  now: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs).unref();
    return () => clearTimeout(timer);
  },
};
