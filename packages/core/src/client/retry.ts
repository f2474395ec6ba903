/** Repeats what failed for a passing reason, with a bound. Which codes are worth it is decided in `errors.ts`. */
import { ClusterError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { Clock } from "../wire/index.ts";

/**
 * Runs `attempt` until it succeeds, fails for good, or has failed `LIMITS.connectAttemptsMax` times.
 *
 * @throws what the last attempt threw
 */
export async function retry<T>({ clock, attempt }: { clock: Clock; attempt: () => Promise<T> }): Promise<T> {
  let waitMs: number = LIMITS.connectBackoffMs;
  for (let left = LIMITS.connectAttemptsMax; ; left--) {
    try {
      return await attempt();
    } catch (error) {
      if (left <= 1 || !(error instanceof ClusterError) || !error.retryable) throw error;
    }
    await new Promise<void>((resolve) => void clock.after(waitMs, resolve));
    waitMs = Math.min(waitMs * 2, LIMITS.connectBackoffMaxMs);
  }
}
