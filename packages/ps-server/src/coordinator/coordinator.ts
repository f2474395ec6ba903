/**
 * The coordinator: a pure state machine for membership, the partition map, data leases, terms and jobs.
 * Sockets, the clock and the store are adapters in `node/`.
 *
 * What happens when a peer dies here: a lost worker raises the term of its job, so that the survivors fence and go
 * on; a lost PS node leaves its partitions to their other replicas, and fails the jobs whose rows nobody else has; a
 * lost client leaves its job running. A coordinator that starts again waits for the PS nodes of its map, and keeps
 * the jobs that are open; those that were being trained have failed.
 */
import { ClusterError, ProtocolError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import { partitionMapSchema, type PartitionFunction, type PartitionMap, type PsNode } from "@volary/core/partition";
import type { Sabotages } from "@volary/core/sabotage";
import type { ClusterStatus, Control, ControlOf } from "@volary/core/wire";
import { Chains } from "./chains.ts";
import { Effects, type CoordinatorEffect, type LinkId } from "./effects.ts";
import { Events } from "./events.ts";
import type { Job } from "./job.ts";
import { Jobs } from "./jobs.ts";
import { PsMembers, type PsMember } from "./ps-members.ts";
import { Training } from "./training.ts";
import { Volunteers } from "./volunteers.ts";
import type { VolunteerKeys } from "./volunteers/signed-invitation.ts";
import { savedPlanSchema, type SavedPlan } from "./wanted-chains.ts";
import { Watchers } from "./watchers.ts";
import { Workers, type Worker } from "./workers.ts";

export interface CoordinatorOptions {
  /** Of a cluster that has no partition map yet. */
  partitionsLog2?: number;
  partitionFunction?: PartitionFunction;
  /** On how many PS nodes each partition is; on all of them where there are fewer. */
  replicas?: number;
  /** What an earlier coordinator saved, by key. */
  records?: ReadonlyMap<string, unknown>;
  /** For invitations of volunteers; nobody can be invited without them. */
  volunteerKeys?: VolunteerKeys | undefined;
  sabotages?: Sabotages;
}

export class Coordinator {
  readonly #effects: Effects;
  readonly #nodes: PsMembers;
  readonly #workers: Workers;
  readonly #chains: Chains;
  readonly #jobs: Jobs;
  readonly #training: Training;
  readonly #watchers = new Watchers();
  readonly #events = new Events();
  readonly #volunteers: Volunteers;

  /** @throws {Error} records that cannot be read */
  constructor({
    partitionsLog2 = 8,
    partitionFunction = { kind: "hash" },
    replicas = 1,
    records = new Map(),
    volunteerKeys,
    sabotages,
  }: CoordinatorOptions) {
    const effects = new Effects(records);
    const { map, plan } = savedMap(records);
    const openJobs = [...records.keys()].some((key) => key.startsWith("open/"));
    const awaited = openJobs ? (map?.nodes ?? []) : [];
    this.#effects = effects;
    this.#workers = new Workers(effects);
    this.#nodes = new PsMembers({ effects, awaited });
    this.#chains = new Chains({
      replicas,
      partitionsLog2,
      partitionFunction,
      map,
      plan,
      nodes: awaited,
      log: (message) => effects.log(message),
      ...(sabotages ? { sabotages } : {}),
    });
    const [workers, nodes] = [this.#workers, this.#nodes];
    this.#jobs = new Jobs({ effects, workers, nodes, map: () => this.map, records });
    this.#training = new Training({ effects, workers, nodes, jobs: this.#jobs, map: () => this.map, sabotages });
    const [events, jobs] = [this.#events, this.#jobs];
    this.#volunteers = new Volunteers({ effects, events, jobs, workers, keys: volunteerKeys });
  }

  get map(): PartitionMap | undefined {
    return this.#chains.map;
  }

  handleControl(link: LinkId, control: Control, now: number): CoordinatorEffect[] {
    this.#events.begin(now);
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
        ...("request" in control ? { requestId: control.request } : {}),
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
    this.#volunteers.onClose(link, now);
    this.#jobs.onClientLost(link, now);
    return this.#flush(now);
  }

  /** Called a few times a second. */
  tick(now: number): CoordinatorEffect[] {
    for (const node of this.#nodes.all) {
      const lostMs = this.#chains.isExpendable(node.node) ? LIMITS.psLostMs : LIMITS.heartbeatLostMs;
      if (now - node.heardAt > lostMs) this.#loseSilent(node, lostMs, now);
    }
    for (const worker of this.#workers.all) {
      const isOpening = worker.job !== undefined && !worker.ready;
      const lostMs = isOpening ? LIMITS.openingLostMs : LIMITS.heartbeatLostMs;
      if (now - worker.heardAt > lostMs) this.#loseSilent(worker, lostMs, now);
    }
    for (const node of this.#nodes.overdue(now))
      this.#loseNode(node, "it did not come back to the new coordinator", now);
    this.#training.tick(now);
    this.#chains.tick(now);
    const effects = this.#flush(now);
    this.#volunteers.tick(now);
    return [...effects, ...this.#effects.take()];
  }

  status(now: number): ClusterStatus {
    return {
      nodes: this.#nodes.status().map((node) => ({ ...node, ...this.#chains.nodeStatus(node.node) })),
      workers: this.#workers.status(),
      ...this.#volunteers.status(),
      events: this.#events.all,
      jobs: Array.from(this.#jobs.all, (job) => job.status(now)),
      mapVersion: this.map?.version ?? 0,
      ...this.#chains.status(),
    };
  }

  #onControl(link: LinkId, control: Control, now: number): void {
    switch (control.type) {
      case "heartbeat":
        this.#onHeartbeat(link, control, now);
        break;
      case "ps-join":
        this.#onPsJoin(link, control, now);
        break;
      case "job-opened":
        this.#jobs.onOpened(this.#nodes.memberOf(link), control.job);
        break;
      case "chain-ready":
        this.#chains.onReady({ ...control, from: this.#nodes.memberOf(link).node }, now);
        break;
      case "chain-quiet":
        this.#chains.onQuiet({ ...control, from: this.#nodes.memberOf(link).node });
        break;
      case "chain-broken":
        this.#onBroken(this.#nodes.memberOf(link), control, now);
        break;
      case "drain":
        this.#onDrain(link, control.node);
        break;
      case "map-request":
        this.#onMapRequest(link);
        break;
      case "worker-join":
        this.#onWorkerJoin(link, control, now);
        break;
      case "ready":
        this.#training.onReady(this.#workers.memberOf(link, control.job), control, now);
        break;
      case "term-request":
        this.#training.onTermRequest(this.#workers.memberOf(link, control.job), control, now);
        break;
      case "lease-request":
        this.#training.onLeaseRequest(this.#workers.memberOf(link, control.job), control, now);
        break;
      case "progress":
        this.#workers.memberOf(link, control.job);
        this.#training.onProgress(this.#jobs.of(control.job), control);
        break;
      case "step-times":
        this.#training.pace.onStepTimes(this.#workers.memberOf(link, control.job), control, now);
        break;
      case "batch-done":
      case "round-held":
      case "dense-ready":
        this.#training.onBatches(this.#workers.memberOf(link, control.job), control, now);
        break;
      case "promise":
      case "slot-in":
      case "staged":
      case "committed":
        this.#training.onAnswer(this.#nodes.memberOf(link).node, control, now);
        break;
      case "stale-heads":
      case "stale-term":
        this.#nodes.memberOf(link); // it goes by a newer map or term, which came from here
        break;
      case "trained":
        this.#training.onTrained(this.#workers.memberOf(link, control.job), control, now);
        break;
      case "evaluated":
        this.#training.onEvaluated(this.#workers.memberOf(link, control.job), control, now);
        break;
      case "bad-rows":
        this.#training.onBadRows(this.#workers.memberOf(link, control.job), control, now);
        break;
      case "fail":
        this.#workers.memberOf(link, control.job);
        this.#jobs.end(this.#jobs.of(control.job), "failed", control.message, now);
        break;
      case "leaves":
        this.#workers.memberOf(link, control.job).leaves = control.leaves;
        break;
      case "expel":
        this.#volunteers.expel(this.#workers.memberOf(link, control.job), control, now);
        break;
      case "gateway-join":
        this.#volunteers.joinGateway(link, control, now);
        break;
      case "gateway-report":
        this.#volunteers.onReport(link, control);
        break;
      case "redeem":
        this.#volunteers.redeem(link, control, now);
        break;
      case "session-request":
        this.#volunteers.onSessionRequest(link, control, now);
        break;
      case "invite":
        this.#volunteers.invite(link, control, now);
        break;
      case "submit":
        this.#jobs.submit(link, control.manifest);
        break;
      case "run-job":
        this.#jobs.run(this.#jobs.of(control.job));
        break;
      case "finish-job":
        this.#training.onFinishJob(this.#jobs.of(control.job), control.reason, now);
        break;
      case "stop-job":
        this.#jobs.end(this.#jobs.of(control.job), "stopped", "stopped by its owner", now);
        break;
      case "close-job":
        this.#jobs.close(this.#jobs.of(control.job), "closed by its owner", now);
        break;
      case "watch":
        this.#onWatch(link, this.#jobs.of(control.job));
        break;
      case "status-request":
        this.#send(link, { type: "status", status: this.status(now) });
        break;
      case "commits-request": {
        const job = this.#jobs.of(control.job);
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

  #onHeartbeat(link: LinkId, control: ControlOf<"heartbeat">, now: number): void {
    const node = this.#nodes.get(link);
    if (!node) return;
    this.#nodes.onHeartbeat(node, control);
    this.#chains.onLoad(node.node, control.load, now);
  }

  #onPsJoin(link: LinkId, { name, address, node: number }: ControlOf<"ps-join">, now: number): void {
    if (this.#nodes.get(link)) return;
    const namesake = this.#nodes.namesake({ name, address });
    if (namesake && namesake.node === number) {
      this.#rejoin(link, namesake, now);
      return;
    }
    if (namesake) {
      // One process at a time has an address: this is the same node, or its next life, before its old link is missed.
      this.#loseNode(namesake, "it joins anew", now);
      if ("link" in namesake) this.#effects.close(namesake.link, "this node joined anew");
    }
    this.#nodes.checkRoom();
    const member = this.#nodes.join(link, { name, address }, now);
    this.#events.add("ps", `PS node ${name} joined`, now);
    this.#jobs.onNodeJoined(member);
    this.#chains.addNode({ node: member.node, name, address }, { before: number });
  }

  /** A node that has not missed more than its link, or a coordinator, goes on with its rows. */
  #rejoin(link: LinkId, before: PsMember | PsNode, now: number): void {
    this.#nodes.remove(before);
    if ("link" in before) this.#effects.close(before.link, "this node joined anew");
    const member = this.#nodes.rejoin(link, before, now);
    this.#jobs.onNodeBack(member);
    this.#onMapRequest(link);
    this.#jobs.openAgain(member);
    this.#training.onNodeBack(member.node);
  }

  #loseNode(node: PsMember | PsNode, why: string, now: number): void {
    this.#nodes.remove(node);
    this.#effects.log(`PS node ${node.node} (${node.name}) is lost: ${why}`);
    this.#events.add("ps", `PS node ${node.name} is lost: ${why}`, now);
    const lost = this.#chains.loseNode(node.node);
    const message = `PS node ${node.name} is lost (${why}) and its partitions have no replica; run the job again`;
    if (lost > 0) this.#jobs.failOpen(message, now);
    this.#jobs.onNodeLost(node.node);
  }

  /** A node lost its replica of one partition, which may have been the last one since another node was lost. */
  #onBroken({ node, name }: PsMember, control: ControlOf<"chain-broken">, now: number): void {
    if (this.#chains.onBroken({ ...control, from: node }, now)) return;
    const message = `PS node ${name} lost partition ${control.partition} (${control.message}), which has no replica; run the job again`;
    this.#jobs.failOpen(message, now);
  }

  #onDrain(link: LinkId, name: string): void {
    this.#chains.drain(this.#nodes.named(name).node);
    this.#effects.log(`PS node ${name} is drained`);
    this.#send(link, { type: "draining", node: name });
  }

  #onMapRequest(link: LinkId): void {
    if (!this.map) throw new ClusterError("PARTITION_UNAVAILABLE", "no PS node has joined this cluster yet");
    this.#send(link, { type: "map", map: this.map });
  }

  /** A node that cannot open a job's tables ends the job: its client made them. One that joined later gets no part. */
  #onError(link: LinkId, control: ControlOf<"error">, now: number): void {
    this.#effects.log(`${this.#nameOf(link)} reports ${control.code}: ${control.message}`);
    const node = this.#nodes.get(link);
    if (!node) return;
    if (this.#jobs.onNotOpened(node, control, now)) this.#chains.setUnfit(node.node);
    else this.#training.onRefused(node, control, now);
  }

  // -- workers ---------------------------------------------------------------------------------------------

  #onWorkerJoin(link: LinkId, control: ControlOf<"worker-join">, now: number): void {
    if (this.#workers.get(link)) return;
    this.#workers.join(link, control, now);
    this.#events.add("worker", `worker ${control.name} joined on ${control.backend}`, now);
    this.#jobs.assignIdle();
  }

  #loseSilent(member: PsMember | Worker, lostMs: number, now: number): void {
    const why = `silent for ${lostMs / 1000} s`;
    if ("node" in member) this.#loseNode(member, why, now);
    else this.#loseWorker(member, why, now);
    this.#effects.close(member.link, why);
  }

  #loseWorker(worker: Worker, why: string, now: number): void {
    this.#events.add("worker", `worker ${worker.name} is lost: ${why}`, now);
    this.#training.loseWorker(worker, why, now);
  }

  /** The map that it made its links by may be an older one; newer ones it is told from now on. */
  #onWatch(link: LinkId, job: Job): void {
    this.#watchers.add(link, job);
    if (this.#jobs.isOpen(job)) this.#onMapRequest(link);
  }

  // -- small change --------------------------------------------------------------------------------------------

  #nameOf(link: LinkId): string {
    return this.#nodes.get(link)?.name ?? this.#workers.get(link)?.name ?? `link ${link}`;
  }

  #send(link: LinkId, control: Control): void {
    this.#effects.send(link, control);
  }

  /** Effects so far, a new partition map, and the news for watchers. */
  #flush(now: number): CoordinatorEffect[] {
    const heads = this.map?.heads;
    const map = this.#chains.update({ rowsExist: this.#jobs.rowsExist }, now);
    if (map) this.#publish(map, { headsChanged: map.heads !== heads }, now);
    this.#jobs.tellOpened();
    this.#events.compare({ jobs: this.#jobs.all, failovers: this.#chains.failovers }, now);
    for (const { link, status } of this.#watchers.news(now)) this.#send(link, { type: "job-status", status });
    return this.#effects.take();
  }

  /** Tells all who go by the map, then begins new terms, which go by it too. */
  #publish(map: PartitionMap, { headsChanged }: { headsChanged: boolean }, now: number): void {
    this.#effects.save("map", map);
    this.#effects.save("plan", this.#chains.plan);
    const links = new Set(Array.from(this.#nodes.all, ({ link }) => link));
    if (headsChanged) for (const link of this.#headsMatterTo()) links.add(link);
    for (const link of links) this.#send(link, { type: "map", map });
    if (headsChanged) this.#training.onHeads(now);
  }

  /** Links of workers that have a job, and of clients and watchers of jobs that are open. */
  *#headsMatterTo(): Iterable<LinkId> {
    for (const { link, job } of this.#workers.all) if (job !== undefined) yield link;
    for (const job of this.#jobs.all) {
      if (!this.#jobs.isOpen(job)) continue;
      if (job.owner !== undefined) yield job.owner;
      yield* this.#watchers.of(job);
    }
  }
}

/** What an earlier coordinator knew of the partitions. @throws {Error} it cannot be read */
function savedMap(records: ReadonlyMap<string, unknown>): {
  map: PartitionMap | undefined;
  plan: SavedPlan | undefined;
} {
  const map = partitionMapSchema.optional().safeParse(records.get("map"));
  const plan = savedPlanSchema.optional().safeParse(records.get("plan"));
  const error = map.error ?? plan.error;
  if (error)
    throw new Error(`the saved partition map cannot be read: ${error.issues[0]!.message}; begin with an empty store`);
  const fits = plan.data?.wanted.length === map.data?.entries.length;
  return { map: map.data, plan: fits ? plan.data : undefined };
}
