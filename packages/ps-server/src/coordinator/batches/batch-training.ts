/**
 * The training of one job whose batches the coordinator gives out, one by one: when a batch counts, and when training
 * pauses or is over. Who gets which is up to {@link Handout}. What differs between modes is asked of the mode. Steps that
 * the PS commit are led by {@link StepLeader}, rounds of dense weights by {@link RoundLeader}; where gradients are applied
 * as they come, a batch counts as soon as its worker says that the PS have it.
 *
 * What happens when a peer dies here: a lost worker's batches are given to others. Where the PS apply gradients at once it
 * may have pushed them; they are known by their numbers, so nothing counts twice.
 */
import { consistencyOf } from "@volary/core/consistency";
import { ClusterError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import type { PartitionMap } from "@volary/core/partition";
import type { Sabotages } from "@volary/core/sabotage";
import { batchCount, batchesPerStep, placeOfBatch } from "@volary/core/training";
import type { Control, ControlOf, JobStatus } from "@volary/core/wire";
import type { BatchedJob } from "./batched-job.ts";
import { BatchLeases } from "./batch-leases.ts";
import { Handout } from "./handout.ts";
import { RoundLeader } from "./round-leader.ts";
import { StepLeader, type NodeAnswer } from "./step-leader.ts";
import { StepResults, type BatchResult } from "./step-results.ts";

export interface BatchTrainingOptions {
  job: BatchedJob;
  sabotages: Sabotages;
  toWorker: (worker: number, control: Control) => void;
  toNode: (node: number, control: Control) => void;
}

/** What comes next: more batches; an evaluation of the held-out rows; nothing, since all that will be trained is. */
export type Next = "train" | "validate" | "over";

export class BatchTraining {
  readonly #o: BatchTrainingOptions;
  readonly #job: BatchedJob;
  readonly #leases: BatchLeases;
  readonly #results: StepResults;
  /** Of batches that are done and not finished. */
  readonly #done = new Map<number, BatchResult>();
  readonly #handout: Handout;
  readonly #steps: StepLeader | undefined;
  readonly #rounds: RoundLeader | undefined;
  readonly #counts = { dropped: 0, repeated: 0, cachedRows: 0, rows: 0 };
  /** The newest term whose rank 0 was told to store the dense weights. */
  #storeAskedIn = 0;
  /** When a PS node was last heard of, or told anything. */
  #heardMs = 0;

  /** @param o.job with its plan */
  constructor(o: BatchTrainingOptions) {
    const { job, manifest, plan } = o.job;
    const { fit } = manifest;
    const { toWorker, toNode } = o;
    this.#o = o;
    this.#job = o.job;
    const mode = consistencyOf(fit.consistency);
    this.#leases = new BatchLeases({ total: batchCount(manifest, plan!) });
    this.#results = new StepResults({ batchesPerStep: batchesPerStep(manifest) });
    const onCommitted = (batches: readonly number[]) => batches.forEach((batch) => this.#finish(batch));
    if (mode.gradients === "at-commit") {
      this.#steps = new StepLeader({
        job,
        slots: batchesPerStep(manifest),
        batchSize: fit.batchSize,
        mode,
        toNode,
        onCommitted,
        onDropped: (batches) => this.#drop(batches),
        onReturned: (batches) => this.#giveAgain(batches),
      });
    }
    if (mode.rounds)
      this.#rounds = new RoundLeader({ job, spec: mode.rounds, toWorker, onCommitted, sabotages: o.sabotages });
    const [leases, steps, rounds] = [this.#leases, this.#steps, this.#rounds];
    const onEmpty = (batch: number) => this.#finish(batch);
    this.#handout = new Handout({ ...o, mode, leases, steps, rounds, onEmpty });
  }

  get status(): NonNullable<JobStatus["batches"]> {
    const { stalenessMax } = this.#handout;
    const rounds = this.#rounds?.rounds ?? 0;
    const repeated = this.#counts.repeated + this.#handout.repeated;
    return { finished: this.#leases.finished, ...this.#counts, repeated, stalenessMax, rounds };
  }

  /** Has the worker the newest dense weights, where these are not on the PS? It neither trains nor evaluates without. */
  mayTrain(worker: number): boolean {
    return this.#rounds?.isCurrent(worker) ?? true;
  }

  /** Has any worker? The job cannot go on otherwise. */
  get hasWeights(): boolean {
    return this.#rounds?.hasWeights ?? true;
  }

  /** Are batches finished of a step that is not whole? Training ended within it, then. */
  get isPastStep(): boolean {
    const { manifest, commits } = this.#job;
    return this.#leases.finished > commits.length * batchesPerStep(manifest);
  }

  /** Was rank 0 of this term told to store the dense weights? */
  get isStoring(): boolean {
    return this.#storeAskedIn === this.#job.term;
  }

  // -- members and nodes -------------------------------------------------------------------------------------

  /** The job has a new term, which goes by this map. */
  onTerm({ heads, entries }: Pick<PartitionMap, "heads" | "entries">, now: number): void {
    const { term, members } = this.#job;
    const nodes = [...new Set(entries.map(({ chain }) => chain[0]!))].sort((a, b) => a - b);
    this.#heardMs = now;
    this.#rounds?.beginTerm({ term, members, now });
    this.#handout.onTerm(now);
    this.#steps?.beginTerm({ term, heads, nodes, members });
  }

  lose(worker: number): void {
    const out = this.#leases.lose(worker);
    this.#handout.lose(worker, out);
    const inRound = this.#rounds?.lose(worker) ?? [];
    // What is in a step comes back with the term that begins now.
    if (!this.#steps) this.#giveAgain([...out, ...inRound]);
  }

  /** What a PS node says in a step. */
  onAnswer(node: number, answer: NodeAnswer, now: number): void {
    this.#heardMs = now;
    this.#steps?.onAnswer(node, answer);
  }

  /** The link to a PS node came back. */
  onNodeBack(node: number): void {
    this.#steps?.resend(node);
  }

  tick(now: number): void {
    if (this.#steps && now - this.#heardMs >= LIMITS.resendEveryMs) {
      this.#heardMs = now;
      this.#steps.resend();
    }
    this.#handout.tick(now);
  }

  /** Members that the others wait for too long, and that are to be left out. */
  tooLate(now: number): number[] {
    return this.#handout.tooLate(now);
  }

  // -- what workers say --------------------------------------------------------------------------------------

  /** @throws {ClusterError} PROTOCOL_VIOLATION: another number of samples than the batch has */
  onDone(worker: number, done: ControlOf<"batch-done">, now: number): void {
    const { lease, batch, samples, lossSum, cachedRows, rows } = done;
    const planned = this.#handout.samplesOf(batch);
    if (samples !== planned) {
      const message = `worker ${worker} trained batch ${batch} with ${samples} samples, but it has ${planned}`;
      throw new ClusterError("PROTOCOL_VIOLATION", `${message}; run the same release everywhere`);
    }
    const grant = this.#leases.take({ lease, batch, worker, now });
    if (!grant) return; // of a worker that is not known to have it
    this.#handout.onDone(grant, now);
    this.#counts.cachedRows += cachedRows ?? 0;
    this.#counts.rows += rows ?? 0;
    if (grant.isVoid) {
      const isTaken = this.#o.sabotages.has("accept-late-slot") && this.#leases.takeReturned(batch);
      if (isTaken) this.#finish(batch);
      return;
    }
    this.#done.set(batch, { samples, lossSum });
    if (this.#steps) this.#steps.onDone(batch);
    else if (this.#rounds) {
      this.#leases.settle(batch);
      this.#rounds.onDone({ worker, batch, samples });
    } else this.#finish(batch);
  }

  onRoundHeld(worker: number, held: ControlOf<"round-held">, now: number): void {
    this.#rounds?.onHeld(worker, held, now);
  }

  onDenseReady(worker: number, ready: ControlOf<"dense-ready">): void {
    this.#rounds?.onDenseReady(worker, ready);
    if (this.#rounds?.isCurrent(worker)) this.#handout.onReady(worker);
  }

  // -- what comes next ---------------------------------------------------------------------------------------

  /** Gives out what may be given, calls a round where one is due; to be called after everything that happens. */
  next(now: number): Next {
    if (this.#handout.hasMore) this.#handout.giveOut(now);
    const isBusy = this.#leases.held > 0;
    if (this.#rounds && isBusy) this.#callIfDue(this.#rounds, now);
    if (this.#handout.hasMore || isBusy || this.#steps?.isIdle === false) return "train";
    this.#handout.onPause();
    const { ending, validationIsDue, isEvaluating } = this.#job;
    if (validationIsDue && !isEvaluating) return "validate";
    if (ending === undefined && (isEvaluating || this.#leases.next !== undefined)) return "train";
    if (!this.#rounds) return "over";
    this.#storeDense();
    return "train";
  }

  #callIfDue(rounds: RoundLeader, now: number): void {
    if (rounds.isCalled || !rounds.hasWork || this.#leases.out > 0) return;
    if (!this.#handout.hasMore || rounds.isDue({ out: 0, now })) rounds.call(now);
  }

  /** Rank 0 writes the dense weights to the PS, and says then that the job is trained. */
  #storeDense(): void {
    const { job, term, members, commits } = this.#job;
    if (this.#storeAskedIn === term || members.length === 0) return;
    this.#storeAskedIn = term;
    this.#o.toWorker(members[0]!, { type: "store-dense", job, term, step: commits.length });
  }

  // -- what becomes of batches -------------------------------------------------------------------------------

  #finish(batch: number): void {
    this.#leases.finish(batch);
    const { samples, lossSum } = this.#done.get(batch) ?? { samples: this.#handout.samplesOf(batch), lossSum: 0 };
    this.#done.delete(batch);
    const { step } = placeOfBatch(this.#job.manifest, batch);
    const whole = this.#results.add({ step, samples, lossSum });
    for (const each of whole) this.#job.commit({ ...each, attempt: this.#job.term });
  }

  #drop(batches: readonly number[]): void {
    this.#counts.dropped += batches.length;
    for (const batch of batches) {
      if (this.#o.sabotages.has("drop-without-return")) this.#finish(batch);
      else this.#return(batch);
    }
  }

  #giveAgain(batches: readonly number[]): void {
    this.#counts.repeated += batches.length;
    for (const batch of batches) {
      if (this.#o.sabotages.has("forget-lost-batches")) this.#finish(batch);
      else this.#return(batch);
    }
  }

  #return(batch: number): void {
    this.#done.delete(batch);
    this.#handout.onReturned(batch);
    this.#leases.void(batch);
    this.#leases.giveBack(batch);
  }
}
