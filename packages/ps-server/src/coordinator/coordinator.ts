/**
 * The coordinator: a pure state machine for membership, the partition map, data leases, terms and jobs.
 * Sockets, the clock and the store are adapters in `node/`.
 *
 * What happens when a peer dies here: a lost worker raises the term of its job, so that the survivors fence and go
 * on; a lost PS node fails the jobs whose rows it held, as long as partitions have no replicas; a lost client
 * leaves its job running.
 */
import { ClusterError, ProtocolError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import type { PartitionFunction, PartitionMap } from "@volary/core/partition";
import { DENSE_TABLE } from "@volary/core/table";
import type { ClusterStatus, Control, ControlOf } from "@volary/core/wire";
import { Effects, type CoordinatorEffect, type LinkId } from "./effects.ts";
import { Job } from "./job.ts";
import { PsMembers, type PsMember } from "./ps-members.ts";
import { Watchers } from "./watchers.ts";
import { Workers, type Worker } from "./workers.ts";

export class Coordinator {
  readonly #effects: Effects;
  readonly #nodes: PsMembers;
  readonly #workers: Workers;
  readonly #jobs = new Map<number, Job>();
  /** Jobs whose tables the PS nodes are still opening: who asked, and which nodes have yet to answer. */
  readonly #opening = new Map<number, { client: LinkId; nodes: Set<number> }>();
  readonly #watchers = new Watchers();
  /** Jobs whose rows are on the PS nodes. */
  readonly #openJobs = new Set<number>();

  /**
   * @param records what an earlier coordinator saved, by key
   */
  constructor({
    partitionsLog2 = 8,
    partitionFunction = { kind: "hash" },
    records = new Map(),
  }: {
    partitionsLog2?: number;
    partitionFunction?: PartitionFunction;
    records?: ReadonlyMap<string, unknown>;
  }) {
    this.#effects = new Effects(records);
    this.#workers = new Workers(this.#effects);
    this.#nodes = new PsMembers({
      effects: this.#effects,
      partitionsLog2,
      partitionFunction,
      saved: records.get("map"),
    });
  }

  get map(): PartitionMap | undefined {
    return this.#nodes.map;
  }

  handleControl(link: LinkId, control: Control, now: number): CoordinatorEffect[] {
    const member = this.#nodes.get(link) ?? this.#workers.get(link);
    if (member) member.heardAt = now;
    try {
      this.#onControl(link, control, now);
    } catch (error) {
      if (!(error instanceof ClusterError || error instanceof RangeError)) throw error;
      const code = error instanceof ClusterError ? error.code : "PROTOCOL_VIOLATION";
      this.#send(link, {
        type: "error",
        code,
        message: error.message,
        ...("job" in control ? { job: control.job } : {}),
      });
    }
    return this.#flush(now);
  }

  handleClose(link: LinkId, now: number): CoordinatorEffect[] {
    this.#watchers.remove(link);
    const node = this.#nodes.get(link);
    if (node) this.#loseNode(node, "its connection closed", now);
    const worker = this.#workers.get(link);
    if (worker) this.#loseWorker(worker, "its connection closed", now);
    for (const job of this.#jobs.values()) {
      if (job.owner === link && job.phase === "preparing")
        this.#closeJob(job, "its client left before it was run", now);
    }
    return this.#flush(now);
  }

  /** Called a few times a second. */
  tick(now: number): CoordinatorEffect[] {
    for (const node of this.#nodes.all) {
      if (now - node.heardAt > LIMITS.heartbeatLostMs) this.#loseSilent(node, now);
    }
    for (const worker of this.#workers.all) {
      if (now - worker.heardAt > LIMITS.heartbeatLostMs) this.#loseSilent(worker, now);
    }
    return this.#flush(now);
  }

  status(now: number): ClusterStatus {
    return {
      nodes: this.#nodes.status(),
      workers: this.#workers.status(),
      jobs: [...this.#jobs.values()].map((job) => job.status(now)),
      mapVersion: this.map?.version ?? 0,
    };
  }

  #onControl(link: LinkId, control: Control, now: number): void {
    switch (control.type) {
      case "heartbeat":
        this.#nodes.onHeartbeat(link, control);
        break;
      case "ps-join":
        this.#onPsJoin(link, control, now);
        break;
      case "job-opened":
        this.#onJobOpened(link, control);
        break;
      case "worker-join":
        this.#onWorkerJoin(link, control, now);
        break;
      case "ready":
        this.#onReady(this.#workers.memberOf(link, control.job), control, now);
        break;
      case "term-request":
        this.#onTermRequest(this.#workers.memberOf(link, control.job), control, now);
        break;
      case "lease-request":
        this.#onLeaseRequest(this.#workers.memberOf(link, control.job), control, now);
        break;
      case "progress":
        this.#workers.memberOf(link, control.job);
        for (const commit of control.commits) this.#jobOf(control.job).commit(commit);
        break;
      case "trained":
        this.#onTrained(this.#workers.memberOf(link, control.job), control, now);
        break;
      case "evaluated":
        this.#onEvaluated(this.#workers.memberOf(link, control.job), control, now);
        break;
      case "bad-rows":
        this.#onBadRows(this.#workers.memberOf(link, control.job), control, now);
        break;
      case "fail":
        this.#workers.memberOf(link, control.job);
        this.#end(this.#jobOf(control.job), "failed", control.message, now);
        break;
      case "submit":
        this.#onSubmit(link, control);
        break;
      case "run-job":
        this.#onRunJob(this.#jobOf(control.job), now);
        break;
      case "finish-job":
        this.#onFinishJob(this.#jobOf(control.job), control.reason);
        break;
      case "stop-job":
        this.#end(this.#jobOf(control.job), "stopped", "stopped by its owner", now);
        break;
      case "close-job":
        this.#closeJob(this.#jobOf(control.job), "closed by its owner", now);
        break;
      case "watch":
        this.#watchers.add(link, this.#jobOf(control.job));
        break;
      case "status-request":
        this.#send(link, { type: "status", status: this.status(now) });
        break;
      case "commits-request": {
        const job = this.#jobOf(control.job);
        const commits = job.commits.map((attempt, i) => ({ step: i + 1, attempt }));
        this.#send(link, { type: "commits", job: job.job, commits, terms: job.terms });
        break;
      }
      case "error":
        this.#onError(link, control, now);
        break;
      default:
        throw new ProtocolError(`the coordinator takes no "${control.type}" message`);
    }
  }

  // -- PS nodes --------------------------------------------------------------------------------------------

  #onPsJoin(link: LinkId, { name, address }: ControlOf<"ps-join">, now: number): void {
    if (this.#nodes.get(link)) return;
    this.#nodes.checkRoom();
    const namesake = this.#nodes.namesake({ name, address });
    if (namesake) {
      // One process at a time has an address: this is the same node, or its next life, before its old link is missed.
      this.#loseNode(namesake, "it joins anew", now);
      this.#effects.close(namesake.link, "this node joined anew");
    }
    this.#nodes.join(link, { name, address }, now);
    this.#place();
  }

  /** Rows do not move yet, so a map that open jobs rely on stays as it is. */
  #place(): void {
    if (this.#openJobs.size === 0) this.#nodes.place();
  }

  #loseNode(node: PsMember, why: string, now: number): void {
    this.#nodes.remove(node.link);
    this.#effects.log(`PS node ${node.node} (${node.name}) is lost: ${why}`);
    const message = `PS node ${node.name} is lost (${why}) and its partitions have no replica; run the job again`;
    for (const job of this.#openJobs) {
      this.#end(this.#jobOf(job), "failed", message, now);
      this.#refuseOpening(job, { code: "PARTITION_UNAVAILABLE", message }, now);
      this.#forgetRows(job);
    }
    this.#place();
  }

  // -- workers ---------------------------------------------------------------------------------------------

  #onWorkerJoin(link: LinkId, control: ControlOf<"worker-join">, now: number): void {
    if (this.#workers.get(link)) return;
    this.#workers.join(link, control, now);
    this.#assignIdle();
  }

  /** Gives idle workers to the oldest job that is under way. */
  #assignIdle(): void {
    const job = [...this.#jobs.values()].find((j) => j.phase === "waiting" || j.phase === "training");
    if (!job || !this.map) return;
    for (const worker of this.#workers.all) {
      if (worker.job !== undefined || worker.unfitFor.has(job.job)) continue;
      worker.job = job.job;
      worker.ready = false;
      this.#send(worker.link, { type: "assign", job: job.job, manifest: job.manifest, map: this.map });
    }
  }

  #onReady(worker: Worker, { trainRows, testRows, fingerprint }: ControlOf<"ready">, now: number): void {
    const job = this.#jobOf(worker.job!);
    if (job.over) return;
    const data = { trainRows, testRows, fingerprint };
    if (!job.data) {
      if (trainRows === 0) {
        this.#end(job, "failed", "the data set has no training rows", now);
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
      this.#save(job);
      this.#newTerm(job, "start");
    }
  }

  /** Frees a worker that can do nothing for its job, for another one. */
  #dismiss(worker: Worker, end: Omit<ControlOf<"end">, "type">): void {
    worker.job = undefined;
    worker.ready = false;
    this.#send(worker.link, { type: "end", ...end });
    this.#assignIdle();
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
    this.#save(job);
    this.#effects.log(
      `job ${job.job} (${job.manifest.name}): term ${job.term} with ${workers.length} workers (${why})`,
    );
    const members = workers.map(({ worker, address }) => ({ worker, address }));
    for (const { link } of workers) this.#send(link, { type: "term", job: job.job, term: job.term, members });
    if (job.isEvaluating) this.#inviteToEvaluate(job);
  }

  #loseWorker(worker: Worker, why: string, now: number): void {
    this.#workers.remove(worker.link);
    this.#effects.log(`worker ${worker.worker} (${worker.name}) is lost: ${why}`);
    const job = worker.job === undefined ? undefined : this.#jobs.get(worker.job);
    if (!job || !job.active || !worker.ready) return;
    job.badRows.forget(worker.worker);
    job.evaluation?.release(worker.worker);
    if (this.#workers.readyFor(job.job).length === 0) {
      this.#end(
        job,
        "failed",
        `the last worker is lost (${why}), and with it the dense weights; run the job again`,
        now,
      );
    } else if (job.phase === "training") this.#newTerm(job, `worker ${worker.name} lost: ${why}`);
  }

  #loseSilent(member: PsMember | Worker, now: number): void {
    const why = `silent for ${LIMITS.heartbeatLostMs / 1000} s`;
    if ("node" in member) this.#loseNode(member, why, now);
    else this.#loseWorker(member, why, now);
    this.#effects.close(member.link, why);
  }

  #onTermRequest(worker: Worker, { term, reason }: ControlOf<"term-request">, now: number): void {
    const job = this.#jobOf(worker.job!);
    if (job.phase !== "training" || term !== job.term) return;
    void now;
    this.#newTerm(job, reason);
  }

  // -- leases, progress, evaluation --------------------------------------------------------------------------

  #onLeaseRequest(worker: Worker, { purpose, term }: ControlOf<"lease-request">, now: number): void {
    const job = this.#jobOf(worker.job!);
    if (purpose === "train") {
      if (job.phase !== "training" || term !== job.term || job.members[0] !== worker.worker) return;
      if (job.validationIsDue && !job.isEvaluating) this.#evaluate(job, now);
      if (job.isEvaluating) job.leaseAwaited = true;
      else this.#leaseSteps(job, worker);
      return;
    }
    const base = { job: job.job, purpose, term } as const;
    const lease = job.active ? job.evaluation?.lease(worker.worker) : undefined;
    if (lease) this.#send(worker.link, { type: "lease", ...base, lease: lease.lease, from: lease.from, to: lease.to });
    else
      this.#send(worker.link, {
        type: "no-lease",
        ...base,
        reason: job.active && job.isEvaluating ? "wait" : "done",
      });
  }

  /** Steps for the leader; none where training ends. */
  #leaseSteps(job: Job, leader: Worker): void {
    const base = { job: job.job, purpose: "train", term: job.term } as const;
    const lease = job.leaseSteps(job.term);
    if (lease) this.#send(leader.link, { type: "lease", ...base, lease: lease.lease, from: lease.from, to: lease.to });
    else this.#send(leader.link, { type: "no-lease", ...base, reason: "done" });
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
      this.#send(link, { type: "evaluate", job: job.job, term: job.term, step: evaluation.step });
    }
  }

  #onTrained(worker: Worker, { term, step }: ControlOf<"trained">, now: number): void {
    const job = this.#jobOf(worker.job!);
    if (job.phase !== "training" || term !== job.term) return;
    if (job.commits.length !== step)
      throw new ClusterError(
        "PROTOCOL_VIOLATION",
        `job ${job.job} ended at step ${step} but ${job.commits.length} commits were reported`,
      );
    job.endTraining(now);
    this.#save(job);
    // Where training was ended at a validation, that one is the last.
    if (job.evaluation?.step !== step) this.#evaluate(job, now);
    else if (job.evaluation.done) this.#finish(job);
  }

  #onEvaluated(worker: Worker, { lease, metrics }: ControlOf<"evaluated">, now: number): void {
    const job = this.#jobOf(worker.job!);
    if (job.active && job.takeShare({ lease, worker: worker.worker, metrics })) this.#onEvaluationDone(job, now);
  }

  #onEvaluationDone(job: Job, now: number): void {
    job.endEvaluation(now);
    if (job.phase === "evaluating") {
      this.#finish(job);
      return;
    }
    this.#save(job);
    const leader = this.#workers.readyFor(job.job).find(({ worker }) => worker === job.members[0]);
    if (!job.leaseAwaited || !leader) return;
    job.leaseAwaited = false;
    this.#leaseSteps(job, leader);
  }

  #finish(job: Job): void {
    job.finish();
    this.#release(job, "done");
  }

  #onBadRows(worker: Worker, found: ControlOf<"bad-rows">, now: number): void {
    const job = this.#jobOf(worker.job!);
    if (job.over) return;
    const inFirstEpoch = job.plan === undefined || job.commits.length < job.plan.stepsPerEpoch;
    job.badRows.take({ worker: worker.worker, found, inFirstEpoch });
    const fault = job.badRows.fault(job.manifest.data.badRowsMax);
    if (fault !== undefined) this.#end(job, "failed", fault, now);
  }

  /** Training ends after the step under way. */
  #onFinishJob(job: Job, reason: string): void {
    if (job.over || job.phase === "evaluating") return;
    job.ending ??= reason;
    this.#effects.log(`job ${job.job} (${job.manifest.name}) ends early: ${reason}`);
    const leader = this.#workers.readyFor(job.job).find(({ worker }) => worker === job.members[0]);
    if (leader && job.phase === "training") this.#leaseSteps(job, leader);
  }

  // -- jobs --------------------------------------------------------------------------------------------------

  #onSubmit(link: LinkId, { manifest }: ControlOf<"submit">): void {
    if (this.#nodes.size === 0 || !this.map) {
      throw new ClusterError(
        "PARTITION_UNAVAILABLE",
        "no PS node has joined this cluster; start one with `volary ps --coordinator ADDRESS`",
      );
    }
    if (this.#jobs.size >= LIMITS.jobsMax)
      throw new ClusterError("LIMIT_EXCEEDED", `this coordinator remembers ${LIMITS.jobsMax} jobs already; restart it`);
    const job = new Job({ job: this.#effects.newId("job"), manifest, owner: link });
    this.#jobs.set(job.job, job);
    this.#openJobs.add(job.job);
    this.#save(job);
    this.#opening.set(job.job, { client: link, nodes: new Set(Array.from(this.#nodes.all, ({ node }) => node)) });
    const { seed, tables, fit } = manifest;
    for (const { link: node } of this.#nodes.all) {
      this.#send(node, {
        type: "open-job",
        job: job.job,
        seed,
        consistency: fit.consistency,
        tables: [DENSE_TABLE, ...tables],
      });
    }
  }

  /** A node that cannot open a job's tables ends the job: its client made them. */
  #onError(link: LinkId, { code, message, job }: ControlOf<"error">, now: number): void {
    this.#effects.log(`${this.#nameOf(link)} reports ${code}: ${message}`);
    const node = this.#nodes.get(link);
    if (node && job !== undefined) this.#refuseOpening(job, { code, message: `PS node ${node.name}: ${message}` }, now);
  }

  /** Tells the client that its job cannot be opened, if it is just being opened. */
  #refuseOpening(job: number, { code, message }: { code: string; message: string }, now: number): void {
    const opening = this.#opening.get(job);
    if (!opening) return;
    this.#send(opening.client, { type: "error", code, message, job });
    this.#closeJob(this.#jobOf(job), message, now);
  }

  #onJobOpened(link: LinkId, { job }: ControlOf<"job-opened">): void {
    const opening = this.#opening.get(job);
    const node = this.#nodes.get(link);
    if (!opening || !node) return;
    opening.nodes.delete(node.node);
    if (opening.nodes.size > 0) return;
    this.#opening.delete(job);
    this.#send(opening.client, { type: "submitted", job, map: this.map! });
  }

  #onRunJob(job: Job, now: number): void {
    if (job.phase !== "preparing") return;
    if (this.#workers.size === 0)
      this.#effects.log(`job ${job.job} waits for workers; start one with \`volary worker --coordinator ADDRESS\``);
    job.phase = "waiting";
    void now;
    this.#save(job);
    this.#assignIdle();
  }

  #end(job: Job, phase: "failed" | "stopped", message: string, now: number): void {
    if (job.over) return;
    job.message = message;
    if (job.startedAt && !job.trainedAt) job.trainedAt = now;
    this.#release(job, phase);
  }

  /** The job is over: its workers are free for the next. Its rows stay until the job is closed. */
  #release(job: Job, phase: "done" | "failed" | "stopped"): void {
    job.phase = phase;
    this.#save(job);
    const message = job.message === undefined ? {} : { message: job.message };
    this.#effects.log(
      `job ${job.job} (${job.manifest.name}) is ${phase}${job.message === undefined ? "" : `: ${job.message}`}`,
    );
    for (const worker of this.#workers.all) {
      if (worker.job !== job.job) continue;
      worker.job = undefined;
      worker.ready = false;
      this.#send(worker.link, { type: "end", job: job.job, phase, ...message });
    }
    this.#assignIdle();
  }

  #closeJob(job: Job, why: string, now: number): void {
    this.#opening.delete(job.job);
    this.#end(job, "stopped", why, now);
    this.#forgetRows(job.job);
    this.#place();
  }

  #forgetRows(job: number): void {
    if (!this.#openJobs.delete(job)) return;
    for (const { link } of this.#nodes.all) this.#send(link, { type: "close-job", job });
  }

  // -- small change --------------------------------------------------------------------------------------------

  #jobOf(job: number): Job {
    const found = this.#jobs.get(job);
    if (!found)
      throw new ClusterError("UNKNOWN_JOB", `this coordinator has no job ${job}; \`volary status\` lists its jobs`);
    return found;
  }

  #nameOf(link: LinkId): string {
    return this.#nodes.get(link)?.name ?? this.#workers.get(link)?.name ?? `link ${link}`;
  }

  #save(job: Job): void {
    const { manifest, phase, term, terms, message, metrics } = job;
    this.#effects.save(`job/${job.job}`, {
      name: manifest.name,
      phase,
      term,
      terms,
      message,
      metrics,
      step: job.commits.length,
    });
  }

  #send(link: LinkId, control: Control): void {
    this.#effects.send(link, control);
  }

  /** Effects so far, and the news for watchers. */
  #flush(now: number): CoordinatorEffect[] {
    for (const { link, status } of this.#watchers.news(now)) this.#send(link, { type: "job-status", status });
    return this.#effects.take();
  }
}
