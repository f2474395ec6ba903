/**
 * One job as the coordinator sees it: phase, members, term, which steps are committed, what is leased.
 * The step plan is a pure function of the manifest and the number of rows, so steps stand for data ranges.
 */
import { ProtocolError } from "@volary/core/errors";
import type { JobManifest } from "@volary/core/job";
import type { JobPhase, JobStatus } from "@volary/core/wire";
import { newMetrics, type Metrics, type MetricsState } from "@volary/core/metrics";
import { stepPlan, type StepPlan } from "@volary/core/training";
import { LeaseTable } from "./lease-table.ts";

/** Steps leased to the leader at once, and test samples to a worker: small enough to lose, large enough to be rare. */
const STEPS_PER_LEASE = 64;
const TEST_SAMPLES_PER_LEASE = 16_384;

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
  readonly owner: number;
  phase: JobPhase = "preparing";
  message: string | undefined;
  term = 0;
  /** Worker ids in rank order. */
  members: number[] = [];
  readonly terms: { term: number; members: number[] }[] = [];
  data: DataSize | undefined;
  plan: StepPlan | undefined;
  /** commits[i] is the attempt under which step i + 1 was committed. */
  readonly commits: number[] = [];
  samples = 0;
  loss: number | null = null;
  trainLeases: LeaseTable | undefined;
  testLeases: LeaseTable | undefined;
  metrics: Record<string, number> | null = null;
  readonly #evaluation: Metrics;
  startedAt = 0;
  trainedAt = 0;

  constructor({ job, manifest, owner }: { job: number; manifest: JobManifest; owner: number }) {
    this.job = job;
    this.manifest = manifest;
    this.owner = owner;
    this.#evaluation = newMetrics(manifest.compile.metrics);
  }

  get over(): boolean {
    return this.phase === "done" || this.phase === "failed" || this.phase === "stopped";
  }

  get active(): boolean {
    return this.phase === "training" || this.phase === "evaluating";
  }

  /** The first ready worker tells how many rows there are; all others must see the same. */
  measure(data: DataSize): void {
    this.data = data;
    this.plan = stepPlan({ manifest: this.manifest, trainRows: data.trainRows });
    this.trainLeases = new LeaseTable({ from: 1, to: this.plan.steps + 1 });
    this.testLeases = new LeaseTable({ from: 0, to: data.testRows });
  }

  beginTerm(members: number[]): void {
    this.trainLeases?.release({ holder: this.term });
    this.term++;
    this.members = members;
    this.terms.push({ term: this.term, members: [...members] });
  }

  leaseSteps(term: number): { lease: number; from: number; to: number } | undefined {
    return this.trainLeases?.acquire({ holder: term, unitsMax: STEPS_PER_LEASE });
  }

  leaseTest(worker: number): { lease: number; from: number; to: number } | undefined {
    return this.testLeases?.acquire({ holder: worker, unitsMax: TEST_SAMPLES_PER_LEASE });
  }

  /** Notes a committed step; repeats are welcome, gaps wait for the repeat that fills them. */
  commit({
    step,
    attempt,
    samples,
    lossSum,
  }: {
    step: number;
    attempt: number;
    samples: number;
    lossSum: number;
  }): void {
    if (step !== this.commits.length + 1) return;
    this.commits.push(attempt);
    this.samples += samples;
    const mean = lossSum / samples;
    this.loss = this.loss === null ? mean : this.loss + 0.05 * (mean - this.loss);
    this.trainLeases?.finishBelow(step + 1);
  }

  /**
   * Merges a finished share of the evaluation; false when the worker does not hold that lease any more.
   *
   * @throws {ProtocolError} metrics that are not this job's; the lease is still held then
   */
  evaluated({ lease, worker, metrics }: { lease: number; worker: number; metrics: MetricsState }): boolean {
    if (this.testLeases?.holderOf({ lease }) !== worker) return false;
    try {
      this.#evaluation.merge(metrics);
    } catch (cause) {
      throw new ProtocolError(`metrics of lease ${lease}: ${cause instanceof Error ? cause.message : String(cause)}`, {
        cause,
      });
    }
    return this.testLeases.finish({ lease });
  }

  /** A metric that has no value, such as an AUC over one class, is left out: JSON has no word for it. */
  finishEvaluation(): void {
    const result = this.data && this.data.testRows > 0 ? this.#evaluation.result() : {};
    this.metrics = Object.fromEntries(Object.entries(result).filter(([, value]) => Number.isFinite(value)));
  }

  status(now: number): JobStatus {
    const until = this.trainedAt || (this.startedAt ? now : 0);
    return {
      job: this.job,
      name: this.manifest.name,
      phase: this.phase,
      ...(this.message === undefined ? {} : { message: this.message }),
      step: this.commits.length,
      steps: this.plan?.steps ?? 0,
      epochs: this.manifest.fit.epochs,
      samples: this.samples,
      loss: this.loss,
      workers: this.members.length,
      term: this.term,
      evaluated: this.testLeases?.finished ?? 0,
      testRows: this.data?.testRows ?? 0,
      metrics: this.metrics,
      trainSeconds: Math.max(0, until - this.startedAt) / 1000,
    };
  }
}
