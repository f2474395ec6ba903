/**
 * Who gets which batch, and when: no worker too far ahead of the slowest, none beyond the room of a step or a round. What
 * is late is given to others as well, or its step does without; where neither can be, its worker is named, so that it is
 * left out.
 */
import type { Consistency } from "@volary/core/consistency";
import { LIMITS } from "@volary/core/limits";
import type { Sabotages } from "@volary/core/sabotage";
import { batchesPerStep, placeOfBatch, samplesOfBatch } from "@volary/core/training";
import type { Control } from "@volary/core/wire";
import type { BatchedJob } from "./batched-job.ts";
import type { BatchLeases, Grant } from "./batch-leases.ts";
import { Clocks } from "./clocks.ts";
import { Lateness } from "./lateness.ts";
import type { RoundLeader } from "./round-leader.ts";
import type { StepLeader } from "./step-leader.ts";

export interface HandoutOptions {
  job: BatchedJob;
  mode: Consistency;
  leases: BatchLeases;
  steps: StepLeader | undefined;
  rounds: RoundLeader | undefined;
  toWorker: (worker: number, control: Control) => void;
  /** A batch that no sample falls to, and that nobody is given. */
  onEmpty: (batch: number) => void;
  sabotages: Sabotages;
}

/** Batches at a time of a worker that keeps rows: those rows are a step older for each that is given ahead. */
const KEEPING_ROWS = 2;

export class Handout {
  readonly #o: HandoutOptions;
  readonly #job: BatchedJob;
  readonly #leases: BatchLeases;
  readonly #clocks = new Clocks();
  readonly #lateness = new Lateness();
  /** When the term began: links and heads may have changed, so that what workers do takes longer. */
  #termSinceMs = 0;
  /** When the open step had its first slot. */
  #stepSinceMs = 0;
  #repeated = 0;

  constructor(o: HandoutOptions) {
    this.#o = o;
    this.#job = o.job;
    this.#leases = o.leases;
  }

  /** How many batches were given to a second worker since they were late. */
  get repeated(): number {
    return this.#repeated;
  }

  /** How many batches a worker was ahead of the slowest at most, when it began one. */
  get stalenessMax(): number {
    return this.#clocks.stalenessMax;
  }

