/**
 * One job on one worker: carries out what {@link StepTransaction} decides. It owns the bulk — batches, rows,
 * gradients, dense weights, the ring — and the messages; the decisions are the state machine's.
 *
 * Runs in Node, in a browser and in the simulation: data, model, links and clock are arguments.
 */
import { Requests, retry, TableClient } from "../client/index.ts";
import type { Dataset } from "../data/index.ts";
import { ClusterError, ProtocolError } from "../errors.ts";
import { checkLabels, type JobManifest } from "../job/index.ts";
import { LIMITS } from "../limits.ts";
import type { PartitionMap } from "../partition/index.ts";
import {
  frame,
  type Clock,
  type Control,
  type ControlOf,
  type Dialer,
  type Frame,
  type Link,
  type Member,
} from "../wire/index.ts";
import { pullCommitted } from "./committed-rows.ts";
import { DenseRounds } from "./dense-round.ts";
import { DenseState } from "./dense-state.ts";
import { readDense, writeDense } from "./dense-table.ts";
import { Evaluation } from "./evaluation.ts";
import type { GradientModel } from "./gradient-model.ts";
import type { NodeLinks } from "./node-links.ts";
import { PeerLinks } from "./peer-links.ts";
import { stepPlan, type StepPlan } from "./plan.ts";
import { PreparedSteps } from "./prepared-steps.ts";
import { refuseNonFinite } from "./step-fault.ts";
import { StepRowsFactory } from "./step-rows.ts";
import { StepTransaction, type Attempt, type StepEffect, type StepEvent } from "./step-transaction.ts";

/** Ids of a step's pulls and pushes stay below this, those of {@link Requests} above. */
const FIRST_REQUEST_ID = 0x4000_0000;
/** Commits a new leader repeats to the coordinator, in case the old one's reports were lost. */
const COMMITS_REPEATED = 64;

export interface JobSessionOptions {
  job: number;
  manifest: JobManifest;
  map: PartitionMap;
  worker: number;
  name: string;
  dataset: Dataset;
  model: GradientModel;
  /** Open links to the PS nodes of the job; the session listens on them and closes them. */
  nodes: NodeLinks;
  coordinator: { send(control: Control): void };
  dialer: Dialer;
  clock: Clock;
}

export class JobSession {
  readonly job: number;
  readonly #o: JobSessionOptions;
  readonly #plan: StepPlan;
  readonly #nodeIds: readonly number[];
  readonly #rows: StepRowsFactory;
  readonly #machine: StepTransaction;
  readonly #peers: PeerLinks;
  readonly #requests = new Requests({ firstId: FIRST_REQUEST_ID });
  readonly #tables: TableClient;
  readonly #evaluation: Evaluation;
  #dense: DenseState | undefined;
  readonly #prepared: PreparedSteps;
  readonly #rounds: DenseRounds;
  /** This slot's dense gradients with the loss as one more element, until their round begins. */
  #computed: Float32Array = new Float32Array(0);
  /** The reduced gradients and loss that wait for their commit. */
  #held: Float32Array | undefined;
  #commits: (Attempt & { samples: number; lossSum: number })[] = [];
  /** The step after which the held-out rows are, or were last, evaluated. */
  #evaluatedStep = 0;
  /** What is to be done once the dense result of that step is applied. */
  #onceApplied: (() => void)[] = [];
  #badRowsTold = 0;
  #computing: Promise<void> = Promise.resolve();
  #heardAt: number;
  #cancelTick: () => void = () => {};
  #closed = false;

