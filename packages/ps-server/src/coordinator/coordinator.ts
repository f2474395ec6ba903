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
import {
  DENSE_TABLE,
  firstPartitionMap,
  nextPartitionMap,
  partitionMapSchema,
  type PartitionFunction,
  type PartitionMap,
} from "@volary/core/partition";
import type { ClusterStatus, Control, ControlOf } from "@volary/core/wire";
import { Job } from "./job.ts";

export type LinkId = number;

export type CoordinatorEffect =
  | { kind: "control"; link: LinkId; control: Control }
  | { kind: "close"; link: LinkId; reason: string }
  /** Must be durable before any later effect of the same call is carried out. */
  | { kind: "save"; key: string; value: unknown }
  | { kind: "log"; message: string };

interface PsMember {
  node: number;
  name: string;
  address: string;
  link: LinkId;
  heardAt: number;
  rows: number;
  bytes: number;
}

interface Worker {
  worker: number;
  name: string;
  address: string;
  backend: string;
  link: LinkId;
  heardAt: number;
  job: number | undefined;
  ready: boolean;
  /** Jobs whose data this worker sees differently. */
  unfitFor: Set<number>;
}

/** The newest of each sort; ids are never reused, also after a restart. */
interface Ids {
  node: number;
  worker: number;
  job: number;
  map: number;
}

