/**
 * Finds the coordinator: dials until something answers, with growing waits, and gives up in words that a person
 * can act on. The waits are jittered, so that members that lost one coordinator do not all return at once.
 */
import { ClusterError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { Clock } from "./clock.ts";
import type { Dialer, Hello, Link } from "./link.ts";

export interface ConnectOptions {
  dialer: Dialer;
  /** ws://host:port */
  address: string;
  hello: Hello;
  clock: Clock;
  /** In [0, 1). */
  random: () => number;
  log: (message: string) => void;
  attemptsMax?: number;
  signal?: AbortSignal;
}

/**
 * Opens a link to the coordinator at `address`.
 *
 * @throws {ClusterError} COORDINATOR_UNAVAILABLE after `attemptsMax` attempts; at once what is not retryable
 * @throws the signal's reason
 */
export async function connectWithBackoff(o: ConnectOptions): Promise<Link> {
  const { dialer, address, hello, clock, attemptsMax = LIMITS.connectAttemptsMax, signal } = o;
  const startedMs = clock.now();
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted();
    try {
      const link = await dialer.dial(address, hello);
      if (!signal?.aborted) return link;
      link.close("this side stops");
    } catch (cause) {
      if (!(cause instanceof ClusterError) || !cause.retryable) throw cause;
      if (attempt >= attemptsMax) throw unavailable({ address, attempt, tookMs: clock.now() - startedMs, cause });
      if (attempt === 1) o.log(`no coordinator yet, trying again: ${cause.message}`);
    }
    await pause({ clock, ms: waitMs(attempt, o.random()), signal });
  }
}

/** Doubles from attempt to attempt up to a bound, ± 25 %. */
function waitMs(attempt: number, random: number): number {
  return Math.min(LIMITS.connectBackoffMs * 2 ** (attempt - 1), LIMITS.connectBackoffMaxMs) * (0.75 + 0.5 * random);
}

function pause({ clock, ms, signal }: { clock: Clock; ms: number; signal: AbortSignal | undefined }): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      cancel();
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const cancel = clock.after(ms, done);
    if (signal?.aborted) done();
    else signal?.addEventListener("abort", done);
  });
}

function unavailable(o: { address: string; attempt: number; tookMs: number; cause: ClusterError }): ClusterError {
  const { address, attempt, tookMs, cause } = o;
  return new ClusterError(
    "COORDINATOR_UNAVAILABLE",
    `no coordinator at ${address} after ${attempt} attempts over ${(tookMs / 1000).toFixed(1)} s; ` +
      `is it running? start one with \`volary coordinator\` (${cause.message})`,
    { cause },
  );
}
