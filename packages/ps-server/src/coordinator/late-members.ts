/**
 * Which members of a job hold the others up: all are alive, but a step waits for the samples of a few, far longer than
 * steps usually take. Such a member is left out of the next term, and may come back after a pause.
 *
 * Only workers know when they have computed a step, so each tells the coordinator of the newest one.
 *
 * @see Chen et al., "Revisiting Distributed Synchronous SGD", arXiv:1604.00981, for why the slowest matter
 */
import { LIMITS } from "@volary/core/limits";
import { Lateness } from "./batches/lateness.ts";

/** Step times that are remembered. */
const TIMES_KEPT = 32;

export class LateMembers {
  #members: readonly number[] = [];
  /** When the step under way began, or its term; undefined until the first look after that. */
  #since: number | undefined;
  #committed = 0;
  /** Of the newest steps. */
  readonly #lateness = new Lateness({ kept: TIMES_KEPT });
  /** The newest step that each member has computed in this term. */
  readonly #computed = new Map<number, number>();
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
    this.#lateness.did(worker);
    this.#computed.set(worker, Math.max(step, this.#computed.get(worker) ?? 0));
  }

  forget(worker: number): void {
    this.#lateness.forget(worker);
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
      this.#lateness.note((now - this.#since) / (committed - this.#committed));
      this.#restart(committed, now);
    }
    const missing = this.#members.filter((member) => (this.#computed.get(member) ?? 0) <= committed);
    const awaited = new Map(missing.map((member) => [member, this.#since!]));
    return this.#lateness.tooLate({ members: this.#members, awaited, now });
  }

  /** Leaves a worker out, for a pause that doubles each time. @returns milliseconds of it */
  leaveOut(worker: number, now: number): number {
    const times = (this.#leftOut.get(worker)?.times ?? 0) + 1;
    const pauseMs = Math.min(LIMITS.leftOutMs * 2 ** (times - 1), LIMITS.leftOutMsMax);
    this.#leftOut.set(worker, { times, until: now + pauseMs });
    this.#lateness.forget(worker);
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
}
