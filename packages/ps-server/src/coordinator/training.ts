/**
 * The jobs that are trained: their members and terms, what is leased to whom, how far they are.
 */
import { consistencyOf, type Consistency } from "@volary/core/consistency";
import { ClusterError, type ClusterErrorCode } from "@volary/core/errors";
import type { PartitionMap } from "@volary/core/partition";
import { NO_SABOTAGE, type Sabotages } from "@volary/core/sabotage";
import type { Control, ControlOf } from "@volary/core/wire";
import { BatchTraining } from "./batches/batch-training.ts";
import type { NodeAnswer } from "./batches/step-leader.ts";
import type { Effects, LinkId } from "./effects.ts";
import type { Job } from "./job.ts";
import type { Jobs } from "./jobs.ts";
import type { PsMember, PsMembers } from "./ps-members.ts";
import { StepPace } from "./step-pace.ts";
import type { Worker, Workers } from "./workers.ts";

interface TrainingOptions {
  effects: Effects;
  workers: Workers;
  nodes: PsMembers;
  jobs: Jobs;
  map: () => PartitionMap | undefined;
  sabotages?: Sabotages | undefined;
}

export class Training {
  readonly pace: StepPace;
  readonly #effects: Effects;
  readonly #workers: Workers;
  readonly #nodes: PsMembers;
  readonly #jobs: Jobs;
  readonly #map: () => PartitionMap | undefined;
  readonly #sabotages: Sabotages;

  constructor({ effects, workers, nodes, jobs, map, sabotages = NO_SABOTAGE }: TrainingOptions) {
    this.#effects = effects;
    this.#workers = workers;
    this.#nodes = nodes;
    this.#jobs = jobs;
    this.#map = map;
    this.#sabotages = sabotages;
    this.pace = new StepPace({
      workers,
      jobs,
      beginTerm: (job, why, now) => this.#newTerm(job, why, now),
      dismiss: (worker, end) => this.#dismiss(worker, end),
    });
  }

  /** Partitions have other heads: every job that is trained fences them. */
  onHeads(now: number): void {
    for (const job of this.#jobs.all)
      if (job.phase === "training") this.#newTerm(job, "partitions have other heads", now);
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
    if (job.phase === "training") this.#newTerm(job, `worker ${worker.name} joined`, now);
    else if (job.phase === "evaluating") this.#dismiss(worker, { job: job.job, phase: "evaluating" });
    else if (this.#workers.readyFor(job.job).length >= job.manifest.workersMin) {
      job.phase = "training";
      job.startedAt = now;
      this.#jobs.save(job);
      if (modeOf(job).work === "batches") job.batches = this.#batchesOf(job);
      this.#newTerm(job, "start", now);
    }
  }

  /** Frees a worker that can do nothing for its job, for another one. */
  #dismiss(worker: Worker, end: Omit<ControlOf<"end">, "type">): void {
    worker.job = undefined;
    worker.ready = false;
    this.#effects.send(worker.link, { type: "end", ...end });
    this.#jobs.assignIdle();
  }

