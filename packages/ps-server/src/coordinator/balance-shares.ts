/**
 * How long the slices of a job's workers are to be, so that all of them need as long for a step. A worker's speed is
 * what it says its samples took; shares change with a new term, so every worker knows them from the same message.
 *
 * Each change costs the step under way, which starts again. So shares change only where that makes steps shorter by
 * more than a tenth, and not often.
 */
import { LIMITS } from "@volary/core/limits";
import type { ControlOf } from "@volary/core/wire";

/** How much the newest of a worker's times counts. */
const NEWEST_WEIGHT = 0.3;
/** Steps must become shorter than this share of what they are. */
const WORTHWHILE_BELOW = 0.9;
/** No share is further from the mean than this factor: a worker of which much is asked is measured again. */
const FACTOR_MAX = 8;
/** A share of as much as the mean; shares are integers, so that noise seldom shows. */
const MEAN_SHARE = 64;

export type StepTimes = Pick<ControlOf<"step-times">, "samples" | "computeMs">;

export class BalanceShares {
  /** Milliseconds per sample of each worker that has told of more than its first step. */
  readonly #msPerSample = new Map<number, number>();
  /** Workers whose first step is done, which takes longer than those after it. */
  readonly #warm = new Set<number>();
  #changedAt = -Infinity;

  /** Takes what a worker tells of its newest steps. */
  heard(worker: number, { samples, computeMs }: StepTimes): void {
    const isFirst = !this.#warm.has(worker);
    this.#warm.add(worker);
    if (isFirst || samples === 0 || computeMs === 0) return;
    const newest = computeMs / samples;
    const before = this.#msPerSample.get(worker) ?? newest;
    this.#msPerSample.set(worker, before + NEWEST_WEIGHT * (newest - before));
  }

  forget(worker: number): void {
    this.#msPerSample.delete(worker);
    this.#warm.delete(worker);
  }

  /** The shares of a term's members, in rank order; undefined where equal slices are about as good. */
  of(members: readonly number[]): number[] | undefined {
    const shares = this.#fitting(members);
    return shares && this.#isWorthwhile({ members, from: undefined, to: shares }) ? shares : undefined;
  }

  /**
   * Are the shares of the term under way to be others, as {@link of} gives them? Not before every member is measured.
   *
   * @param term its members in rank order, and their shares; undefined for equal ones
   */
  mayImprove(term: { members: readonly number[]; shares: readonly number[] | undefined }, now: number): boolean {
    const { members, shares } = term;
    if (now - this.#changedAt < LIMITS.sharesEveryMs || !members.every((m) => this.#msPerSample.has(m))) return false;
    const next = this.of(members);
    if (!this.#isWorthwhile({ members, from: shares, to: next })) return false;
    this.#changedAt = now;
    return true;
  }

  /** Shares by which all need as long; those not measured yet count as the mean of the others. */
  #fitting(members: readonly number[]): number[] | undefined {
    const speeds = members.map((member) => 1 / (this.#msPerSample.get(member) ?? NaN));
    const known = speeds.filter((speed) => !Number.isNaN(speed));
    if (known.length === 0) return undefined;
    const mean = known.reduce((sum, speed) => sum + speed, 0) / known.length;
    return speeds.map((speed) => {
      const factor = Number.isNaN(speed) ? 1 : Math.min(FACTOR_MAX, Math.max(1 / FACTOR_MAX, speed / mean));
      return Math.round(factor * MEAN_SHARE);
    });
  }

  #isWorthwhile(o: {
    members: readonly number[];
    from: readonly number[] | undefined;
    to: readonly number[] | undefined;
  }): boolean {
    return this.#stepMs(o.members, o.to) < WORTHWHILE_BELOW * this.#stepMs(o.members, o.from);
  }

  /** How long a step takes, per sample of it: as long as the slowest of the members that are measured. */
  #stepMs(members: readonly number[], shares: readonly number[] | undefined): number {
    const sum = shares ? shares.reduce((a, b) => a + b, 0) : members.length;
    return Math.max(...members.map((member, i) => ((this.#msPerSample.get(member) ?? 0) * (shares?.[i] ?? 1)) / sum));
  }
}
