/**
 * Since when, and until when, faults keep the coordinator from hearing a worker or client. It loses one that is silent
 * for `LIMITS.heartbeatLostMs`, with its job if there is no other: a cluster need not bear several such faults in a row.
 */
import { LIMITS } from "@volary/core/limits";

/** A coordinator that is stopped hears nobody either, so half of the time is for that. */
const SILENT_MAX_MS = LIMITS.heartbeatLostMs / 2;
/** Until one that was silent has been heard again. */
const HEARD_MS = 1500;

export class Silences {
  readonly #now: () => number;
  readonly #silences = new Map<string, { sinceMs: number; untilMs: number }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** @returns false where it would be silent for too long; otherwise it is */
  begin(name: string, forMs: number): boolean {
    const now = this.#now();
    const before = this.#silences.get(name);
    const goesOn = before && now <= before.untilMs + HEARD_MS;
    const sinceMs = goesOn ? before.sinceMs : now;
    const untilMs = Math.max(now + forMs, before?.untilMs ?? 0);
    if (untilMs - sinceMs > SILENT_MAX_MS) return false;
    this.#silences.set(name, { sinceMs, untilMs });
    return true;
  }
}
