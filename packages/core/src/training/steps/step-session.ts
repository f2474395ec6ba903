/**
 * One job on one worker: carries out what {@link StepTransaction} decides. It owns the bulk — batches, rows,
 * gradients, dense weights, the ring — and the messages; the decisions are the state machine's.
 *
 * Runs in Node, in a browser and in the simulation: data, model, links and clock are arguments.
 */
import { Requests, TableClient } from "../../client/index.ts";
import { ClusterError, ProtocolError, type ClusterErrorCode } from "../../errors.ts";
import { checkLabels } from "../../job/index.ts";
import { LIMITS } from "../../limits.ts";
import { frame, type Control, type ControlOf, type Frame, type Link } from "../../wire/index.ts";
import { CommittedRows } from "../rows/committed-rows.ts";
import { DenseExchange } from "../dense/dense-exchange.ts";
import { readDense, writeDense } from "../dense/dense-table.ts";
import { CoordinatorLine } from "../session/coordinator-line.ts";
import { Evaluation } from "../session/evaluation.ts";
import { PeerLinks } from "../session/peer-links.ts";
import { stepPlan, type StepPlan } from "../job/plan.ts";
import { PreparedSteps } from "./prepared-steps.ts";
import { SlotCompute } from "./slot-compute.ts";
import type { Attempt, StepEffect, StepEvent } from "./step-events.ts";
import { controlOf, eventOf, heldOf, startOf, type TermOfJob } from "./step-messages.ts";
import type { SessionOptions } from "../session/session-options.ts";
import { StepRefusals } from "./step-refusals.ts";
import { StepRowsFactory } from "../rows/step-rows.ts";
import { StepTimes } from "./step-times.ts";
import { StepTransaction } from "./step-transaction.ts";

/** Ids of a step's pulls and pushes stay below this, those of {@link Requests} above. */
const FIRST_REQUEST_ID = 0x4000_0000;

export class StepSession {
  readonly job: number;
  readonly #o: SessionOptions;
  readonly #plan: StepPlan;
  readonly #machine: StepTransaction;
  readonly #peers: PeerLinks;
  readonly #requests = new Requests({ firstId: FIRST_REQUEST_ID });
  readonly #tables: TableClient;
  readonly #evaluation: Evaluation;
  readonly #prepared: PreparedSteps;
  readonly #exchange: DenseExchange;
  readonly #refusals: StepRefusals;
  readonly #coordinator: CoordinatorLine;
  readonly #times: StepTimes;
  /** From `open` on. */
  #compute: SlotCompute | undefined;
  /** A term that the coordinator has named, until there is the partition map that it goes by. */
  #announced: ControlOf<"term"> | undefined;
  /** Of the partition map that the term under way goes by. */
  #heads = 0;
  /** This slot's dense gradients with the loss as one more element, until their exchange begins. */
  #computed: Float32Array = new Float32Array(0);
  /** Dense state that a leader sent, until it is used or the next step begins. */
  #received: Float32Array | undefined;
  #computing: Promise<void> = Promise.resolve();
  #heardAt: number;
  #cancelTick: () => void = () => {};
  #forgetMaps: () => void;