export class Coordinator {
  readonly #partitionsLog2: number;
  readonly #partitionFunction: PartitionFunction;
  #ids: Ids = { node: 0, worker: 0, job: 0, map: 0 };
  #map: PartitionMap | undefined;
  readonly #nodes = new Map<LinkId, PsMember>();
  readonly #workers = new Map<LinkId, Worker>();
  readonly #jobs = new Map<number, Job>();
  /** Jobs whose tables the PS nodes are still opening: who asked, and which nodes have yet to answer. */
  readonly #opening = new Map<number, { client: LinkId; nodes: Set<number> }>();
  readonly #watchers = new Map<LinkId, Set<number>>();
  /** What each watcher was last told of each job. */
  readonly #lastTold = new Map<string, string>();
  /** Jobs whose rows are on the PS nodes. */
  readonly #openJobs = new Set<number>();
  #out: CoordinatorEffect[] = [];

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
    this.#partitionsLog2 = partitionsLog2;
    this.#partitionFunction = partitionFunction;
    const ids = records.get("ids") as Ids | undefined;
    if (ids) this.#ids = { ...ids };
    const map = records.get("map");
    if (map === undefined) return;
    const parsed = partitionMapSchema.safeParse(map);
    if (!parsed.success)
      throw new Error(
        `the saved partition map cannot be read: ${parsed.error.issues[0]!.message}; begin with an empty store`,
      );
    this.#map = parsed.data;
  }

  get map(): PartitionMap | undefined {
    return this.#map;
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
    for (const job of this.#watchers.get(link) ?? []) this.#lastTold.delete(`${link}/${job}`);
    this.#watchers.delete(link);
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
    for (const node of this.#nodes.values()) {
      if (now - node.heardAt > LIMITS.heartbeatLostMs) this.#loseSilent(node, now);
    }
    for (const worker of this.#workers.values()) {
      if (now - worker.heardAt > LIMITS.heartbeatLostMs) this.#loseSilent(worker, now);
    }
    return this.#flush(now);
  }

  status(now: number): ClusterStatus {
    const owned = new Map<number, number>();
    for (const entry of this.#map?.entries ?? []) owned.set(entry.chain[0]!, (owned.get(entry.chain[0]!) ?? 0) + 1);
    return {
      nodes: [...this.#nodes.values()].map(({ node, name, address, rows, bytes }) => ({
        node,
        name,
        address,
        alive: true,
        partitions: owned.get(node) ?? 0,
        rows,
        bytes,
      })),
      workers: [...this.#workers.values()].map(({ worker, name, job, backend }) => ({
        worker,
        name,
        job: job ?? null,
        backend,
      })),
      jobs: [...this.#jobs.values()].map((job) => job.status(now)),
      mapVersion: this.#map?.version ?? 0,
    };
  }

  #onControl(link: LinkId, control: Control, now: number): void {
    switch (control.type) {
      case "heartbeat":
        this.#onHeartbeat(link, control);
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
        this.#onReady(this.#memberOf(link, control.job), control, now);
        break;
      case "term-request":
        this.#onTermRequest(this.#memberOf(link, control.job), control, now);
        break;
      case "lease-request":
        this.#onLeaseRequest(this.#memberOf(link, control.job), control);
        break;
      case "progress":
        this.#memberOf(link, control.job);
        for (const commit of control.commits) this.#jobOf(control.job).commit(commit);
        break;
      case "trained":
        this.#onTrained(this.#memberOf(link, control.job), control, now);
        break;
      case "evaluated":
        this.#onEvaluated(this.#memberOf(link, control.job), control);
        break;
      case "fail":
        this.#memberOf(link, control.job);
        this.#end(this.#jobOf(control.job), "failed", control.message, now);
        break;
      case "submit":
        this.#onSubmit(link, control);
        break;
      case "run-job":
        this.#onRunJob(this.#jobOf(control.job), now);
        break;
      case "stop-job":
        this.#end(this.#jobOf(control.job), "stopped", "stopped by its owner", now);
        break;
      case "close-job":
        this.#closeJob(this.#jobOf(control.job), "closed by its owner", now);
        break;
      case "watch":
        this.#jobOf(control.job);
        this.#watchers.set(link, (this.#watchers.get(link) ?? new Set()).add(control.job));
        this.#send(link, { type: "job-status", status: this.#jobOf(control.job).status(now) });
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

  #onHeartbeat(link: LinkId, { rows, bytes }: ControlOf<"heartbeat">): void {
    const node = this.#nodes.get(link);
    if (!node) return;
    node.rows = rows ?? node.rows;
    node.bytes = bytes ?? node.bytes;
  }

  #onPsJoin(link: LinkId, { name, address }: ControlOf<"ps-join">, now: number): void {
    if (this.#nodes.has(link)) return;
    if (this.#nodes.size >= LIMITS.psNodesMax)
      throw new ClusterError("LIMIT_EXCEEDED", `this cluster has ${LIMITS.psNodesMax} PS nodes already`);
    const namesake = [...this.#nodes.values()].find((n) => n.name === name);
    if (namesake && namesake.address !== address) {
      throw new ClusterError(
        "NAME_TAKEN",
        `a PS node named "${name}" is in the cluster already, at ${namesake.address}; give this one another --name`,
      );
    }
    if (namesake) {
      // One process at a time has an address: this is the same node, or its next life, before its old link is missed.
      this.#loseNode(namesake, "it joins anew", now);
      this.#out.push({ kind: "close", link: namesake.link, reason: "this node joined anew" });
    }
    const node = this.#newId("node");
    this.#nodes.set(link, { node, name, address, link, heardAt: now, rows: 0, bytes: 0 });
    this.#out.push({ kind: "log", message: `PS node ${node} (${name}) joined at ${address}` });
    this.#send(link, { type: "ps-joined", node });
    this.#place();
  }

  /** Places all partitions anew. Rows do not move yet, so a map that open jobs rely on stays as it is. */
  #place(): void {
    if (this.#openJobs.size > 0 || this.#nodes.size === 0) return;
    const nodes = [...this.#nodes.values()].map(({ node, name, address }) => ({ node, name, address }));
    const version = this.#newId("map");
    const map = this.#map
      ? nextPartitionMap(this.#map, { nodes })
      : firstPartitionMap({ partitions: 2 ** this.#partitionsLog2, function: this.#partitionFunction, nodes });
    this.#map = { ...map, version };
    this.#out.push({ kind: "save", key: "map", value: this.#map });
    for (const { link } of this.#nodes.values()) this.#send(link, { type: "map", map: this.#map });
  }

  #loseNode(node: PsMember, why: string, now: number): void {
    this.#nodes.delete(node.link);
    this.#out.push({ kind: "log", message: `PS node ${node.node} (${node.name}) is lost: ${why}` });
    const message = `PS node ${node.name} is lost (${why}) and its partitions have no replica; run the job again`;
    for (const job of this.#openJobs) {
      this.#end(this.#jobOf(job), "failed", message, now);
      this.#refuseOpening(job, { code: "PARTITION_UNAVAILABLE", message }, now);
      this.#forgetRows(job);
    }
    this.#place();
  }

  // -- workers ---------------------------------------------------------------------------------------------

  #onWorkerJoin(link: LinkId, { name, address, backend }: ControlOf<"worker-join">, now: number): void {
    if (this.#workers.has(link)) return;
    if (this.#workers.size >= LIMITS.workersPerJobMax)
      throw new ClusterError("LIMIT_EXCEEDED", `this cluster has ${LIMITS.workersPerJobMax} workers already`);
    const worker = this.#newId("worker");
    this.#workers.set(link, {
      worker,
      name,
      address,
      backend,
      link,
      heardAt: now,
      job: undefined,
      ready: false,
      unfitFor: new Set(),
    });
    this.#out.push({ kind: "log", message: `worker ${worker} (${name}) joined on ${backend}` });
    this.#send(link, { type: "worker-joined", worker });
    this.#assignIdle();
  }

  /** Gives idle workers to the oldest job that is under way. */
  #assignIdle(): void {
    const job = [...this.#jobs.values()].find((j) => j.phase === "waiting" || j.phase === "training");
    if (!job || !this.#map) return;
    for (const worker of this.#workers.values()) {
      if (worker.job !== undefined || worker.unfitFor.has(job.job)) continue;
      worker.job = job.job;
      worker.ready = false;
      this.#send(worker.link, { type: "assign", job: job.job, manifest: job.manifest, map: this.#map });
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
      this.#out.push({ kind: "log", message });
      worker.unfitFor.add(job.job);
      this.#dismiss(worker, { job: job.job, phase: "failed", message });
      return;
    }
    worker.ready = true;
    if (job.phase === "training") this.#newTerm(job, `worker ${worker.name} joined`);
    else if (job.phase === "evaluating") this.#dismiss(worker, { job: job.job, phase: "evaluating" });
    else if (this.#readyWorkers(job).length >= job.manifest.workersMin) {
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

  #readyWorkers(job: Job): Worker[] {
    return [...this.#workers.values()].filter((w) => w.job === job.job && w.ready).sort((a, b) => a.worker - b.worker);
  }

  /** Ranks go by seniority, so rank 0 holds the dense state if anyone does. */
  #newTerm(job: Job, why: string): void {
    const seniority = new Map(job.members.map((worker, rank) => [worker, rank]));
    const workers = this.#readyWorkers(job).sort(
      (a, b) => (seniority.get(a.worker) ?? Infinity) - (seniority.get(b.worker) ?? Infinity) || a.worker - b.worker,
    );
    job.beginTerm(workers.map((w) => w.worker));
    this.#save(job);
    this.#out.push({
      kind: "log",
      message: `job ${job.job} (${job.manifest.name}): term ${job.term} with ${workers.length} workers (${why})`,
    });
    const members = workers.map(({ worker, address }) => ({ worker, address }));
    for (const { link } of workers) this.#send(link, { type: "term", job: job.job, term: job.term, members });
  }

  #loseWorker(worker: Worker, why: string, now: number): void {
    this.#workers.delete(worker.link);
    this.#out.push({ kind: "log", message: `worker ${worker.worker} (${worker.name}) is lost: ${why}` });
    const job = worker.job === undefined ? undefined : this.#jobs.get(worker.job);
    if (!job || !job.active || !worker.ready) return;
    job.testLeases?.release({ holder: worker.worker });
    if (this.#readyWorkers(job).length === 0) {
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
    this.#out.push({ kind: "close", link: member.link, reason: why });
  }

  #onTermRequest(worker: Worker, { term, reason }: ControlOf<"term-request">, now: number): void {
    const job = this.#jobOf(worker.job!);
    if (job.phase !== "training" || term !== job.term) return;
    void now;
    this.#newTerm(job, reason);
  }

  // -- leases, progress, evaluation --------------------------------------------------------------------------

  #onLeaseRequest(worker: Worker, { purpose, term }: ControlOf<"lease-request">): void {
    const job = this.#jobOf(worker.job!);
    const base = { job: job.job, purpose, term } as const;
    if (purpose === "train") {
      if (job.phase !== "training" || term !== job.term || job.members[0] !== worker.worker) return;
      const lease = job.leaseSteps(term);
      if (lease)
        this.#send(worker.link, { type: "lease", ...base, lease: lease.lease, from: lease.from, to: lease.to });
      else this.#send(worker.link, { type: "no-lease", ...base, reason: "done" });
      return;
    }
    const lease = job.phase === "evaluating" ? job.leaseTest(worker.worker) : undefined;
    if (lease) this.#send(worker.link, { type: "lease", ...base, lease: lease.lease, from: lease.from, to: lease.to });
    else
      this.#send(worker.link, {
        type: "no-lease",
        ...base,
        reason: job.phase === "evaluating" && !job.testLeases?.done ? "wait" : "done",
      });
  }

  #onTrained(worker: Worker, { term, step }: ControlOf<"trained">, now: number): void {
    const job = this.#jobOf(worker.job!);
    if (job.phase !== "training" || term !== job.term) return;
    if (job.commits.length !== step)
      throw new ClusterError(
        "PROTOCOL_VIOLATION",
        `job ${job.job} ended at step ${step} but ${job.commits.length} commits were reported`,
      );
    job.phase = "evaluating";
    job.trainedAt = now;
    this.#save(job);
    if (job.testLeases?.done ?? true) this.#finish(job);
    else
      for (const w of this.#readyWorkers(job)) this.#send(w.link, { type: "evaluate", job: job.job, term: job.term });
  }

  #onEvaluated(worker: Worker, { lease, metrics }: ControlOf<"evaluated">): void {
    const job = this.#jobOf(worker.job!);
    if (job.phase !== "evaluating") return;
    if (job.evaluated({ lease, worker: worker.worker, metrics }) && job.testLeases!.done) this.#finish(job);
  }

  #finish(job: Job): void {
    job.finishEvaluation();
    this.#release(job, "done");
  }

  // -- jobs --------------------------------------------------------------------------------------------------

  #onSubmit(link: LinkId, { manifest }: ControlOf<"submit">): void {
    if (this.#nodes.size === 0 || !this.#map) {
      throw new ClusterError(
        "PARTITION_UNAVAILABLE",
        "no PS node has joined this cluster; start one with `volary ps --coordinator ADDRESS`",
      );
    }
    if (this.#jobs.size >= LIMITS.jobsMax)
      throw new ClusterError("LIMIT_EXCEEDED", `this coordinator remembers ${LIMITS.jobsMax} jobs already; restart it`);
    const job = new Job({ job: this.#newId("job"), manifest, owner: link });
    this.#jobs.set(job.job, job);
    this.#openJobs.add(job.job);
    this.#save(job);
    this.#opening.set(job.job, { client: link, nodes: new Set([...this.#nodes.values()].map((n) => n.node)) });
    const { seed, tables, fit } = manifest;
    for (const { link: node } of this.#nodes.values()) {
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
    this.#out.push({ kind: "log", message: `${this.#nameOf(link)} reports ${code}: ${message}` });
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
    this.#send(opening.client, { type: "submitted", job, map: this.#map! });
  }

  #onRunJob(job: Job, now: number): void {
    if (job.phase !== "preparing") return;
    if (this.#workers.size === 0)
      this.#out.push({
        kind: "log",
        message: `job ${job.job} waits for workers; start one with \`volary worker --coordinator ADDRESS\``,
      });
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
    this.#out.push({
      kind: "log",
      message: `job ${job.job} (${job.manifest.name}) is ${phase}${job.message ? `: ${job.message}` : ""}`,
    });
    for (const worker of this.#workers.values()) {
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
    for (const { link } of this.#nodes.values()) this.#send(link, { type: "close-job", job });
  }

  // -- small change --------------------------------------------------------------------------------------------

  #jobOf(job: number): Job {
    const found = this.#jobs.get(job);
    if (!found)
      throw new ClusterError("UNKNOWN_JOB", `this coordinator has no job ${job}; \`volary status\` lists its jobs`);
    return found;
  }

  /** The worker behind `link`, if it serves `job`. */
  #memberOf(link: LinkId, job: number): Worker {
    const worker = this.#workers.get(link);
    if (!worker) throw new ClusterError("NOT_A_MEMBER", "only a worker that has joined may say this");
    if (worker.job !== job)
      throw new ClusterError(
        "NOT_A_MEMBER",
        `worker ${worker.name} serves ${worker.job === undefined ? "no job" : `job ${worker.job}`}, not job ${job}`,
      );
    return worker;
  }

  #nameOf(link: LinkId): string {
    return this.#nodes.get(link)?.name ?? this.#workers.get(link)?.name ?? `link ${link}`;
  }

  #newId(kind: keyof Ids): number {
    const id = ++this.#ids[kind];
    this.#out.push({ kind: "save", key: "ids", value: { ...this.#ids } });
    return id;
  }

  #save(job: Job): void {
    const { manifest, phase, term, terms, message, metrics } = job;
    this.#out.push({
      kind: "save",
      key: `job/${job.job}`,
      value: { name: manifest.name, phase, term, terms, message, metrics, step: job.commits.length },
    });
  }

  #send(link: LinkId, control: Control): void {
    this.#out.push({ kind: "control", link, control });
  }

  /** Effects so far, and the news for watchers. */
  #flush(now: number): CoordinatorEffect[] {
    for (const [link, jobs] of this.#watchers) {
      for (const id of jobs) {
        const job = this.#jobs.get(id)!;
        const news = `${job.phase}/${job.term}/${job.commits.length}/${job.testLeases?.finished ?? 0}`;
        if (this.#lastTold.get(`${link}/${id}`) === news) continue;
        this.#lastTold.set(`${link}/${id}`, news);
        this.#send(link, { type: "job-status", status: job.status(now) });
      }
    }
    const out = this.#out;
    this.#out = [];
    return out;
  }
}
