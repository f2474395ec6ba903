/**
 * One job as the coordinator sees it: phase, members, term, which steps are committed, what is leased, how training
 * goes. The step plan is a pure function of the manifest and the number of rows, so steps stand for data ranges.
 *
 * Steps are leased up to the next *pause*: a step after which the held-out rows are to be evaluated, or whose epoch's
 * loss may end training. The leader asks for more only when every PS node has committed all before, so nothing of a
 * later step is applied while the job pauses.
 */
import { monitoredOf, type JobManifest } from "@volary/core/job";
import type { MetricsState } from "@volary/core/metrics";
import type { JobPhase, JobStatus } from "@volary/core/wire";
import { stepPlan, type StepPlan } from "@volary/core/training";
import { BadRows } from "./bad-rows.ts";
import { BalanceShares } from "./balance-shares.ts";
import type { BatchTraining } from "./batches/batch-training.ts";
import { Lateness } from "./batches/lateness.ts";
import { EarlyStopping } from "./early-stopping.ts";
import { Evaluation } from "./evaluation.ts";
import { JobHistory } from "./job-history.ts";
import { LateMembers } from "./late-members.ts";
import { LeaseTable, type Lease } from "./lease-table.ts";

/** Steps leased to the leader at once: small enough to lose, large enough to be rare. */
const STEPS_PER_LEASE = 64;

export interface DataSize {
  trainRows: number;
  testRows: number;
  fingerprint: string;
}

export interface Commit {
  step: number;
  attempt: number;
}

export class Job {
  readonly job: number;
  readonly manifest: JobManifest;
  /** The link of the client that submitted it; unknown after a restart. */
  readonly owner: number | undefined;
  phase: JobPhase = "preparing";
  message: string | undefined;
  term = 0;
  /** Worker ids in rank order. */
  members: number[] = [];
  /** With the shares by which the slices of a term's members are long, where they are not equal. */
  readonly terms: { term: number; members: number[]; shares?: number[] | undefined }[] = [];
  data: DataSize | undefined;
  plan: StepPlan | undefined;
  history: JobHistory | undefined;
  /** commits[i] is the attempt under which step i + 1 was committed. */
  readonly commits: number[] = [];
  samples = 0;
  loss: number | null = null;
  readonly badRows = new BadRows();
  readonly balance = new BalanceShares();
  readonly late = new LateMembers();
  /** Where the coordinator gives out batches, once training has begun. */
  batches: BatchTraining | undefined;
  /** Why training ends before its last step, once it does. */
  ending: string | undefined;
  /** Does the leader of this term wait for a lease, until an evaluation is done? */
  leaseAwaited = false;
  /** The evaluation under way, or the newest one. */
  evaluation: Evaluation | undefined;
  metrics: Record<string, number> | null = null;
  startedAt = 0;
  trainedAt = 0;
  #trainLeases: LeaseTable | undefined;
  readonly #earlyStopping: EarlyStopping | undefined;
  /** Steps between pauses for validation. */
  #validateEvery: number | undefined;
  #pausedAt: number | undefined;
  #pausedMs = 0;
  /** How long shares of evaluations take. */
  readonly #shares = new Lateness();

  constructor({ job, manifest, owner }: { job: number; manifest: JobManifest; owner: number | undefined }) {
    this.job = job;
    this.manifest = manifest;
    this.owner = owner;
    const { earlyStopping } = manifest.fit;
    if (earlyStopping) this.#earlyStopping = new EarlyStopping(earlyStopping);
  }

  get over(): boolean {
    return this.phase === "done" || this.phase === "failed" || this.phase === "stopped";
  }

  get active(): boolean {
    return this.phase === "training" || this.phase === "evaluating";
  }

  /** Held-out rows of the evaluation under way, or of the newest one. */
  get evaluated(): number {
    return this.evaluation?.evaluated ?? 0;
  }

  /** Is an evaluation under way? */
  get isEvaluating(): boolean {
    return this.evaluation !== undefined && !this.evaluation.done;
  }

  /** The first ready worker tells how many rows there are; all others must see the same. */
  measure(data: DataSize): void {
    const { fit } = this.manifest;
    this.data = data;
    this.plan = stepPlan({ manifest: this.manifest, trainRows: data.trainRows });
    this.history = new JobHistory(this.plan);
    this.#trainLeases = new LeaseTable({ from: 1, to: this.plan.steps + 1 });
    if (data.testRows > 0) this.#validateEvery = stepsBetween(fit.validate, this.plan);
  }

  /** @param shares how long the members' slices are in relation to one another; equal without it */
  beginTerm(members: number[], shares?: number[]): void {
    this.#trainLeases?.release({ holder: this.term });
    this.leaseAwaited = false;
    this.term++;
    this.members = members;
    this.terms.push({ term: this.term, members: [...members], ...(shares ? { shares } : {}) });
    this.late.begin(members);
  }

  /** Is training at a step after which the held-out rows are to be evaluated, and were not? */
  get validationIsDue(): boolean {
    const every = this.#validateEvery;
    const step = this.commits.length;
    if (every === undefined || step === 0 || step % every !== 0 || step === this.plan!.steps) return false;
    return this.ending === undefined && this.evaluation?.step !== step;
  }

