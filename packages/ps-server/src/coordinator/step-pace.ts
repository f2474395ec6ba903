/**
 * The pace of jobs: where members train each step together, slices as long as they are fast (`balance-shares.ts`); and no
 * member that the others wait for too long (`late-members.ts`; `batches/` where the coordinator gives out batches). Both
 * change with a new term.
 */
import { consistencyOf } from "@volary/core/consistency";
import type { ControlOf } from "@volary/core/wire";
import type { Job } from "./job.ts";
import type { Jobs } from "./jobs.ts";
import type { Worker, Workers } from "./workers.ts";

interface StepPaceOptions {
  workers: Workers;
  jobs: Jobs;
  beginTerm: (job: Job, why: string, now: number) => void;
  /** Frees a worker from its job. */
  dismiss: (worker: Worker, end: Omit<ControlOf<"end">, "type">) => void;
}

export class StepPace {
  readonly #o: StepPaceOptions;

  constructor(o: StepPaceOptions) {
    this.#o = o;
  }

  /** A member has computed its part of a step. */
  onStepTimes(worker: Worker, times: ControlOf<"step-times">, now: number): void {
    const { jobs, beginTerm } = this.#o;
    const job = jobs.of(worker.job!);
    if (job.phase !== "training" || times.term !== job.term) return;
    job.late.computed(worker.worker, times.step);
    job.balance.heard(worker.worker, times);
    if (!consistencyOf(job.manifest.fit.consistency).isBalanced || job.isEvaluating) return;
    const { members, terms } = job;
    if (job.balance.mayImprove({ members, shares: terms.at(-1)!.shares }, now))
      beginTerm(job, "slices fit the workers' speeds better", now);
  }

  /** Called a few times a second. */
  tick(now: number): void {
    for (const job of this.#o.jobs.all) {
      if (job.phase !== "training") continue;
      this.#takeBack(job, now);
      this.#leaveOut(job, lateMembers(job, now), now);
    }
  }

  #leaveOut(job: Job, late: readonly number[], now: number): void {
    if (late.length === 0) return;
    const { workers, beginTerm, dismiss } = this.#o;
    const names: string[] = [];
    for (const worker of workers.readyFor(job.job)) {
      if (!late.includes(worker.worker)) continue;
      const seconds = job.late.leaveOut(worker.worker, now) / 1000;
      job.balance.forget(worker.worker);
      job.badRows.forget(worker.worker);
      job.evaluation?.release(worker.worker);
      job.batches?.lose(worker.worker);
      worker.unfitFor.add(job.job);
      names.push(worker.name);
      const message = `this worker is too slow for the others, and is left out for ${seconds} s`;
      dismiss(worker, { job: job.job, phase: "training", message });
    }
    beginTerm(job, `too slow, and left out: ${names.join(", ")}`, now);
  }

  /** Workers that were left out may join again. */
  #takeBack(job: Job, now: number): void {
    const { workers, jobs } = this.#o;
    const back = job.late.returning(now);
    if (back.length === 0) return;
    for (const worker of workers.all) if (back.includes(worker.worker)) worker.unfitFor.delete(job.job);
    jobs.assignIdle();
  }
}

/** Who holds the others up now. Members that train each step together wait for nobody while they pause, or end. */
function lateMembers(job: Job, now: number): readonly number[] {
  if (job.batches) return job.batches.tooLate(now);
  if (!job.isEvaluating && job.ending === undefined) return job.late.look(job.commits.length, now);
  job.late.pause();
  return [];
}