  /** Ranks go by seniority among those who have the dense weights, so rank 0 has them, and their state, if anyone does. */
  #newTerm(job: Job, why: string, now: number): void {
    const seniority = new Map(job.members.map((worker, rank) => [worker, rank]));
    const rankOf = ({ worker }: Worker) => seniority.get(worker) ?? job.members.length;
    const lacksWeights = ({ worker }: Worker) => Number(job.batches?.mayTrain(worker) === false);
    const workers = this.#workers
      .readyFor(job.job)
      .sort((a, b) => lacksWeights(a) - lacksWeights(b) || rankOf(a) - rankOf(b) || a.worker - b.worker);
    const ranks = workers.map((w) => w.worker);
    const shares = modeOf(job).isBalanced ? job.balance.of(ranks) : undefined;
    job.beginTerm(ranks, shares);
    this.#jobs.save(job);
    this.#effects.log(
      `job ${job.job} (${job.manifest.name}): term ${job.term} with ${workers.length} workers (${why})` +
        (shares ? `, shares ${shares.join(" : ")}` : ""),
    );
    const members = workers.map(({ worker, address }) => ({ worker, address }));
    const base = { type: "term", job: job.job, term: job.term, heads: this.#map()!.heads, members } as const;
    const term: Control = { ...base, ...(shares ? { shares } : {}) };
    for (const { link } of workers) this.#effects.send(link, term);
    if (job.isEvaluating) this.#inviteToEvaluate(job);
    job.batches?.onTerm(this.#map()!, now);
    this.#goOn(job, now);
  }

  loseWorker(worker: Worker, why: string, now: number): void {
    this.#workers.remove(worker.link);
    this.#effects.log(`worker ${worker.worker} (${worker.name}) is lost: ${why}`);
    const job = worker.job === undefined ? undefined : this.#jobs.of(worker.job);
    if (!job?.active || !worker.ready) return;
    job.badRows.forget(worker.worker);
    job.balance.forget(worker.worker);
    job.late.forget(worker.worker);
    job.evaluation?.release(worker.worker);
    job.batches?.lose(worker.worker);
    if (this.#workers.readyFor(job.job).length === 0 || job.batches?.hasWeights === false) {
      this.#jobs.end(
        job,
        "failed",
        `the last worker is lost (${why}), and with it the dense weights; run the job again`,
        now,
      );
    } else if (job.phase === "training") this.#newTerm(job, `worker ${worker.name} lost: ${why}`, now);
  }

  onTermRequest(worker: Worker, { term, reason }: ControlOf<"term-request">, now: number): void {
    const job = this.#jobs.of(worker.job!);
    if (job.phase !== "training" || term !== job.term) return;
    this.#newTerm(job, reason, now);
  }

  /** Called a few times a second. */
  tick(now: number): void {
    for (const job of this.#jobs.all) if (job.phase === "training" && job.batches) this.#onTick(job, job.batches, now);
    this.pace.tick(now);
  }

  // -- batches that are given out here, one by one -------------------------------------------------------------

  #batchesOf(job: Job): BatchTraining {
    return new BatchTraining({
      job,
      sabotages: this.#sabotages,
      toWorker: (worker, control) => this.#sendTo(this.#workers.linkOf(worker), control),
      toNode: (node, control) => this.#sendTo(this.#nodes.linkOf(node), control),
    });
  }

  /** Who has just left needs nothing: its loss, or its return, is dealt with when it is heard of. */
  #sendTo(link: LinkId | undefined, control: Control): void {
    if (link !== undefined) this.#effects.send(link, control);
  }

  /** Goes on with a job whose batches are given out here, as far as it can now. */
  #goOn(job: Job, now: number): void {
    if (job.phase !== "training") return;
    const next = job.batches?.next(now);
    if (next === "validate") this.#evaluate(job, now);
    else if (next === "over") this.#endTraining(job, now);
  }

  /** A worker says how far it is with what it was given. */
  onBatches(worker: Worker, control: ControlOf<"batch-done" | "round-held" | "dense-ready">, now: number): void {
    const job = this.#jobs.of(worker.job!);
    if (!job.batches || !job.active) return;
    if (control.type === "batch-done") job.batches.onDone(worker.worker, control, now);
    else if (control.type === "round-held") job.batches.onRoundHeld(worker.worker, control, now);
    else {
      job.batches.onDenseReady(worker.worker, control);
      if (job.isEvaluating) this.#inviteToEvaluate(job);
    }
    this.#goOn(job, now);
  }

  /** What a PS node says to the coordinator as the leader of a job's steps. */
  onAnswer(node: number, answer: NodeAnswer, now: number): void {
    const job = this.#jobs.of(answer.job);
    if (job.phase !== "training") return;
    try {
      job.batches?.onAnswer(node, answer, now);
    } catch (error) {
      if (!(error instanceof ClusterError)) throw error;
      this.#jobs.end(job, "failed", error.message, now);
    }
    this.#goOn(job, now);
  }

  /** A PS node cannot do what a step needs; what may succeed later is asked of it again. */
  onRefused({ name }: PsMember, { code, message, job: number }: ControlOf<"error">, now: number): void {
    const job = [...this.#jobs.all].find((each) => each.job === number);
    if (job?.phase !== "training" || !job.batches) return;
    const mayPass = code === "UNKNOWN_JOB" || new ClusterError(code as ClusterErrorCode, message).retryable;
    if (!mayPass) this.#jobs.end(job, "failed", `PS node ${name} refused a step: ${message}`, now);
  }

  /** The link to a PS node came back. */
  onNodeBack(node: number): void {
    for (const job of this.#jobs.all) if (job.phase === "training") job.batches?.onNodeBack(node);
  }

  #onTick(job: Job, batches: BatchTraining, now: number): void {
    batches.tick(now);
    this.#goOn(job, now);
  }

  // -- leases, progress, evaluation --------------------------------------------------------------------------

  onLeaseRequest(worker: Worker, { purpose, term }: ControlOf<"lease-request">, now: number): void {
    const job = this.#jobs.of(worker.job!);
    if (purpose === "train") {
      if (job.phase !== "training" || term !== job.term || job.members[0] !== worker.worker || job.batches) return;
      if (job.validationIsDue && !job.isEvaluating) this.#evaluate(job, now);
      if (job.isEvaluating) job.leaseAwaited = true;
      else this.#leaseSteps(job, worker);
      return;
    }
    const base = { job: job.job, purpose, term } as const;
    const lease = job.active ? job.evaluation?.lease(worker.worker, now) : undefined;
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
      if (job.batches?.mayTrain(worker) === false || !evaluation.invite(worker)) continue;
      this.#effects.send(link, { type: "evaluate", job: job.job, term: job.term, step: evaluation.step });
    }
  }

  /** What the leader of a job's steps has committed; where batches are given out here, that is known here. */
  onProgress(job: Job, { commits }: ControlOf<"progress">): void {
    if (!job.batches) for (const commit of commits) job.commit(commit);
  }

  onTrained(worker: Worker, { term, step }: ControlOf<"trained">, now: number): void {
    const job = this.#jobs.of(worker.job!);
    if (job.phase !== "training" || term !== job.term || job.batches?.isStoring === false) return;
    if (job.commits.length !== step)
      throw new ClusterError(
        "PROTOCOL_VIOLATION",
        `job ${job.job} ended at step ${step} but ${job.commits.length} commits were reported`,
      );
    this.#endTraining(job, now);
  }

  #endTraining(job: Job, now: number): void {
    job.endTraining(now);
    this.#jobs.save(job);
    // Where training was ended at a validation, that one is the last.
    if (job.evaluation?.step !== job.commits.length || job.batches?.isPastStep) this.#evaluate(job, now);
    else if (job.evaluation.done) this.#finish(job);
  }

  onEvaluated(worker: Worker, { lease, metrics }: ControlOf<"evaluated">, now: number): void {
    const job = this.#jobs.of(worker.job!);
    if (job.active && job.takeShare({ lease, worker: worker.worker, metrics, now })) this.#onEvaluationDone(job, now);
  }

  #onEvaluationDone(job: Job, now: number): void {
    job.endEvaluation(now);
    if (job.phase === "evaluating") {
      this.#finish(job);
      return;
    }
    this.#jobs.save(job);
    this.#goOn(job, now);
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
  onFinishJob(job: Job, reason: string, now: number): void {
    if (job.over || job.phase === "evaluating") return;
    job.ending ??= reason;
    this.#effects.log(`job ${job.job} (${job.manifest.name}) ends early: ${reason}`);
    if (job.batches) {
      this.#goOn(job, now);
      return;
    }
    const leader = this.#workers.readyFor(job.job).find(({ worker }) => worker === job.members[0]);
    if (leader && job.phase === "training") this.#leaseSteps(job, leader);
  }
}

function modeOf({ manifest }: Job): Consistency {
  return consistencyOf(manifest.fit.consistency);
}
