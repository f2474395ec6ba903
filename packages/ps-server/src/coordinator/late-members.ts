/**
 * Which members of a job hold the others up: all are alive, but a step waits for the samples of a few, far longer than
 * steps usually take. Such a member is left out of the next term, and may come back after a pause.
 *
 * Only workers know when they have computed a step, so each tells the coordinator of the newest one.
 *
 * @see Chen et al., "Revisiting Distributed Synchronous SGD", arXiv:1604.00981, for why the slowest matter
 */
import { LIMITS } from "@volary/core/limits";
import { deadlineOf } from "./batches/lateness.ts";

/** Step times that are remembered, and how many are needed to tell what is usual. */
const TIMES_KEPT = 32;
const TIMES_MIN = 8;

export class LateMembers {
  #members: readonly number[] = [];
  /** When the step under way began, or its term; undefined until the first look after that. */
  #since: number | undefined;
  #committed = 0;
  /** Of the newest steps, in milliseconds. */
  readonly #times: number[] = [];
  /** The newest step that each member has computed in this term. */
  readonly #computed = new Map<number, number>();
  /** Workers that have computed a step of this job: the first one takes longer. */
  readonly #warm = new Set<number>();
  readonly #leftOut = new Map<number, { times: number; until: number }>();

  /** A term begins: its step starts anew. */
  begin(members: readonly number[]): void {
    this.#members = members;
    this.#computed.clear();
    this.pause();
  }

  /** No step is under way now; time counts from the next {@link look} on. */
  pause(): void {
    this.#since = undefined;
  }

  /** A member of the term has computed its part of a step. */
  computed(worker: number, step: number): void {
    this.#warm.add(worker);
    this.#computed.set(worker, Math.max(step, this.#computed.get(worker) ?? 0));
  }

  forget(worker: number): void {
    this.#warm.delete(worker);
    this.#leftOut.delete(worker);
  }

  /**
   * Called a few times a second while a step is under way.
   *
   * @param committed the newest committed step
   * @returns members to leave out; at most half of them: where most are late, it is not they who are slow
   */
  look(committed: number, now: number): number[] {
    if (this.#since === undefined) this.#restart(committed, now);
    else if (committed > this.#committed) {
      this.#times.push((now - this.#since) / (committed - this.#committed));
      if (this.#times.length > TIMES_KEPT) this.#times.shift();
      this.#restart(committed, now);
    }
    const tookMs = now - this.#since!;
    const missing = this.#members.filter((member) => (this.#computed.get(member) ?? 0) <= committed);
    if (2 * missing.length > this.#members.length) return [];
    return missing.filter((member) => tookMs > this.#deadlineMs(member));
  }

  /** Leaves a worker out, for a pause that doubles each time. @returns milliseconds of it */
  leaveOut(worker: number, now: number): number {
    const times = (this.#leftOut.get(worker)?.times ?? 0) + 1;
    const pauseMs = Math.min(LIMITS.leftOutMs * 2 ** (times - 1), LIMITS.leftOutMsMax);
    this.#leftOut.set(worker, { times, until: now + pauseMs });
    this.#warm.delete(worker);
    return pauseMs;
  }

  /** Workers whose pause is over, each once. */
  returning(now: number): number[] {
    const back: number[] = [];
    for (const [worker, left] of this.#leftOut) {
      if (now < left.until) continue;
      left.until = Infinity;
      back.push(worker);
    }
    return back;
  }

  #restart(committed: number, now: number): void {
    this.#since = now;
    this.#committed = committed;
  }

  #deadlineMs(member: number): number {
    if (!this.#warm.has(member) || this.#times.length < TIMES_MIN) return LIMITS.leftOutFirstMs;
    return Math.max(LIMITS.leftOutMsMin, deadlineOf(this.#times));
  }
}
