/**
 * What a run told while it ran, with the time at which it was heard: the source of event files and reports. Bounded,
 * however long the run: curves thin themselves, and the rest is a last word each.
 *
 * News may come twice or late (a watcher that connects again is told everything anew); a step counts once.
 */
import { LIMITS } from "@volary/core/limits";
import type { ClusterStatus, EpochNews, JobPhase, JobStatus, StepNews, ValidationNews } from "@volary/core/wire";
import { Curve } from "./curve.ts";
import type { ScalarEvent } from "./tensorboard-events.ts";

/** Where the mean step's time goes. */
export interface StepTiming {
  readonly part: string;
  readonly milliseconds: number;
}

/** A job's status, with the timings of its steps where they are known. */
export type TimedStatus = JobStatus & { readonly timings?: readonly StepTiming[] | undefined };

export interface WorkerRecord {
  readonly name: string;
  readonly device: string;
  /** When it was first and last seen at work on the job, in ms since 1970. */
  readonly fromMs: number;
  readonly untilMs: number;
}

export interface Validation extends Pick<ValidationNews, "step" | "metrics"> {
  readonly atMs: number;
}

export interface RunRecordOptions {
  /** ms since 1970. */
  now: () => number;
  /** Told every figure once, as soon as it is known. */
  onScalars?: ((event: ScalarEvent) => void) | undefined;
}

/** A speed is a mean over at least this long, or over what there is when training ends. */
const SPEED_SECONDS = 1;
const SPEED_SECONDS_LEAST = 0.05;
const VALIDATIONS_MAX = 10_000;
const EPOCHS_MAX = 10_000;

export class RunRecord {
  /** When the job was first heard of, in ms since 1970; before that, when the record was made. */
  startedMs: number;
  readonly loss = new Curve();
  /** Samples per second. */
  readonly speed = new Curve();
  /** The last word on the job and the cluster. */
  job: JobStatus | undefined;
  cluster: ClusterStatus | undefined;
  timings: readonly StepTiming[] = [];
  readonly #now: () => number;
  readonly #onScalars: (event: ScalarEvent) => void;
  readonly #workers = new Map<number, WorkerRecord>();
  readonly #validations: Validation[] = [];
  readonly #epochs: EpochNews[] = [];
  readonly #phaseMs = new Map<JobPhase, number>();
  #phaseSinceMs = 0;
  #lastStep = 0;
  /** Where the newest speed is measured from. */
  #mark = { trainSeconds: 0, samples: 0 };

  constructor({ now, onScalars = () => {} }: RunRecordOptions) {
    this.#now = now;
    this.#onScalars = onScalars;
    this.startedMs = now();
  }

  /** In the order of their steps. */
  get validations(): readonly Validation[] {
    return this.#validations;
  }

  get epochs(): readonly EpochNews[] {
    return this.#epochs;
  }

  /** Every worker that was seen on the job, in the order they came. */
  get workers(): WorkerRecord[] {
    return [...this.#workers.values()];
  }

  /** How long the job was in each phase that has ended, in ms. */
  get phaseMs(): ReadonlyMap<JobPhase, number> {
    return this.#phaseMs;
  }

  readonly onStatus = (status: TimedStatus): void => {
    const atMs = this.#now();
    if (!this.job) this.startedMs = atMs;
    this.#takePhase(status, atMs);
    this.job = status;
    this.timings = status.timings ?? this.timings;
    for (const step of status.news?.steps ?? []) this.#takeStep(step, atMs);
    for (const epoch of status.news?.epochs ?? []) this.#takeEpoch(epoch, atMs);
    for (const validation of status.news?.validations ?? []) this.#takeValidation(validation, atMs);
    if (status.validation) this.#takeValidation(status.validation, atMs);
    if (status.phase === "done" && status.metrics)
      this.#takeValidation({ step: status.step, metrics: status.metrics }, atMs);
    this.#takeSpeed(status, atMs);
  };

  readonly onCluster = (status: ClusterStatus): void => {
    const atMs = this.#now();
    this.cluster = status;
    for (const { worker, name, backend, job } of status.workers) {
      if (job === null || job !== this.job?.job) continue;
      const fromMs = this.#workers.get(worker)?.fromMs ?? atMs;
      this.#workers.set(worker, { name, device: backend, fromMs, untilMs: atMs });
      if (this.#workers.size > LIMITS.workersPerJobMax) this.#workers.delete(this.#workers.keys().next().value!);
    }
  };

  #takePhase({ phase }: JobStatus, atMs: number): void {
    const before = this.job?.phase;
    if (before === phase) return;
    if (before) this.#phaseMs.set(before, (this.#phaseMs.get(before) ?? 0) + atMs - this.#phaseSinceMs);
    this.#phaseSinceMs = atMs;
  }

  #takeStep({ step, loss, samples }: StepNews, atMs: number): void {
    if (step <= this.#lastStep) return;
    this.#lastStep = step;
    this.#onScalars({ atMs, step, scalars: { loss } });
    // A step of nothing but bad rows weighs nothing.
    if (samples > 0) this.loss.add({ step, value: loss, weight: samples, atMs });
  }

  #takeValidation({ step, metrics }: Omit<Validation, "atMs">, atMs: number): void {
    const last = this.#validations.at(-1);
    if ((last && step <= last.step) || Object.keys(metrics).length === 0) return;
    const scalars = Object.fromEntries(Object.entries(metrics).map(([name, value]) => [`val_${name}`, value]));
    this.#onScalars({ atMs, step, scalars });
    // Far more than anyone waits for; the newest word still counts.
    if (this.#validations.length === VALIDATIONS_MAX) this.#validations.pop();
    this.#validations.push({ step, metrics, atMs });
  }

  #takeEpoch(news: EpochNews, atMs: number): void {
    const last = this.#epochs.at(-1);
    if (last && news.epoch <= last.epoch) return;
    this.#onScalars({ atMs, step: news.step, scalars: { epoch_loss: news.loss } });
    if (this.#epochs.length === EPOCHS_MAX) this.#epochs.pop();
    this.#epochs.push(news);
  }

  #takeSpeed({ phase, step, samples, trainSeconds }: JobStatus, atMs: number): void {
    const seconds = trainSeconds - this.#mark.trainSeconds;
    if (seconds < (phase === "training" ? SPEED_SECONDS : SPEED_SECONDS_LEAST)) return;
    const value = (samples - this.#mark.samples) / seconds;
    this.#mark = { trainSeconds, samples };
    this.speed.add({ step, value, weight: seconds, atMs });
    this.#onScalars({ atMs, step, scalars: { samples_per_second: value } });
  }
}
