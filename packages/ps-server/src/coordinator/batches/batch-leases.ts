/**
 * Which batches of a job are given to whom, and which are finished: each batch is finished once, however often it is
 * given. A batch is *settled* when the PS have its gradients, and *finished* when nothing can undo it any more; where
 * dense weights are averaged in rounds, that is later.
 */
import { assert } from "@volary/core/errors";

/** A batch that a worker has. */
export interface Grant {
  readonly lease: number;
  readonly batch: number;
  readonly worker: number;
  /** When the worker came to it, as far as is known here. */
  sinceMs: number;
  /** Does it not count any more? The worker is busy with it all the same. */
  isVoid: boolean;
}

export class BatchLeases {
  readonly #total: number;
  /** The first batch that was never given. */
  #fresh = 0;
  /** Those that were given back, ascending. */
  readonly #returned: number[] = [];
  /** Those that were given, and are neither finished nor given back. */
  readonly #held = new Set<number>();
  readonly #grants = new Map<number, Grant>();
  /** A worker's grants, oldest first. */
  readonly #ofWorker = new Map<number, Grant[]>();
  #nextLease = 1;
  readonly #settled = new Prefix();
  #finished = 0;

  /** Batches 0 to `total - 1` are to be trained. */
  constructor({ total }: { total: number }) {
    this.#total = total;
  }

  /** The first batch that nobody has, if there is one. */
  get next(): number | undefined {
    return this.#returned[0] ?? (this.#fresh < this.#total ? this.#fresh : undefined);
  }

  /** All batches below are settled. */
  get settled(): number {
    return this.#settled.below;
  }

  /** How many are finished. */
  get finished(): number {
    return this.#finished;
  }

  /** Batches that were given, and are neither finished nor given back. */
  get held(): number {
    return this.#held.size;
  }

  /** How many grants workers are busy with. */
  get out(): number {
    return this.#grants.size;
  }

  /** Held batches whose workers all came to them before `before`, and have not said that they are done. */
  late({ before }: { before: number }): number[] {
    const newest = new Map<number, number>();
    for (const { batch, sinceMs, isVoid } of this.#grants.values()) {
      if (!isVoid) newest.set(batch, Math.max(sinceMs, newest.get(batch) ?? -Infinity));
    }
    return [...newest].filter(([, sinceMs]) => sinceMs < before).map(([batch]) => batch);
  }

  /** Since when workers are busy with what counts: those that are, and not since before `from`. */
  awaited({ from }: { from: number }): Map<number, number> {
    const awaited = new Map<number, number>();
    for (const { worker, sinceMs, isVoid } of this.#grants.values())
      if (!isVoid) awaited.set(worker, Math.max(from, Math.min(sinceMs, awaited.get(worker) ?? Infinity)));
    return awaited;
  }

  /** Is a worker busy with anything that does not count any more? */
  hasVoid(worker: number): boolean {
    return this.grantsOf(worker).some(({ isVoid }) => isVoid);
  }

  /** Is a worker busy, and with nothing that counts? */
  isBusyInVain(worker: number): boolean {
    const grants = this.grantsOf(worker);
    return grants.length > 0 && grants.every(({ isVoid }) => isVoid);
  }

  /** What a worker is busy with, oldest first. */
  grantsOf(worker: number): readonly Grant[] {
    return this.#ofWorker.get(worker) ?? [];
  }

  /** Takes the next batch for a worker. */
  grantNext(worker: number, now: number): Grant {
    const batch = this.takeNext();
    return this.grantAlso({ batch, worker, now });
  }

  /** Takes the next batch, which nobody needs to be given. */
  takeNext(): number {
    const batch = this.next;
    assert(batch !== undefined, "no batch is left to be given");
    if (this.#returned.length > 0) this.#returned.shift();
    else this.#fresh++;
    this.#held.add(batch);
    return batch;
  }

  /** Gives a worker a batch that is held, as others may have it, too. */
  grantAlso({ batch, worker, now }: { batch: number; worker: number; now: number }): Grant {
    assert(this.#held.has(batch), `batch ${batch} is not held, so that it cannot be given to another worker as well`);
    const grant: Grant = { lease: this.#nextLease++, batch, worker, sinceMs: now, isVoid: false };
    this.#grants.set(grant.lease, grant);
    this.#ofWorker.set(worker, [...this.grantsOf(worker), grant]);
    return grant;
  }

  /** The worker is done with what it was given; undefined where it does not have it. */
  take(o: { lease: number; batch: number; worker: number; now: number }): Grant | undefined {
    const { lease, worker, now } = o;
    const grant = this.#grants.get(lease);
    if (grant?.worker !== worker || grant.batch !== o.batch) return undefined;
    this.#grants.delete(lease);
    const left = this.grantsOf(worker).filter((each) => each !== grant);
    this.#ofWorker.set(worker, left);
    if (left[0]) left[0].sinceMs = now;
    return grant;
  }

  /** The worker is lost. @returns what it had that counts, and that nobody else has */
  lose(worker: number): number[] {
    const lost = this.grantsOf(worker);
    this.#ofWorker.delete(worker);
    for (const { lease } of lost) this.#grants.delete(lease);
    const elsewhere = new Set(Array.from(this.#grants.values(), (grant) => (grant.isVoid ? -1 : grant.batch)));
    return lost.filter(({ batch, isVoid }) => !isVoid && !elsewhere.has(batch)).map(({ batch }) => batch);
  }

  /** What workers have of a batch does not count any more, though they are busy with it. */
  void(batch: number): void {
    for (const grant of this.#grants.values()) if (grant.batch === batch) grant.isVoid = true;
  }

  /** The PS have its gradients. */
  settle(batch: number): void {
    this.#settled.add(batch);
  }

  /** A held batch is to be given again. */
  giveBack(batch: number): void {
    assert(this.#held.delete(batch), `batch ${batch} is given back, but not held`);
    const at = this.#returned.findIndex((each) => each > batch);
    this.#returned.splice(at < 0 ? this.#returned.length : at, 0, batch);
  }

  /** Takes back what was given back, if nobody has it. */
  takeReturned(batch: number): boolean {
    const at = this.#returned.indexOf(batch);
    if (at < 0) return false;
    this.#returned.splice(at, 1);
    this.#held.add(batch);
    return true;
  }

  /** A held batch counts from now on. */
  finish(batch: number): void {
    assert(this.#held.delete(batch), `batch ${batch} is finished, but not held`);
    this.#finished++;
    this.settle(batch);
    this.void(batch);
  }
}

/** A set of numbers from 0 on that come about in order. */
class Prefix {
  /** All below are in. */
  below = 0;
  readonly #above = new Set<number>();

  add(number: number): void {
    if (number < this.below) return;
    this.#above.add(number);
    while (this.#above.delete(this.below)) this.below++;
  }
}
