/**
 * How many batches each worker has begun and finished: by these counts the coordinator keeps the bound on staleness.
 *
 * A batch of a slow worker may be given to another one as well. It stays a step of the first one's clock: until its
 * gradients are applied, whoever pushed them, the others are held back as ever. So what counts was never pulled further
 * ahead than the bound allows. Once nothing of what the slow worker is busy with counts any more, it *rests*: it holds
 * nobody back, and goes on where the slowest is.
 *
 * @see Ho et al., "More Effective Distributed ML via a Stale Synchronous Parallel Parameter Server", NIPS 2013
 */

interface WorkerClock {
  begun: number;
  /** What it began that is not finished, oldest first, and how many it had begun before. */
  open: { batch: number; begun: number }[];
  /** One that rests or is gone holds others back by what it has left open, and by nothing else. */
  state: "here" | "resting" | "gone";
}

export class Clocks {
  readonly #workers = new Map<number, WorkerClock>();
  /** What the slowest had finished before one rested or left: counts never fall, though none is here any more. */
  #slowestBefore = 0;
  #stalenessMax = 0;

  /** How many batches a worker was ahead of the slowest at most, when it began one. */
  get stalenessMax(): number {
    return this.#stalenessMax;
  }

  /** What the slowest has finished, and all before. */
  get slowest(): number {
    let slowest = Infinity;
    for (const { begun, open, state } of this.#workers.values())
      if (state === "here" || open.length > 0) slowest = Math.min(slowest, open[0]?.begun ?? begun);
    return slowest === Infinity ? this.#slowestBefore : slowest;
  }

  /** A worker that comes later, or has rested, begins where the slowest is; one that was further stays there. */
  join(worker: number): void {
    const clock = this.#workers.get(worker);
    if (!clock) this.#workers.set(worker, { begun: this.slowest, open: [], state: "here" });
    else if (clock.state !== "here") {
      clock.begun = Math.max(clock.begun, this.slowest);
      clock.state = "here";
    }
  }

  /** Nothing of what a worker is busy with counts any more. */
  rest(worker: number): void {
    const clock = this.#workers.get(worker);
    if (clock?.state !== "here") return;
    this.#slowestBefore = this.slowest;
    clock.state = "resting";
  }

  /** A worker is lost. @param returned what it had that nobody else has: others begin it anew */
  leave(worker: number, returned: readonly number[]): void {
    const clock = this.#workers.get(worker);
    if (!clock) return;
    this.#slowestBefore = this.slowest;
    clock.state = "gone";
    clock.open = clock.open.filter(({ batch }) => !returned.includes(batch));
    if (clock.open.length === 0) this.#workers.delete(worker);
  }

  /** How many batches a worker has begun, those of others among them. */
  begunBy(worker: number): number {
    return this.#workers.get(worker)?.begun ?? 0;
  }

  /** A worker begins a batch that nobody has. */
  begin(worker: number, batch: number): void {
    const clock = this.#workers.get(worker);
    if (!clock) return;
    this.#stalenessMax = Math.max(this.#stalenessMax, clock.begun - this.slowest);
    clock.open.push({ batch, begun: clock.begun++ });
  }

  /** A worker begins a batch that another one has begun: it does that one's step, and is not held back. */
  beginAlso(worker: number): void {
    const clock = this.#workers.get(worker);
    if (clock) clock.begun++;
  }

  /** A batch is applied, or is nobody's any more. */
  finish(batch: number): void {
    for (const [worker, clock] of this.#workers) {
      const at = clock.open.findIndex((each) => each.batch === batch);
      if (at < 0) continue;
      this.#slowestBefore = this.slowest;
      clock.open.splice(at, 1);
      if (clock.state === "gone" && clock.open.length === 0) this.#workers.delete(worker);
    }
  }

  /** Nothing is under way, and all that was is applied: nobody is behind. */
  level(): void {
    const newest = Math.max(this.#slowestBefore, ...Array.from(this.#workers.values(), ({ begun }) => begun));
    for (const clock of this.#workers.values()) clock.begun = newest;
    this.#slowestBefore = newest;
  }
}
