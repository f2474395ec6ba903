/**
 * From which time on a worker is late: by what the newest batches, steps or rounds took, so that it fits any model and
 * machine. The one rule for all that is waited for.
 */
import { LIMITS } from "@volary/core/limits";
import { unusuallyLong } from "@volary/core/statistics";

/** Times that are remembered, and how many are needed to tell what is usual. */
const TIMES_KEPT = 64;
const TIMES_MIN = 8;

export class Lateness {
  readonly #kept: number;
  readonly #times: number[] = [];
  /** Workers that have done any: the first takes longer. */
  readonly #warm = new Set<number>();

  /** @param o.kept so many of the newest times tell what is usual */
  constructor({ kept = TIMES_KEPT }: { kept?: number } = {}) {
    this.#kept = kept;
  }

  /** What one took. */
  note(ms: number): void {
    this.#times.push(ms);
    if (this.#times.length > this.#kept) this.#times.shift();
  }

  /** A worker has done one. */
  did(worker: number): void {
    this.#warm.add(worker);
  }

  forget(worker: number): void {
    this.#warm.delete(worker);
  }

  /** After this time others have a batch as well, or do without it. Nothing is late before the first is done. */
  get deadlineMs(): number {
    if (this.#times.length === 0) return Infinity;
    return Math.max(LIMITS.lateMsMin, unusuallyLong(this.#times));
  }

  /**
   * Who is to be left out of those that the others wait for: whoever takes far too long. Nobody while most are waited
   * for: then it is not they who are slow.
   *
   * @param o.awaited since when each is waited for
   */
  tooLate(o: { members: readonly number[]; awaited: ReadonlyMap<number, number>; now: number }): number[] {
    const { members, awaited, now } = o;
    if (2 * awaited.size > members.length) return [];
    return [...awaited].filter(([member, since]) => now - since > this.#leftOutMs(member)).map(([member]) => member);
  }

  #leftOutMs(member: number): number {
    if (!this.#warm.has(member) || this.#times.length < TIMES_MIN) return LIMITS.leftOutFirstMs;
    return Math.max(LIMITS.leftOutMsMin, unusuallyLong(this.#times));
  }
}