  /** Is there a batch that may be trained before the next pause? */
  get hasMore(): boolean {
    const { next } = this.#leases;
    if (next === undefined || this.#job.ending !== undefined) return false;
    return next < this.#job.trainableTo * batchesPerStep(this.#job.manifest);
  }

  samplesOf(batch: number): number {
    return samplesOfBatch(this.#job.manifest, this.#job.plan!, batch);
  }

  // -- what happens ------------------------------------------------------------------------------------------

  /** A new term has begun, as rounds know already. */
  onTerm(now: number): void {
    this.#termSinceMs = now;
    for (const worker of this.#job.members) this.onReady(worker);
  }

  /** A member may have the dense weights that it lacked. */
  onReady(worker: number): void {
    if (this.#mayTrain(worker)) this.#clocks.join(worker);
  }

  /** A worker is lost. @param returned what it had that counts, and that nobody else has */
  lose(worker: number, returned: readonly number[]): void {
    this.#clocks.leave(worker, returned);
    this.#lateness.forget(worker);
  }

  /** A worker is done with what it was given. */
  onDone({ worker, batch, sinceMs, isVoid }: Grant, now: number): void {
    this.#lateness.did(worker);
    if (isVoid) return;
    this.#clocks.finish(batch);
    this.#lateness.note(now - sinceMs);
  }

  /** A batch is to be given again. */
  onReturned(batch: number): void {
    this.#clocks.finish(batch);
  }

  /** Nothing is under way. */
  onPause(): void {
    this.#clocks.level();
  }

  // -- giving out --------------------------------------------------------------------------------------------

  giveOut(now: number): void {
    this.#skipEmpty();
    const { mode, steps, sabotages } = this.#o;
    const { members, manifest } = this.#job;
    const atATime = manifest.fit.cache ? Math.min(KEEPING_ROWS, mode.batchesAtATime) : mode.batchesAtATime;
    for (const worker of members) if (this.#leases.isBusyInVain(worker)) this.#clocks.rest(worker);
    for (let had = 0; had < atATime; had++) {
      for (const worker of members) {
        if (!this.hasMore || !this.#hasRoom(now)) return;
        if (this.#leases.grantsOf(worker).length !== had || !this.#mayTrain(worker)) continue;
        if (this.#leases.hasVoid(worker) || steps?.isIn(worker)) continue;
        this.#clocks.join(worker);
        const begun = this.#clocks.begunBy(worker);
        const { slowest } = this.#clocks;
        if (!mode.mayBegin({ begun, slowest }) && !sabotages.has("ignore-staleness-bound")) continue;
        const grant = this.#leases.grantNext(worker, now);
        this.#clocks.begin(worker, grant.batch);
        this.#give(grant, { begun, slowest }, now);
        this.#skipEmpty();
      }
    }
  }

  /** Where a step has fewer samples than batches, some have none. */
  #skipEmpty(): void {
    while (this.hasMore && this.samplesOf(this.#leases.next!) === 0) this.#o.onEmpty(this.#leases.takeNext());
  }

  /** Has the worker the newest dense weights, where these are not on the PS? */
  #mayTrain(worker: number): boolean {
    return this.#o.rounds?.isCurrent(worker) ?? true;
  }

  /** May another batch be begun, by whomever? */
  #hasRoom(now: number): boolean {
    const { steps, rounds } = this.#o;
    if (steps) return steps.hasRoom;
    if (this.#leases.next! >= this.#leases.settled + LIMITS.batchesOpenMax) return false;
    return !rounds || (!rounds.isCalled && !rounds.isDue({ out: this.#leases.out, now }));
  }

  #give({ lease, batch, worker }: Grant, at: { begun: number; slowest: number }, now: number): void {
    const { steps, rounds, toWorker } = this.#o;
    const { job, manifest, term } = this.#job;
    rounds?.onGiven(now);
    if (steps?.isIdle) this.#stepSinceMs = now;
    const { step, slot } =
      steps?.add({ worker, batch, samples: this.samplesOf(batch) }) ?? placeOfBatch(manifest, batch);
    // A batch that is given again may be settled; in its own name it is not.
    const settled = Math.min(this.#leases.settled, batch);
    toWorker(worker, { type: "batch", job, term, lease, batch, settled, ...at, step, slot });
  }

  // -- what is late ------------------------------------------------------------------------------------------

  /** Called a few times a second. */
  tick(now: number): void {
    const { mode, steps } = this.#o;
    if (mode.onLate === "repeat") this.#repeatLate(now);
    else if (mode.onLate === "drop" && now - this.#stepSinceMs > this.#lateness.deadlineMs) steps?.closeLate();
  }

  /**
   * Members that the others wait for too long, and that are to be left out: whose batch neither another one takes nor the
   * step does without, or who do not come to a round. Someone stays who has the newest dense weights.
   */
  tooLate(now: number): number[] {
    const { mode, rounds } = this.#o;
    if (mode.onLate === "repeat") return [];
    const members = this.#job.members.filter((worker) => this.#mayTrain(worker));
    const awaited = this.#leases.awaited({ from: this.#termSinceMs });
    const late = rounds?.isCalled ? rounds.tooLate(now) : this.#lateness.tooLate({ members, awaited, now });
    return members.every((worker) => late.includes(worker)) ? [] : late;
  }

  /** Late batches are given to idle workers as well; the first that is done counts. */
  #repeatLate(now: number): void {
    const idle = this.#job.members.filter((worker) => this.#leases.grantsOf(worker).length === 0);
    const late = this.#leases.late({ before: now - this.#lateness.deadlineMs });
    for (const batch of late.slice(0, idle.length)) {
      const worker = idle.shift()!;
      const { slowest } = this.#clocks;
      const begun = this.#clocks.begunBy(worker);
      this.#clocks.beginAlso(worker);
      this.#repeated++;
      this.#give(this.#leases.grantAlso({ batch, worker, now }), { begun, slowest }, now);
    }
  }
}
