/**
 * The jobs of a cluster, from their submission until their rows are given up. A job is *open* while the PS nodes have
 * its tables; it may be over and still be open, so that its rows can be read.
 */
import { ClusterError } from "@volary/core/errors";
import type { JobManifest } from "@volary/core/job";
import { LIMITS } from "@volary/core/limits";
import type { PartitionMap } from "@volary/core/partition";
import { denseTableOf } from "@volary/core/training";
import type { ControlOf } from "@volary/core/wire";
import type { Effects, LinkId } from "./effects.ts";
import { Job } from "./job.ts";
import type { PsMember, PsMembers } from "./ps-members.ts";
import { openKey, savedJobs, stateKey, stateOf } from "./saved-jobs.ts";
import type { Workers } from "./workers.ts";

interface JobsOptions {
  effects: Effects;
  workers: Workers;
  nodes: PsMembers;
  map: () => PartitionMap | undefined;
  /** What an earlier coordinator saved, by key. */
  records: ReadonlyMap<string, unknown>;
}

export class Jobs {
  readonly #effects: Effects;
  readonly #workers: Workers;
  readonly #nodes: PsMembers;
  readonly #map: () => PartitionMap | undefined;
  readonly #jobs = new Map<number, Job>();
  /** Jobs whose tables the PS nodes are still opening: who asked, and which nodes have yet to answer. */
  readonly #opening = new Map<number, { client: LinkId; nodes: Set<number> }>();
  /** Jobs that all PS nodes have opened, and whose clients are yet to be told. */
  readonly #opened = new Map<number, LinkId>();
  /** Jobs whose rows are on the PS nodes. */
  readonly #open = new Set<number>();
  /** By node that joined later: the jobs that it has yet to open. */
  readonly #catchingUp = new Map<number, Set<number>>();
  /** Jobs of an earlier coordinator that are not open. */
  readonly #closedBefore: readonly number[];

  constructor({ effects, workers, nodes, map, records }: JobsOptions) {
    this.#effects = effects;
    this.#workers = workers;
    this.#nodes = nodes;
    this.#map = map;
    const { open, closed } = savedJobs(records);
    this.#closedBefore = closed;
    for (const job of open) {
      this.#jobs.set(job.job, job);
      this.#open.add(job.job);
      this.save(job);
    }
  }

  get all(): Iterable<Job> {
    return this.#jobs.values();
  }

  /** Is any row on the PS nodes? */
  get rowsExist(): boolean {
    return this.#open.size > 0;
  }

  isOpen(job: Job): boolean {
    return this.#open.has(job.job);
  }

  /** @throws {ClusterError} UNKNOWN_JOB */
  of(job: number): Job {
    const found = this.#jobs.get(job);
    if (found) return found;
    throw new ClusterError("UNKNOWN_JOB", `this coordinator has no job ${job}; \`volary status\` lists its jobs`);
  }

  // -- opening -----------------------------------------------------------------------------------------------

