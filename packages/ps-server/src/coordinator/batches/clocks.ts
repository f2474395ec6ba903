/**
 * How many batches each worker has begun and finished: by these counts the coordinator keeps the bound on staleness.
 *
 * @see Ho et al., "More Effective Distributed ML via a Stale Synchronous Parallel Parameter Server", NIPS 2013
 */

interface WorkerClock {
  begun: number;
  finished: number;
}

export class Clocks {
  readonly #workers = new Map<number, WorkerClock>();
  #stalenessMax = 0;

  /** How many batches a worker was ahead of the slowest at most, when it began one. */
  get stalenessMax(): number {
    return this.#stalenessMax;
  }

  /** What the slowest has finished. */
  get slowest(): number {
    let slowest = Infinity;
    for (const { finished } of this.#workers.values()) slowest = Math.min(slowest, finished);
    return slowest === Infinity ? 0 : slowest;
  }

  /** A worker that comes later begins where the slowest is. */
  join(worker: number): void {
    if (this.#workers.has(worker)) return;
    const { slowest } = this;
    this.#workers.set(worker, { begun: slowest, finished: slowest });
  }

  /** A worker that is lost holds nobody up. */
  leave(worker: number): void {
    this.#workers.delete(worker);
  }

  begunBy(worker: number): number {
    return this.#workers.get(worker)?.begun ?? 0;
  }

  begin(worker: number): void {
    const clock = this.#workers.get(worker);
    if (!clock) return;
    this.#stalenessMax = Math.max(this.#stalenessMax, clock.begun - this.slowest);
    clock.begun++;
  }

  finish(worker: number): void {
    const clock = this.#workers.get(worker);
    if (clock) clock.finished = Math.min(clock.begun, clock.finished + 1);
  }

  /** Nothing is under way, and all that was is applied: nobody is behind. */
  level(): void {
    const newest = Math.max(0, ...Array.from(this.#workers.values(), ({ begun }) => begun));
    for (const clock of this.#workers.values()) clock.begun = clock.finished = newest;
  }
}