  constructor(o: JobSessionOptions) {
    this.#o = o;
    this.job = o.job;
    this.#plan = stepPlan({ manifest: o.manifest, trainRows: o.dataset.trainRows });
    this.#nodeIds = o.nodes.ids;
    this.#rows = new StepRowsFactory({ manifest: o.manifest, map: o.map, dataset: o.dataset, nodes: this.#nodeIds });
    this.#prepared = new PreparedSteps({
      job: o.job,
      manifest: o.manifest,
      plan: this.#plan,
      dataset: o.dataset,
      rows: this.#rows,
      nodes: o.nodes,
      fail: (error) => this.#fail(error),
    });
    this.#machine = new StepTransaction({
      worker: o.worker,
      nodes: this.#nodeIds,
      stepsMax: this.#plan.steps,
      applied: 0,
    });
    this.#peers = new PeerLinks({
      worker: o.worker,
      job: o.job,
      name: o.name,
      dialer: o.dialer,
      clock: o.clock,
      events: {
        onControl: (worker, control) => this.#onPeerControl(worker, control),
        onFrame: (_, f) => this.#onPeerFrame(f),
        onLost: (_, reason) => this.#askForNewTerm(reason),
      },
    });
    this.#rounds = new DenseRounds({
      job: o.job,
      send: (worker, f) => this.#peers.sendFrame(worker, f),
      awaits: ({ step, attempt }) => attempt >= this.#machine.term && step > this.#machine.applied,
      reduced: (at, sum) => {
        this.#held = sum;
        this.#feed({ kind: "reduced", ...at });
      },
    });
    this.#tables = new TableClient({
      job: o.job,
      map: o.map,
      requests: this.#requests,
      link: (node) => o.nodes.get(node),
    });
    const committed = {
      job: o.job,
      nodes: this.#nodeIds,
      requests: this.#requests,
      link: (node: number) => o.nodes.get(node),
    };
    this.#evaluation = new Evaluation({
      manifest: o.manifest,
      rows: this.#rows,
      model: o.model,
      pull: (rows) => this.#retry(() => pullCommitted(rows, committed)),
      clock: o.clock,
      ask: () =>
        this.#tellCoordinator({ type: "lease-request", job: this.job, purpose: "evaluate", term: this.#machine.term }),
      report: (lease, metrics) => {
        this.#tellBadRows();
        this.#tellCoordinator({ type: "evaluated", job: this.job, lease, metrics });
      },
      fail: (error) => this.#fail(error),
    });
    this.#heardAt = o.clock.now();
    o.nodes.listen({
      onControl: (node, control) => this.#onNodeControl(node, control),
      onFrame: (node, f) => this.#onNodeFrame(node, f),
      onDown: (_, link, reason) => this.#requests.failLink(link, reason),
      onUp: (node) => this.#feed({ kind: "resend", node }),
    });
  }

  /** Reads the initial dense weights and says that this worker is ready. */
  async open(): Promise<void> {
    const { manifest, dataset, model } = this.#o;
    checkLabels(manifest, dataset.labelWidth);
    const weights = await this.#retry(() => readDense(this.#tables, manifest.model.variables));
    this.#dense = new DenseState({ weights, manifest });
    model.setDense(weights);
    this.#tellBadRows();
    const { trainRows, testRows, fingerprint } = dataset;
    this.#tellCoordinator({ type: "ready", job: this.job, trainRows, testRows, fingerprint });
    this.#tick();
  }

  onCoordinator(control: Control): void {
    // While held-out rows are evaluated nothing is heard from the others, and nothing is amiss.
    this.#heardAt = this.#o.clock.now();
    switch (control.type) {
      case "term":
        this.#onTerm(control);
        break;
      case "lease":
        if (control.purpose === "train") this.#feed({ kind: "lease", term: control.term, to: control.to });
        else this.#whenApplied(() => this.#evaluation.onLease(control));
        break;
      case "no-lease":
        if (control.purpose === "train") this.#feed({ kind: "no-lease", term: control.term });
        else this.#evaluation.onNoLease(control.reason);
        break;
      case "evaluate":
        this.#evaluatedStep = control.step;
        this.#whenApplied(() => this.#evaluation.begin());
        break;
      case "error":
        this.#fail(new ClusterError("JOB_FAILED", `the coordinator refused: ${control.message}`));
        break;
      default:
        throw new ProtocolError(`a worker takes no "${control.type}" message from the coordinator`);
    }
  }

  /** Another worker of this job has dialed. */
  acceptPeer(worker: number, link: Link): void {
    this.#peers.accept(worker, link);
  }

  close(reason: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancelTick();
    this.#prepared.drop();
    this.#peers.close();
    this.#o.nodes.close(reason);
    this.#o.model.dispose();
    this.#o.dataset.close().catch(() => {});
  }

  // -- events in -------------------------------------------------------------------------------------------

  #onTerm({ term, members }: { term: number; members: readonly Member[] }): void {
    this.#peers.meet(members);
    this.#feed({ kind: "term", term, members: members.map((m) => m.worker) });
  }

  #onNodeControl(node: number, control: Control): void {
    switch (control.type) {
      case "promise":
        this.#feed({ kind: "promise", node, term: control.term, committed: control.committed });
        break;
      case "staged":
        this.#feed({ kind: "staged", node, step: control.step, attempt: control.attempt });
        break;
      case "committed":
        this.#feed({ kind: "committed", node, step: control.step, attempt: control.attempt });
        break;
      case "stale-term":
        break; // a newer term exists; its announcement is on the way
      case "error":
        if (!this.#requests.takeError(control))
          this.#fail(new ClusterError("BAD_UPDATE", `PS node ${node} refused: ${control.message}`));
        break;
      default:
        throw new ProtocolError(`a worker takes no "${control.type}" message from a PS node`);
    }
  }

  #onNodeFrame(node: number, f: Frame): void {
    if (this.#requests.takeFrame(f)) return;
    if (f.opcode === "unknownKeys") {
      this.#prepared.sendWhole(node, f);
      return;
    }
    if (f.partitions.length > 0) {
      this.#askForNewTerm(`partitions ${[...f.partitions].slice(0, 5).join(", ")} have moved from PS node ${node}`);
      return;
    }
    if (f.opcode !== "pullReply") throw new ProtocolError(`a worker takes no "${f.opcode}" frame from a PS node`);
    if (!this.#prepared.takeReply(node, f)) return;
    this.#feed({ kind: "pulled", node, step: f.requestId, committed: { step: f.step, attempt: f.attempt } });
  }

  #onPeerControl(worker: number, control: Control): void {
    if (control.type === "start") {
      this.#feed({ kind: "start", step: control.step, attempt: control.attempt, members: control.members });
    } else if (control.type === "held") {
      this.#feed({ kind: "held", rank: control.rank, step: control.step, attempt: control.attempt });
    } else throw new ProtocolError(`a worker takes no "${control.type}" message from worker ${worker}`);
  }

  #onPeerFrame(f: Frame): void {
    if (f.opcode === "reduce") this.#rounds.take(f);
    else if (f.opcode === "denseState") {
      if (f.step <= this.#machine.applied) return; // it was sent to be safe, and is not needed
      this.#dense!.restore(f.values);
      this.#o.model.setDense(this.#dense!.weights);
      this.#feed({ kind: "dense-state", step: f.step });
    } else throw new ProtocolError(`a worker takes no "${f.opcode}" frame from a worker`);
  }

  // -- effects out -----------------------------------------------------------------------------------------

  #feed(event: StepEvent): void {
    if (this.#closed) return;
    if (event.kind !== "resend") this.#heardAt = this.#o.clock.now();
    for (const effect of this.#machine.handle(event)) this.#carryOut(effect);
    this.#afterApply();
  }

  #carryOut(effect: StepEffect): void {
    const { job } = this;
    switch (effect.kind) {
      case "send-fence":
        this.#o.nodes.get(effect.node).sendControl({ type: "fence", job, term: effect.term });
        break;
      case "send-start-to-node":
      case "send-start-to-worker": {
        const { step, attempt, members } = effect;
        const start: ControlOf<"start"> = {
          type: "start",
          job,
          step,
          attempt,
          term: attempt,
          slots: members.length,
          members: [...members],
        };
        if (effect.kind === "send-start-to-node") this.#o.nodes.get(effect.node).sendControl(start);
        else this.#peers.sendControl(effect.worker, start);
        break;
      }
      case "send-held":
        this.#peers.sendControl(effect.worker, {
          type: "held",
          job,
          step: effect.step,
          attempt: effect.attempt,
          rank: effect.rank,
        });
        break;
      case "send-commit":
        this.#o.nodes
          .get(effect.node)
          .sendControl({ type: "commit", job, step: effect.step, attempt: effect.attempt, term: effect.term });
        break;
      case "send-dense-state":
        this.#peers.sendFrame(
          effect.worker,
          frame({ opcode: "denseState", job, step: effect.step, values: this.#dense!.snapshot() }),
        );
        break;
      case "prepare":
        this.#prepared.prepare(effect);
        break;
      case "repeat-pull":
        this.#prepared.repeatPull(effect, effect.node);
        break;
      case "repeat-push":
        this.#prepared.push({ ...effect, slot: this.#machine.rank }, effect.node);
        break;
      case "compute":
        this.#computing = this.#computing
          .then(() => this.#compute(effect))
          .catch((error: unknown) => this.#fail(error));
        break;
      case "push":
        this.#prepared.pushAll({ ...effect, slot: this.#machine.rank });
        break;
      case "reduce":
        this.#rounds.begin({ ...effect, data: this.#computed });
        break;
      case "apply":
        this.#apply(effect);
        break;
      case "drop":
        this.#prepared.drop();
        this.#rounds.abandon();
        this.#held = undefined;
        break;
      case "suspend":
        this.#rounds.abandon();
        break;
      case "request-lease":
        this.#tellCoordinator({ type: "lease-request", job, purpose: "train", term: effect.term });
        break;
      case "report-commit":
        this.#report();
        break;
      case "finished":
        if (this.#machine.isLeader) void this.#finish(effect.step).catch((error: unknown) => this.#fail(error));
        break;
      case "fail":
        this.#fail(new ClusterError("NO_WORKERS", effect.message));
        break;
      default:
        effect satisfies never;
    }
  }

  async #compute({ step, attempt }: Attempt): Promise<void> {
    const prepared = this.#prepared.get(step);
    if (this.#closed || !prepared?.rows || prepared.attempt !== attempt) return;
    const { rows } = prepared;
    const { batch } = rows;
    const { from, to } = this.#plan.samplesOf(step);
    const result = await this.#o.model.step({
      rows: rows.gather(),
      numbers: rows.numbers,
      masks: rows.masks,
      label: batch.label,
      weight: batch.weight,
      samples: batch.samples,
      globalSamples: to - from,
    });
    if (this.#closed || this.#prepared.get(step) !== prepared) return;
    refuseNonFinite(result, { manifest: this.#o.manifest, step, plan: this.#plan, batch });
    rows.scatter(result.rowGrads);
    // The loss travels as one more element of the all-reduce.
    const data = new Float32Array(result.denseGrads.length + 1);
    data.set(result.denseGrads);
    data[data.length - 1] = result.lossSum;
    this.#computed = data;
    this.#feed({ kind: "computed", step, attempt });
  }

  #apply({ step, attempt }: Attempt): void {
    const held = this.#held!;
    this.#dense!.update({ grads: held, step });
    this.#o.model.setDense(this.#dense!.weights);
    const { from, to } = this.#plan.samplesOf(step);
    this.#commits.push({ step, attempt, samples: to - from, lossSum: held.at(-1)! });
    if (this.#commits.length > COMMITS_REPEATED) this.#commits.shift();
    this.#held = undefined;
    this.#tellBadRows();
  }

  /** Runs once the dense result of the step to be evaluated is applied. */
  #whenApplied(run: () => void): void {
    this.#onceApplied.push(run);
    this.#afterApply();
  }

  #afterApply(): void {
    if (this.#onceApplied.length === 0 || this.#machine.applied < this.#evaluatedStep) return;
    const waiting = this.#onceApplied;
    this.#onceApplied = [];
    for (const run of waiting) run();
  }

  // -- news ------------------------------------------------------------------------------------------------

  #reportedTerm = 0;

  /** The newest commit; a new leader's first report repeats what the old one's may have missed. */
  #report(): void {
    const commits = this.#reportedTerm === this.#machine.term ? this.#commits.slice(-1) : this.#commits;
    this.#reportedTerm = this.#machine.term;
    this.#tellCoordinator({ type: "progress", job: this.job, term: this.#machine.term, commits });
  }

  #tellBadRows(): void {
    const { count, first } = this.#o.dataset.badRows();
    if (count === this.#badRowsTold) return;
    this.#badRowsTold = count;
    this.#tellCoordinator({
      type: "bad-rows",
      job: this.job,
      scope: this.#o.dataset.blocks === undefined ? "data" : "read",
      count,
      first: first.slice(0, LIMITS.badRowsKept).map(({ place, fault }) => `${place}: ${fault}`),
    });
  }

  async #finish(step: number): Promise<void> {
    await this.#retry(() => writeDense(this.#tables, this.#o.manifest.model.variables, this.#dense!.weights));
    this.#tellCoordinator({ type: "trained", job: this.job, term: this.#machine.term, step });
  }

  #retry<T>(attempt: () => Promise<T>): Promise<T> {
    return retry({ clock: this.#o.clock, attempt });
  }

  #askForNewTerm(reason: string): void {
    this.#tellCoordinator({ type: "term-request", job: this.job, term: this.#machine.term, reason });
  }

  #fail(error: unknown): void {
    if (this.#closed) return;
    const code = error instanceof ClusterError ? error.code : "JOB_FAILED";
    const message = error instanceof Error ? error.message : String(error);
    this.#tellCoordinator({ type: "fail", job: this.job, code, message });
  }

  /** Repeats what nobody has answered for a while. */
  #tick(): void {
    if (this.#closed) return;
    this.#cancelTick = this.#o.clock.after(LIMITS.resendEveryMs, () => {
      if (this.#o.clock.now() - this.#heardAt >= LIMITS.resendEveryMs) this.#feed({ kind: "resend" });
      this.#tick();
    });
  }

  #tellCoordinator(control: Control): void {
    if (!this.#closed) this.#o.coordinator.send(control);
  }
}