  /** The last step before the next pause; the newest committed one while training pauses, or ends. */
  get trainableTo(): number {
    const step = this.commits.length;
    if (this.ending !== undefined || this.validationIsDue || this.isEvaluating) return step;
    return Math.min(this.plan!.steps, ...this.#pauses().map((every) => step + every - (step % every)));
  }

  /**
   * Steps for the leader, up to the next pause; nothing when training ends here. Those it has are leased until they are
   * committed: who asks again before has not heard the answer.
   */
  leaseSteps(term: number): Lease | undefined {
    if (this.ending !== undefined) return undefined;
    const held = this.#trainLeases?.heldBy({ holder: term });
    if (held) return held;
    const from = this.#trainLeases?.next;
    if (from === undefined) return undefined;
    const unitsMax = Math.min(STEPS_PER_LEASE, ...this.#pauses().map((every) => every - ((from - 1) % every)));
    return this.#trainLeases!.acquire({ holder: term, unitsMax });
  }

  /** Notes a committed step; repeats are welcome, gaps wait for the repeat that fills them. */
  commit({ step, attempt, samples, lossSum }: Commit & { samples: number; lossSum: number }): void {
    if (step !== this.commits.length + 1) return;
    this.commits.push(attempt);
    this.samples += samples;
    const mean = lossSum / samples;
    this.loss = this.loss === null ? mean : this.loss + 0.05 * (mean - this.loss);
    this.#trainLeases?.finishBelow(step + 1);
    this.history?.commit({ samples, lossSum });
    const epoch = this.history?.newestEpoch;
    if (this.#watchesTraining && epoch?.step === step) this.#considerStopping({ step, value: epoch.loss });
  }

  /** Begins the evaluation of the held-out rows as they are now. */
  beginEvaluation(now: number): Evaluation {
    const step = this.commits.length;
    const { manifest } = this;
    const firstLease = this.evaluation?.nextLease;
    this.evaluation = new Evaluation({
      step,
      testRows: this.data!.testRows,
      manifest,
      firstLease,
      lateness: this.#shares,
    });
    if (this.phase === "training") this.#pausedAt = now;
    return this.evaluation;
  }

  /** Merges a share; true when it was the last one of its evaluation. */
  takeShare(share: { lease: number; worker: number; metrics: MetricsState; now: number }): boolean {
    return this.isEvaluating && this.evaluation!.take(share) && this.evaluation!.done;
  }

  /** The evaluation under way is whole: notes what it gave. */
  endEvaluation(now: number): void {
    const { step } = this.evaluation!;
    const metrics = this.evaluation!.result();
    this.#endPause(now);
    if (this.data!.testRows > 0) this.history!.validated({ step, metrics });
    const { earlyStopping } = this.manifest.fit;
    if (this.phase !== "training" || !earlyStopping || this.#watchesTraining) return;
    const monitored = monitoredOf(earlyStopping.monitor);
    const value = monitored.of === "held-out" ? metrics[monitored.metric] : undefined;
    if (value !== undefined) this.#considerStopping({ step, value });
  }

  /** Training is over: every step that will ever be is committed. */
  endTraining(now: number): void {
    this.phase = "evaluating";
    this.trainedAt = now;
    this.#endPause(now);
    this.history?.end();
  }

  /** The job is done, with the metrics of its last evaluation. */
  finish(): void {
    this.metrics = this.evaluation?.result() ?? {};
    this.message = this.ending;
  }

  status(now: number): JobStatus {
    const step = this.commits.length;
    const until = this.trainedAt || (this.startedAt ? now : 0);
    const paused = this.#pausedMs + (this.#pausedAt === undefined ? 0 : now - this.#pausedAt);
    return {
      job: this.job,
      name: this.manifest.name,
      phase: this.phase,
      ...(this.message === undefined ? {} : { message: this.message }),
      step,
      steps: this.plan?.steps ?? 0,
      epochs: this.manifest.fit.epochs,
      epoch: this.plan ? this.plan.epochOf(Math.min(step + 1, this.plan.steps)) : 0,
      samples: this.samples,
      loss: this.loss,
      workers: this.members.length,
      term: this.term,
      evaluated: this.evaluated,
      testRows: this.data?.testRows ?? 0,
      metrics: this.metrics,
      validation: this.history?.newestValidation ?? null,
      badRows: this.badRows.news,
      ...(this.batches ? { batches: this.batches.status } : {}),
      trainSeconds: Math.max(0, until - this.startedAt - paused) / 1000,
    };
  }

  get #watchesTraining(): boolean {
    const { earlyStopping } = this.manifest.fit;
    return earlyStopping !== undefined && monitoredOf(earlyStopping.monitor).of === "training";
  }

  /** Every how many steps training pauses, for each reason there is. */
  #pauses(): number[] {
    return [
      ...(this.#validateEvery === undefined ? [] : [this.#validateEvery]),
      ...(this.#watchesTraining ? [this.plan!.stepsPerEpoch] : []),
    ];
  }

  #considerStopping(seen: { step: number; value: number }): void {
    if (seen.step < this.plan!.steps) this.ending ??= this.#earlyStopping!.take(seen);
  }

  #endPause(now: number): void {
    if (this.#pausedAt !== undefined) this.#pausedMs += now - this.#pausedAt;
    this.#pausedAt = undefined;
  }
}

function stepsBetween(validate: JobManifest["fit"]["validate"], { stepsPerEpoch }: StepPlan): number | undefined {
  if (validate === "end") return undefined;
  if (validate === "epoch") return stepsPerEpoch;
  return "everySteps" in validate ? validate.everySteps : validate.everyEpochs * stepsPerEpoch;
}
