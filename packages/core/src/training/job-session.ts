/**
 * One job on one worker: carries out what {@link StepTransaction} decides. It owns the bulk — batches, rows,
 * gradients, dense weights, the ring — and the messages; the decisions are the state machine's.
 *
 * Runs in Node, in a browser and in the simulation: data, model, links and clock are arguments.
 */
import { Requests, retry, TableClient } from "../client/index.ts";
import { epochOrder, fieldStatistics, type Dataset, type FieldStatistics } from "../data/index.ts";
import { ClusterError, ProtocolError } from "../errors.ts";
import type { JobManifest } from "../job/index.ts";
import { LIMITS } from "../limits.ts";
import { allFinite, type PartitionMap } from "../partition/index.ts";
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
import { DenseRounds } from "./dense-round.ts";
import { DenseState } from "./dense-state.ts";
import { readDense, writeDense } from "./dense-table.ts";
import { Evaluation } from "./evaluation.ts";
import type { GradientModel, StepGradients } from "./gradient-model.ts";
import type { NodeLinks } from "./node-links.ts";
import { PeerLinks } from "./peer-links.ts";
import { stepPlan, type StepPlan } from "./plan.ts";
import { StepRowsFactory, type StepRows } from "./step-rows.ts";
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

interface Prepared extends Attempt {
  /** Undefined for the step after the last: its pulls only ask for the commit. */
  rows: StepRows | undefined;
  answered: Set<number>;
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
  /** The step under way and the next one, whose pull was sent early. */
  #prepared = new Map<number, Prepared>();
  readonly #rounds: DenseRounds;
  /** This slot's dense gradients with the loss as one more element, until their round begins. */
  #computed: Float32Array = new Float32Array(0);
  /** The reduced gradients and loss that wait for their commit. */
  #held: Float32Array | undefined;
  #commits: (Attempt & { samples: number; lossSum: number })[] = [];
  #order: { epoch: number; order: Uint32Array } | undefined;
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
    this.#evaluation = new Evaluation({
      manifest: o.manifest,
      rows: this.#rows,
      model: o.model,
      pull: (rows) => this.#pullCommitted(rows),
      clock: o.clock,
      ask: () =>
        this.#tellCoordinator({ type: "lease-request", job: this.job, purpose: "evaluate", term: this.#machine.term }),
      report: (lease, metrics) => this.#tellCoordinator({ type: "evaluated", job: this.job, lease, metrics }),
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
    const weights = await this.#retry(() => readDense(this.#tables, manifest.model.variables));
    this.#dense = new DenseState({ weights, optimizer: manifest.compile.optimizer });
    model.setDense(weights);
    const { trainRows, testRows, fingerprint } = dataset;
    this.#tellCoordinator({ type: "ready", job: this.job, trainRows, testRows, fingerprint });
    this.#tick();
  }

  onCoordinator(control: Control): void {
    switch (control.type) {
      case "term":
        this.#onTerm(control);
        break;
      case "lease":
        if (control.purpose === "train") this.#feed({ kind: "lease", term: control.term, to: control.to });
        else this.#evaluation.onLease(control);
        break;
      case "no-lease":
        if (control.purpose === "evaluate") this.#evaluation.onNoLease(control.reason);
        break;
      case "evaluate":
        this.#evaluation.begin();
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
    this.#peers.close();
    this.#o.nodes.close(reason);
    this.#o.model.dispose();
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
    if (f.partitions.length > 0) {
      this.#askForNewTerm(`partitions ${[...f.partitions].slice(0, 5).join(", ")} have moved from PS node ${node}`);
      return;
    }
    if (f.opcode !== "pullReply") throw new ProtocolError(`a worker takes no "${f.opcode}" frame from a PS node`);
    const step = f.requestId;
    const prepared = this.#prepared.get(step);
    if (!prepared || prepared.attempt !== f.term || prepared.answered.has(node)) return; // of an abandoned attempt, or a repeat
    prepared.answered.add(node);
    prepared.rows?.takeReply(this.#nodeIds.indexOf(node), f.values);
    this.#feed({ kind: "pulled", node, step, committed: { step: f.step, attempt: f.attempt } });
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
        this.#prepare(effect);
        break;
      case "repeat-pull": {
        const prepared = this.#prepared.get(effect.step);
        if (prepared?.attempt === effect.attempt && !prepared.answered.has(effect.node))
          this.#pull(prepared, effect.node);
        break;
      }
      case "repeat-push":
        this.#push(effect, effect.node);
        break;
      case "compute":
        this.#computing = this.#computing
          .then(() => this.#compute(effect))
          .catch((error: unknown) => this.#fail(error));
        break;
      case "push":
        for (const node of this.#nodeIds) this.#push(effect, node);
        break;
      case "reduce":
        this.#rounds.begin({ ...effect, data: this.#computed });
        break;
      case "apply":
        this.#apply(effect);
        break;
      case "drop":
        this.#prepared.clear();
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

  #prepare({ step, attempt, rank, slots }: { step: number; attempt: number; rank: number; slots: number }): void {
    for (const [old, prepared] of this.#prepared)
      if (old < step - 1 || prepared.attempt !== attempt) this.#prepared.delete(old);
    const rows =
      step > this.#plan.steps ? undefined : this.#rows.read("train", this.#samplesOf({ step, slot: rank, slots }));
    const prepared: Prepared = { step, attempt, rows, answered: new Set() };
    this.#prepared.set(step, prepared);
    for (const node of this.#nodeIds) this.#pull(prepared, node);
  }

  #samplesOf(at: { step: number; slot: number; slots: number }): Uint32Array {
    const epoch = this.#plan.epochOf(at.step);
    if (this.#order?.epoch !== epoch) {
      this.#order = { epoch, order: epochOrder({ rows: this.#plan.trainRows, seed: this.#o.manifest.seed, epoch }) };
    }
    const { from, to } = this.#plan.sliceOf(at);
    return this.#order.order.subarray(from, to);
  }

  /** A step's pull has the step as its request id, and the attempt as its term. */
  #pull({ step, attempt, rows }: Prepared, node: number): void {
    const sections = rows?.sections(this.#nodeIds.indexOf(node)) ?? {};
    this.#o.nodes
      .get(node)
      .sendFrame(frame({ opcode: "pull", job: this.job, requestId: step, step, term: attempt, ...sections }));
  }

  #push({ step, attempt }: Attempt, node: number): void {
    const prepared = this.#prepared.get(step);
    if (!prepared?.rows || prepared.attempt !== attempt) return;
    const n = this.#nodeIds.indexOf(node);
    const slot = this.#machine.rank;
    const { rows } = prepared;
    this.#o.nodes.get(node).sendFrame(
      frame({
        opcode: "push",
        job: this.job,
        requestId: step,
        step,
        attempt,
        term: attempt,
        slot,
        ...rows.sections(n),
        values: rows.gradientsFor(n),
      }),
    );
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
      label: batch.label,
      samples: batch.samples,
      globalSamples: to - from,
    });
    if (this.#closed || this.#prepared.get(step) !== prepared) return;
    const what = faultOf(result);
    if (what) {
      const statistics = fieldStatistics(batch);
      throw nanLoss({ manifest: this.#o.manifest, step, plan: this.#plan, what, statistics });
    }
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
  }

  // -- news ------------------------------------------------------------------------------------------------

  #reportedTerm = 0;

  /** The newest commit; a new leader's first report repeats what the old one's may have missed. */
  #report(): void {
    const commits = this.#reportedTerm === this.#machine.term ? this.#commits.slice(-1) : this.#commits;
    this.#reportedTerm = this.#machine.term;
    this.#tellCoordinator({ type: "progress", job: this.job, term: this.#machine.term, commits });
  }

  async #finish(step: number): Promise<void> {
    await this.#retry(() => writeDense(this.#tables, this.#o.manifest.model.variables, this.#dense!.weights));
    this.#tellCoordinator({ type: "trained", job: this.job, term: this.#machine.term, step });
  }

  /** Reads the rows of a batch as they are committed. */
  async #pullCommitted(rows: StepRows): Promise<void> {
    await Promise.all(
      this.#nodeIds.map(async (node, n) => {
        const request = frame({ opcode: "pull", job: this.job, ...rows.sections(n) });
        const reply = await this.#retry(() => this.#requests.ask(this.#o.nodes.get(node), request));
        rows.takeReply(n, reply.values);
      }),
    );
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

/** What of a step's result is not finite, if anything: nothing of such a step may be pushed. */
function faultOf({ lossSum, rowGrads, denseGrads }: StepGradients): string | undefined {
  if (!Number.isFinite(lossSum)) return `the loss is ${lossSum}`;
  if (!allFinite(rowGrads, 0, rowGrads.length)) return "a gradient of the embedding rows is not finite";
  return allFinite(denseGrads, 0, denseGrads.length) ? undefined : "a gradient of the dense weights is not finite";
}

function nanLoss(o: {
  manifest: JobManifest;
  step: number;
  plan: StepPlan;
  what: string;
  statistics: FieldStatistics[];
}): ClusterError {
  const { manifest, step, plan, what, statistics } = o;
  const epoch = plan.epochOf(step) + 1;
  return new ClusterError(
    "NAN_LOSS",
    `${what} at step ${step} (epoch ${epoch}) of job "${manifest.name}"; nothing of this step was applied. ` +
      `Lower the learning rates, or clean the data. Fields of the batch: ${statistics.map(describe).join("; ")}`,
  );
}

function describe(s: FieldStatistics): string {
  if (s.as === "keys") return `${s.field}: ${s.distinctKeys} distinct keys`;
  const nans = s.nans > 0 ? `, ${s.nans} NaN` : "";
  return `${s.field}: ${s.min} … ${s.max}, mean ${s.mean}${nans}`;
}
