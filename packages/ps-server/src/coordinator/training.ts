/**
 * The jobs that are trained: their members and terms, what is leased to whom, how far they are.
 */
import { ClusterError } from "@volary/core/errors";
import type { Control, ControlOf } from "@volary/core/wire";
import type { Effects } from "./effects.ts";
import type { Job } from "./job.ts";
import type { Jobs } from "./jobs.ts";
import type { Worker, Workers } from "./workers.ts";

export class Training {
  readonly #effects: Effects;
  readonly #workers: Workers;
  readonly #jobs: Jobs;
  /** `heads` of the partition map. */
  readonly #heads: () => number;

  constructor({
    effects,
    workers,
    jobs,
    heads,
  }: {
    effects: Effects;
    workers: Workers;
    jobs: Jobs;
    heads: () => number;
  }) {
    this.#effects = effects;
    this.#workers = workers;
    this.#jobs = jobs;
    this.#heads = heads;
  }

  /** Partitions have other heads: every job that is trained fences them. */
  onHeads(): void {
    for (const job of this.#jobs.all) if (job.phase === "training") this.#newTerm(job, "partitions have other heads");
  }

  onReady(worker: Worker, { trainRows, testRows, fingerprint }: ControlOf<"ready">, now: number): void {
    const job = this.#jobs.of(worker.job!);
    if (job.over) return;
    const data = { trainRows, testRows, fingerprint };
    if (!job.data) {
      if (trainRows === 0) {
        this.#jobs.end(job, "failed", "the data set has no training rows", now);
        return;
      }
      job.measure(data);
    } else if (job.data.fingerprint !== fingerprint) {
      const message = `worker ${worker.name} sees other data than the first worker: ${trainRows} training and ${testRows} test rows against ${job.data.trainRows} and ${job.data.testRows}; give every worker the same file`;
      this.#effects.log(message);
      worker.unfitFor.add(job.job);
      this.#dismiss(worker, { job: job.job, phase: "failed", message });
      return;
    }
    worker.ready = true;
    if (job.phase === "training") this.#newTerm(job, `worker ${worker.name} joined`);
    else if (job.phase === "evaluating") this.#dismiss(worker, { job: job.job, phase: "evaluating" });
    else if (this.#workers.readyFor(job.job).length >= job.manifest.workersMin) {
      job.phase = "training";
      job.startedAt = now;
      this.#jobs.save(job);
      this.#newTerm(job, "start");
    }
  }

  /** Frees a worker that can do nothing for its job, for another one. */
  #dismiss(worker: Worker, end: Omit<ControlOf<"end">, "type">): void {
    worker.job = undefined;
    worker.ready = false;
    this.#effects.send(worker.link, { type: "end", ...end });
    this.#jobs.assignIdle();
  }