  /** @throws {ClusterError} PARTITION_UNAVAILABLE: no PS node; LIMIT_EXCEEDED */
  submit(client: LinkId, manifest: JobManifest): void {
    const map = this.#map();
    if (this.#nodes.size === 0 || !map) {
      throw new ClusterError(
        "PARTITION_UNAVAILABLE",
        "no PS node has joined this cluster; start one with `volary ps --coordinator ADDRESS`",
      );
    }
    if (this.#jobs.size >= LIMITS.jobsMax)
      throw new ClusterError("LIMIT_EXCEEDED", `this coordinator remembers ${LIMITS.jobsMax} jobs already; restart it`);
    const job = new Job({ job: this.#effects.newId("job"), manifest, owner: client });
    this.#jobs.set(job.job, job);
    this.#open.add(job.job);
    this.save(job);
    this.#opening.set(job.job, { client, nodes: new Set(map.nodes.map(({ node }) => node)) });
    for (const { link } of this.#nodes.all) this.#effects.send(link, openJob(job));
  }

  onOpened({ node }: PsMember, job: number): void {
    this.#catchingUp.get(node)?.delete(job);
    this.#onOpenedBy(node, job);
  }

  /** What a node says that cannot open a job. @returns does it stand in the way of a job that others opened? */
  onNotOpened({ node, name }: PsMember, { code, message, job }: ControlOf<"error">, now: number): boolean {
    if (job === undefined) return false;
    if (this.#catchingUp.get(node)?.has(job)) return true;
    this.#refuseOpening(job, { code, message: `PS node ${name}: ${message}` }, now);
    return false;
  }

  /** A node without rows joined: it opens all jobs, before a map gives it partitions. */
  onNodeJoined({ node, link }: PsMember): void {
    const late = new Set<number>();
    for (const job of this.#open) {
      const opening = this.#opening.get(job);
      if (opening) opening.nodes.add(node);
      else late.add(job);
      this.#effects.send(link, openJob(this.of(job)));
    }
    if (late.size > 0) this.#catchingUp.set(node, late);
  }

  /** A node with rows is back, before it is told the map: it may have missed which jobs are open. */
  onNodeBack({ link }: PsMember): void {
    const closed = Array.from(this.#jobs.keys()).filter((job) => !this.#open.has(job));
    for (const job of [...this.#closedBefore, ...closed]) this.#effects.send(link, { type: "close-job", job });
    for (const job of this.#open) if (!this.#opening.has(job)) this.#effects.send(link, openJob(this.of(job)));
  }

  /** After the map: a node with rows opens, too, what all others open by it. */
  openAgain({ link }: PsMember): void {
    for (const job of this.#opening.keys()) this.#effects.send(link, openJob(this.of(job)));
  }

  /** A node is lost, and others have its rows. */
  onNodeLost(node: number): void {
    this.#catchingUp.delete(node);
    for (const job of this.#opening.keys()) this.#onOpenedBy(node, job);
  }

  /** Rows are lost. */
  failOpen(message: string, now: number): void {
    for (const job of this.#open) {
      this.end(this.of(job), "failed", message, now);
      this.#refuseOpening(job, { code: "PARTITION_UNAVAILABLE", message }, now);
      this.#forgetRows(job);
    }
  }

  #onOpenedBy(node: number, job: number): void {
    const opening = this.#opening.get(job);
    if (!opening?.nodes.delete(node) || opening.nodes.size > 0) return;
    this.#opening.delete(job);
    this.#effects.save(openKey(job), this.of(job).manifest);
    this.#opened.set(job, opening.client);
  }

  /** Tells clients of jobs that have just been opened, with a map that has no node of which that is not true. */
  tellOpened(): void {
    for (const [job, client] of this.#opened) {
      if (this.#open.has(job)) this.#effects.send(client, { type: "submitted", job, map: this.#map()! });
    }
    this.#opened.clear();
  }

  /** Tells the client that its job cannot be opened, if it is just being opened. */
  #refuseOpening(job: number, { code, message }: { code: string; message: string }, now: number): void {
    const opening = this.#opening.get(job);
    if (!opening) return;
    this.#effects.send(opening.client, { type: "error", code, message, job });
    this.close(this.of(job), message, now);
  }

  // -- running, ending, closing --------------------------------------------------------------------------------

  run(job: Job): void {
    if (job.phase !== "preparing") return;
    if (this.#workers.size === 0)
      this.#effects.log(`job ${job.job} waits for workers; start one with \`volary worker --coordinator ADDRESS\``);
    job.phase = "waiting";
    this.save(job);
    this.assignIdle();
  }

  /** Gives idle workers to the oldest job that is under way. */
  assignIdle(): void {
    const job = [...this.#jobs.values()].find((j) => j.phase === "waiting" || j.phase === "training");
    const map = this.#map();
    if (!job || !map) return;
    for (const worker of this.#workers.all) {
      if (worker.job !== undefined || worker.unfitFor.has(job.job)) continue;
      worker.job = job.job;
      worker.ready = false;
      this.#effects.send(worker.link, { type: "assign", job: job.job, manifest: job.manifest, map });
    }
  }

  end(job: Job, phase: "failed" | "stopped", message: string, now: number): void {
    if (job.over) return;
    job.message = message;
    if (job.startedAt && !job.trainedAt) job.trainedAt = now;
    this.release(job, phase);
  }

  /** The job is over: its workers are free for the next. Its rows stay until the job is closed. */
  release(job: Job, phase: "done" | "failed" | "stopped"): void {
    job.phase = phase;
    this.save(job);
    const message = job.message === undefined ? {} : { message: job.message };
    this.#effects.log(
      `job ${job.job} (${job.manifest.name}) is ${phase}${job.message === undefined ? "" : `: ${job.message}`}`,
    );
    for (const worker of this.#workers.all) {
      if (worker.job !== job.job) continue;
      worker.job = undefined;
      worker.ready = false;
      this.#effects.send(worker.link, { type: "end", job: job.job, phase, ...message });
    }
    this.assignIdle();
  }

  close(job: Job, why: string, now: number): void {
    this.#opening.delete(job.job);
    this.end(job, "stopped", why, now);
    this.#forgetRows(job.job);
  }

  /** A client left: what it has not run is of use to nobody. */
  onClientLost(link: LinkId, now: number): void {
    for (const job of this.#jobs.values()) {
      if (job.owner === link && job.phase === "preparing") this.close(job, "its client left before it was run", now);
    }
  }

  save(job: Job): void {
    this.#effects.save(stateKey(job.job), stateOf(job));
  }

  #forgetRows(job: number): void {
    if (!this.#open.delete(job)) return;
    this.#effects.save(openKey(job), undefined);
    for (const jobs of this.#catchingUp.values()) jobs.delete(job);
    for (const { link } of this.#nodes.all) this.#effects.send(link, { type: "close-job", job });
  }
}

function openJob({ job, manifest }: Job): ControlOf<"open-job"> {
  const { seed, tables, fit } = manifest;
  return { type: "open-job", job, seed, consistency: fit.consistency, tables: [denseTableOf(manifest), ...tables] };
}