  constructor(o: SessionOptions) {
    const { job, manifest, worker, dataset, nodes, clock, dialer } = o;
    this.#o = o;
    this.job = job;
    this.#coordinator = new CoordinatorLine({ job, dataset, coordinator: o.coordinator });
    this.#plan = stepPlan({ manifest, trainRows: dataset.trainRows });
    this.#prepared = new PreparedSteps({
      job,
      manifest,
      plan: this.#plan,
      dataset,
      rows: new StepRowsFactory({ manifest, map: nodes.map, dataset }),
      nodes,
      fail: (error) => this.#coordinator.fail(error),
    });
    this.#machine = new StepTransaction({
      worker,
      stepsMax: this.#plan.steps,
      applied: 0,
      sabotages: o.sabotages,
    });
    this.#times = new StepTimes({ job, clock, tell: (control) => this.#coordinator.tell(control) });
    this.#refusals = new StepRefusals({
      clock,
      askForNewTerm: (reason) => this.#askForNewTerm(reason),
      fail: (error) => this.#coordinator.fail(error),
    });
    this.#peers = new PeerLinks({
      worker,
      job,
      name: o.name,
      dialer,
      clock,
      events: {
        onControl: (worker, control) => this.#onPeerControl(worker, control),
        onFrame: (_, f) => this.#onPeerFrame(f),
        onLost: (_, reason) => this.#askForNewTerm(reason),
      },
    });
    this.#exchange = new DenseExchange({
      job,
      worker,
      wire: manifest.fit.wire,
      send: (to, f, onSent) => this.#peers.sendFrame(to, f, onSent),
      awaits: ({ step, attempt }) => attempt >= this.#machine.term && step > this.#machine.applied,
      held: (at, result) => this.#feed({ kind: "reduced", ...at, hash: this.#compute!.hashWith(result) }),
      log: (line) => o.log(line),
    });
    const reads = { job, links: nodes, requests: this.#requests, clock };
    this.#tables = new TableClient(reads);
    const committed = new CommittedRows({ manifest, ...reads });
    this.#evaluation = new Evaluation({
      manifest,
      dataset,
      model: o.model,
      pull: (batch) => committed.pull(batch),
      clock,
      ask: () => this.#coordinator.askForLease("evaluate", this.#machine.term),
      report: (lease, metrics) => this.#coordinator.evaluated(lease, metrics),
      fail: (error) => this.#coordinator.fail(error),
    });
    this.#heardAt = clock.now();
    this.#forgetMaps = nodes.onMap(() => this.#beginTerm());
    nodes.listen({
      onControl: (node, control) => this.#onNodeControl(node, control),
      onFrame: (node, f) => this.#onNodeFrame(node, f),
      onDown: (_, link, reason) => this.#requests.failLink(link, reason),
      onUp: (node) => this.#feed({ kind: "resend", node }),
    });
  }

  /** Of the dense optimizer's state on this worker; 0 before the job is open. */
  get stateBytes(): number {
    return this.#compute?.stateBytes ?? 0;
  }

  /** Reads the initial dense weights and says that this worker is ready. */
  async open(): Promise<void> {
    const { manifest, dataset, model } = this.#o;
    checkLabels(manifest, dataset.labelWidth);
    const weights = await readDense(this.#tables, manifest.model.variables);
    if (this.#coordinator.closed) return;
    this.#compute = new SlotCompute({ manifest, plan: this.#plan, model, weights });
    this.#coordinator.ready();
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
        else this.#evaluation.onLease(control);
        break;
      case "no-lease":
        if (control.purpose === "train") this.#feed({ kind: "no-lease", term: control.term });
        else this.#evaluation.onNoLease(control.reason);
        break;
      case "evaluate":
        this.#evaluation.begin(control.step);
        break;
      case "error":
        this.#coordinator.fail(new ClusterError("JOB_FAILED", `the coordinator refused: ${control.message}`));
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
    if (this.#coordinator.closed) return;
    this.#coordinator.close();
    this.#cancelTick();
    this.#times.close();
    this.#forgetMaps();
    this.#prepared.drop();
    this.#peers.close();
    this.#o.nodes.close(reason);
    this.#o.model.dispose();
    this.#o.dataset.close().catch(() => {});
  }

  // -- events in -------------------------------------------------------------------------------------------

  /** A term goes by a partition map that the coordinator sent before; if it did not get here, it is asked for. */
  #onTerm(term: ControlOf<"term">): void {
    this.#announced = term;
    if (this.#o.nodes.map.heads < term.heads) this.#coordinator.tell({ type: "map-request" });
    this.#beginTerm();
  }

  /** Begins the term that was announced, unless its map is missing; after a term of an older map another one follows. */
  #beginTerm(): void {
    const { map } = this.#o.nodes;
    const announced = this.#announced;
    if (announced?.heads !== map.heads) return;
    this.#announced = undefined;
    const { term, members, heads, shares } = announced;
    if (term <= this.#machine.term) return;
    this.#heads = heads;
    this.#peers.meet(members);
    this.#prepared.adopt(map, shares);
    this.#feed({ kind: "term", term, members: members.map((m) => m.worker), nodes: this.#prepared.route.nodes });
  }

  get #termOfJob(): TermOfJob {
    return { job: this.job, heads: this.#heads };
  }

  #onNodeControl(node: number, control: Control): void {
    switch (control.type) {
      case "promise":
      case "staged":
      case "committed": {
        const event = eventOf(node, control, this.#termOfJob);
        if (event) this.#feed(event);
        break;
      }
      case "stale-heads":
        if (control.heads > this.#heads) this.#refusals.askLater(`PS node ${node} knows of newer heads of partitions`);
        break;
      case "stale-term":
        break; // a newer term exists; its announcement is on the way
      case "error":
        if (!this.#requests.takeError(control)) this.#onRefused(node, control);
        break;
      default:
        throw new ProtocolError(`a worker takes no "${control.type}" message from a PS node`);
    }
  }

  /** A PS node refused a part of a step. */
  #onRefused(node: number, { code, message }: ControlOf<"error">): void {
    const error = new ClusterError(code as ClusterErrorCode, `PS node ${node} refused: ${message}`);
    this.#refusals.take(error, { applied: this.#machine.applied, heads: this.#heads });
  }

  #onNodeFrame(node: number, f: Frame): void {
    if (this.#requests.takeFrame(f)) return;
    const isCurrent = f.term === this.#machine.running?.attempt;
    if (f.opcode === "unknownKeys") {
      if (isCurrent) this.#prepared.sendWhole(node, f);
      return;
    }
    if (f.partitions.length > 0) {
      const moved = [...f.partitions].slice(0, 5).join(", ");
      if (isCurrent) this.#refusals.askLater(`partitions ${moved} have moved from PS node ${node}`);
      return;
    }
    if (f.opcode !== "pullReply") throw new ProtocolError(`a worker takes no "${f.opcode}" frame from a PS node`);
    if (!this.#prepared.takeReply(node, f)) return;
    this.#feed({ kind: "pulled", node, step: f.requestId, committed: { step: f.step, attempt: f.attempt } });
  }

  #onPeerControl(worker: number, control: Control): void {
    if (control.type === "start") {
      const { step, attempt, members, owners = [] } = control;
      this.#feed({ kind: "start", step, attempt, members, owners });
    } else if (control.type === "held") {
      const { rank, step, attempt, hash } = control;
      this.#feed({ kind: "held", rank, step, attempt, hash });
    } else throw new ProtocolError(`a worker takes no "${control.type}" message from worker ${worker}`);
  }

  #onPeerFrame(f: Frame): void {
    if (f.opcode === "reduce" || f.opcode === "stateShare") this.#exchange.take(f);
    else if (f.opcode === "denseState") {
      const { step, attempt } = f;
      if (step <= this.#machine.applied) return; // it was sent to be safe, and is not needed
      this.#received = f.values.slice();
      this.#feed({ kind: "dense-state", step, attempt });
    } else throw new ProtocolError(`a worker takes no "${f.opcode}" frame from a worker`);
  }

  // -- effects out -----------------------------------------------------------------------------------------

  #feed(event: StepEvent): void {
    if (this.#coordinator.closed) return;
    if (event.kind !== "resend") this.#heardAt = this.#o.clock.now();
    for (const effect of this.#machine.handle(event)) this.#carryOut(effect);
    this.#evaluation.applied(this.#machine.applied);
  }

  #carryOut(effect: StepEffect): void {
    const { job } = this;
    switch (effect.kind) {
      case "send-fence":
      case "send-start-to-node":
      case "send-commit":
        this.#o.nodes.sendControl(effect.node, controlOf(effect, this.#termOfJob));
        break;
      case "send-start-to-worker":
        this.#peers.sendControl(effect.worker, startOf(effect, this.#termOfJob));
        break;
      case "send-held":
        this.#peers.sendControl(effect.worker, heldOf(effect, job));
        break;
      case "send-dense-state": {
        const { worker, step, attempt } = effect;
        const values = this.#compute!.snapshot();
        this.#peers.sendFrame(worker, frame({ opcode: "denseState", job, step, attempt, values }));
        break;
      }
      case "restore":
        this.#compute!.restore(this.#received!);
        break;
      case "prepare":
        this.#received = undefined;
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
          .then(() => this.#run(effect))
          .catch((error: unknown) => this.#coordinator.fail(error));
        break;
      case "push":
        this.#prepared.pushAll({ ...effect, slot: this.#machine.rank });
        break;
      case "reduce":
        this.#exchange.begin({ ...effect, data: this.#computed, shard: this.#compute!.shard });
        break;
      case "apply":
        this.#apply(effect);
        break;
      case "drop":
        this.#prepared.drop();
        this.#exchange.drop();
        break;
      case "suspend":
        this.#exchange.abandon();
        break;
      case "request-lease":
        this.#coordinator.askForLease("train", effect.term);
        break;
      case "report-commit":
        this.#coordinator.reportCommits(this.#machine.term);
        break;
      case "finished":
        if (this.#machine.isLeader)
          void this.#finish(effect.step).catch((error: unknown) => this.#coordinator.fail(error));
        break;
      case "fail":
        this.#coordinator.fail(new ClusterError(effect.code, effect.message));
        break;
      default:
        effect satisfies never;
    }
  }

  async #run({ step, attempt }: Attempt): Promise<void> {
    const prepared = this.#prepared.get(step);
    if (this.#coordinator.closed || !prepared?.rows || prepared.attempt !== attempt) return;
    const { clock } = this.#o;
    const { samples } = prepared.rows.batch;
    const from = clock.now();
    const result = await this.#compute!.backward(step, prepared.rows);
    if (this.#coordinator.closed || this.#prepared.get(step) !== prepared) return;
    this.#computed = this.#compute!.take(step, prepared.rows, result);
    this.#times.add({ term: attempt, step, samples, computeMs: clock.now() - from });
    this.#feed({ kind: "computed", step, attempt });
  }

  #apply(at: Attempt): void {
    this.#prepared.settle(at);
    this.#coordinator.noteCommit(this.#compute!.apply(at, this.#exchange.commit()));
    this.#coordinator.tellBadRows();
  }

  async #finish(step: number): Promise<void> {
    const { term } = this.#machine;
    await writeDense(this.#tables, this.#o.manifest.model.variables, this.#compute!.weights);
    // The leader of a newer term ends training, too, and tells it.
    if (term === this.#machine.term) this.#coordinator.tell({ type: "trained", job: this.job, term, step });
  }

  #askForNewTerm(reason: string): void {
    this.#coordinator.askForNewTerm(this.#machine.term, reason);
  }

  /** Repeats what nobody has answered for a while. */
  #tick(): void {
    if (this.#coordinator.closed) return;
    this.#cancelTick = this.#o.clock.after(LIMITS.resendEveryMs, () => {
      if (this.#o.clock.now() - this.#heardAt >= LIMITS.resendEveryMs) this.#feed({ kind: "resend" });
      this.#tick();
    });
  }
}