  /** Ranks go by seniority, so rank 0 holds the dense state if anyone does. */
  #newTerm(job: Job, why: string): void {
    const seniority = new Map(job.members.map((worker, rank) => [worker, rank]));
    const workers = this.#workers
      .readyFor(job.job)
      .sort(
        (a, b) => (seniority.get(a.worker) ?? Infinity) - (seniority.get(b.worker) ?? Infinity) || a.worker - b.worker,
      );
    job.beginTerm(workers.map((w) => w.worker));
    this.#jobs.save(job);
    this.#effects.log(
      `job ${job.job} (${job.manifest.name}): term ${job.term} with ${workers.length} workers (${why})`,
    );
    const members = workers.map(({ worker, address }) => ({ worker, address }));
    const term: Control = { type: "term", job: job.job, term: job.term, heads: this.#heads(), members };
    for (const { link } of workers) this.#effects.send(link, term);
    if (job.isEvaluating) this.#inviteToEvaluate(job);
  }

  loseWorker(worker: Worker, why: string, now: number): void {
    this.#workers.remove(worker.link);
    this.#effects.log(`worker ${worker.worker} (${worker.name}) is lost: ${why}`);
    const job = worker.job === undefined ? undefined : this.#jobs.of(worker.job);
    if (!job?.active || !worker.ready) return;
    job.badRows.forget(worker.worker);
    job.evaluation?.release(worker.worker);
    if (this.#workers.readyFor(job.job).length === 0) {
      this.#jobs.end(
        job,
        "failed",
        `the last worker is lost (${why}), and with it the dense weights; run the job again`,
        now,
      );
    } else if (job.phase === "training") this.#newTerm(job, `worker ${worker.name} lost: ${why}`);
  }

  onTermRequest(worker: Worker, { term, reason }: ControlOf<"term-request">): void {
    const job = this.#jobs.of(worker.job!);
    if (job.phase !== "training" || term !== job.term) return;
    this.#newTerm(job, reason);
  }

  // -- leases, progress, evaluation --------------------------------------------------------------------------

  onLeaseRequest(worker: Worker, { purpose, term }: ControlOf<"lease-request">, now: number): void {
    const job = this.#jobs.of(worker.job!);
    if (purpose === "train") {
      if (job.phase !== "training" || term !== job.term || job.members[0] !== worker.worker) return;
      if (job.validationIsDue && !job.isEvaluating) this.#evaluate(job, now);
      if (job.isEvaluating) job.leaseAwaited = true;
      else this.#leaseSteps(job, worker);
      return;
    }
    const base = { job: job.job, purpose, term } as const;
    const lease = job.active ? job.evaluation?.lease(worker.worker) : undefined;
    if (lease)
      this.#effects.send(worker.link, { type: "lease", ...base, lease: lease.lease, from: lease.from, to: lease.to });
    else
      this.#effects.send(worker.link, {
        type: "no-lease",
        ...base,
        reason: job.active && job.isEvaluating ? "wait" : "done",
      });
  }

  /** Steps for the leader; none where training ends. */
  #leaseSteps(job: Job, leader: Worker): void {
    const base = { job: job.job, purpose: "train", term: job.term } as const;
    const lease = job.leaseSteps(job.term);
    if (lease)
      this.#effects.send(leader.link, { type: "lease", ...base, lease: lease.lease, from: lease.from, to: lease.to });
    else this.#effects.send(leader.link, { type: "no-lease", ...base, reason: "done" });
  }

  /** Has the held-out rows evaluated as they are after the newest step. */
  #evaluate(job: Job, now: number): void {
    job.beginEvaluation(now);
    if (job.evaluation!.done) this.#onEvaluationDone(job, now);
    else this.#inviteToEvaluate(job);
  }

  #inviteToEvaluate(job: Job): void {
    const evaluation = job.evaluation!;
    for (const { worker, link } of this.#workers.readyFor(job.job)) {
      if (!evaluation.invite(worker)) continue;
      this.#effects.send(link, { type: "evaluate", job: job.job, term: job.term, step: evaluation.step });
    }
  }

  onTrained(worker: Worker, { term, step }: ControlOf<"trained">, now: number): void {
    const job = this.#jobs.of(worker.job!);
    if (job.phase !== "training" || term !== job.term) return;
    if (job.commits.length !== step)
      throw new ClusterError(
        "PROTOCOL_VIOLATION",
        `job ${job.job} ended at step ${step} but ${job.commits.length} commits were reported`,
      );
    job.endTraining(now);
    this.#jobs.save(job);
    // Where training was ended at a validation, that one is the last.
    if (job.evaluation?.step !== step) this.#evaluate(job, now);
    else if (job.evaluation.done) this.#finish(job);
  }

  onEvaluated(worker: Worker, { lease, metrics }: ControlOf<"evaluated">, now: number): void {
    const job = this.#jobs.of(worker.job!);
    if (job.active && job.takeShare({ lease, worker: worker.worker, metrics })) this.#onEvaluationDone(job, now);
  }

  #onEvaluationDone(job: Job, now: number): void {
    job.endEvaluation(now);
    if (job.phase === "evaluating") {
      this.#finish(job);
      return;
    }
    this.#jobs.save(job);
    const leader = this.#workers.readyFor(job.job).find(({ worker }) => worker === job.members[0]);
    if (!job.leaseAwaited || !leader) return;
    job.leaseAwaited = false;
    this.#leaseSteps(job, leader);
  }

  #finish(job: Job): void {
    job.finish();
    this.#jobs.release(job, "done");
  }

  onBadRows(worker: Worker, found: ControlOf<"bad-rows">, now: number): void {
    const job = this.#jobs.of(worker.job!);
    if (job.over) return;
    const inFirstEpoch = job.plan === undefined || job.commits.length < job.plan.stepsPerEpoch;
    job.badRows.take({ worker: worker.worker, found, inFirstEpoch });
    const fault = job.badRows.fault(job.manifest.data.badRowsMax);
    if (fault !== undefined) this.#jobs.end(job, "failed", fault, now);
  }

  /** Training ends after the step under way. */
  onFinishJob(job: Job, reason: string): void {
    if (job.over || job.phase === "evaluating") return;
    job.ending ??= reason;
    this.#effects.log(`job ${job.job} (${job.manifest.name}) ends early: ${reason}`);
    const leader = this.#workers.readyFor(job.job).find(({ worker }) => worker === job.members[0]);
    if (leader && job.phase === "training") this.#leaseSteps(job, leader);
  }
}
