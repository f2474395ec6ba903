/**
 * One job on one worker, where the coordinator says batch by batch what is trained next: reads the samples, pulls their
 * rows, computes, pushes the gradients, and says so. While one batch is computed, the rows of the next are pulled and
 * the gradients of the one before are pushed: one of each at a time, so rows are as new as they can be without waiting.
 *
 * Runs in Node, in a browser and in the simulation: data, model, links and clock are arguments.
 *
 * What happens when a peer dies here: what a lost PS node has not answered is asked of the next head; a lost worker's
 * batches are given to others, and rounds of dense weights are called again without it.
 */
import { Requests, TableClient } from "../../client/index.ts";
import { RowResiduals } from "../../compression/index.ts";
import { consistencyOf, type Consistency } from "../../consistency/index.ts";
import type { Batch } from "../../data/index.ts";
import { ClusterError, ProtocolError, type ClusterErrorCode } from "../../errors.ts";
import { checkLabels } from "../../job/index.ts";
import type { Control, ControlOf, Frame, Link } from "../../wire/index.ts";
import { CommittedRows } from "../rows/committed-rows.ts";
import { readDense, writeDense } from "../dense/dense-table.ts";
import { CoordinatorLine } from "../session/coordinator-line.ts";
import { Evaluation } from "../session/evaluation.ts";
import { HeadRequests } from "../rows/head-requests.ts";
import type { SessionOptions } from "../session/session-options.ts";
import { PeerLinks } from "../session/peer-links.ts";
import { stepPlan, type StepPlan } from "../job/plan.ts";
import { rowAgeOf, type RowAge } from "../rows/row-cache.ts";
import { refuseNonFinite } from "../job/step-fault.ts";
import { RowPlanner, type StepRows } from "../rows/step-rows.ts";
import { PushAtOnce, PushSlot, type BatchPush } from "./batch-push.ts";
import { DenseOnPs, type DensePlace } from "./dense-place.ts";
import { batchesPerStep, JobBatches, placeOfBatch, samplesOfBatch } from "./job-batches.ts";
import { LocalDense } from "./local-dense.ts";
import { RoundMember } from "./round-member.ts";

/** A batch that the coordinator gave. */
interface Given {
  readonly control: ControlOf<"batch">;
  /** With its samples; none where it does not count any more. */
  readonly rows: Promise<StepRows | undefined>;
  /** The model takes what was pulled: the rows of the next batch may be. */
  readonly gathered: () => void;
}

/** Where dense weights are, once they are read. */
interface Opened {
  readonly dense: DensePlace;
  readonly local: LocalDense | undefined;
  readonly rounds: RoundMember | undefined;
}

export class BatchSession {
  readonly job: number;
  readonly #o: SessionOptions;
  readonly #mode: Consistency;
  readonly #plan: StepPlan;
  readonly #batches: JobBatches;
  readonly #requests = new Requests();
  readonly #tables: TableClient;
  readonly #rows: CommittedRows;
  readonly #push: BatchPush;
  readonly #peers: PeerLinks;
  readonly #evaluation: Evaluation;
  #evaluations = 0;
  readonly #coordinator: CoordinatorLine;
  #opened: Opened | undefined;
  #term = 0;
  /** What the model does, one after another: batches, and what precedes an evaluation. */
  #training: Promise<void> = Promise.resolve();
  /** The newest batch that was given is gathered. */
  #gathered: Promise<void> = Promise.resolve();
  /** The push of the batch before: one at a time is on its way. */
  #pushing: Promise<void> = Promise.resolve();

  constructor(o: SessionOptions) {
    const { job, manifest, worker, dataset, model, nodes, clock, dialer } = o;
    this.#o = o;
    this.job = job;
    this.#coordinator = new CoordinatorLine({ job, dataset, coordinator: o.coordinator });
    this.#mode = consistencyOf(manifest.fit.consistency);
    this.#plan = stepPlan({ manifest, trainRows: dataset.trainRows });
    this.#batches = new JobBatches({ manifest, plan: this.#plan, dataset });
    const reads = { job, links: nodes, requests: this.#requests, clock };
    this.#tables = new TableClient(reads);
    const planning = { withDense: this.#mode.dense === "ps", residuals: new RowResiduals() };
    this.#rows = new CommittedRows({ manifest, ...reads, ...planning });
    this.#push =
      this.#mode.gradients === "at-once"
        ? new PushAtOnce({
            job,
            batchesPerStep: batchesPerStep(manifest),
            planner: new RowPlanner({ manifest, map: nodes.map, ...planning }),
            heads: new HeadRequests(reads),
          })
        : new PushSlot({ job, nodes });
    this.#peers = new PeerLinks({
      worker,
      job,
      name: o.name,
      dialer,
      clock,
      events: {
        onControl: (from, { type }) => {
          throw new ProtocolError(`a worker takes no "${type}" message from worker ${from}`);
        },
        onFrame: (_, f) => this.#opened?.rounds?.onFrame(f),
        onLost: (_, reason) => this.#askForNewTerm(reason),
      },
    });
    const committed = new CommittedRows({ manifest, ...reads });
    this.#evaluation = new Evaluation({
      manifest,
      dataset,
      model,
      pull: (batch) => committed.pull(batch),
      clock,
      ask: () => this.#coordinator.askForLease("evaluate", this.#term),
      report: (lease, metrics) => this.#coordinator.evaluated(lease, metrics),
      fail: (error) => this.#coordinator.fail(error),
    });
    nodes.listen({
      onControl: (node, control) => this.#onNodeControl(node, control),
      onFrame: (_, f) => this.#onNodeFrame(f),
      onDown: (_, link, reason) => this.#requests.failLink(link, reason),
      onUp: (node) => this.#push.onUp(node),
    });
  }

  /** Reads the dense weights, where the worker has its own, and says that it is ready. */
  async open(): Promise<void> {
    const { manifest, dataset, model, worker } = this.#o;
    const { rounds } = this.#mode;
    checkLabels(manifest, dataset.labelWidth);
    if (rounds) {
      const weights = await readDense(this.#tables, manifest.model.variables);
      if (this.#coordinator.closed) return;
      const local = new LocalDense({ manifest, model, outer: rounds.outer, weights });
      const member = new RoundMember({
        job: this.job,
        worker,
        dense: local,
        compression: rounds.compression,
        sendFrame: (to, f, onSent) => this.#peers.sendFrame(to, f, onSent),
        tell: (control) => this.#coordinator.tell(control),
      });
      this.#opened = { dense: local, local, rounds: member };
    } else this.#opened = { dense: new DenseOnPs({ manifest, model }), local: undefined, rounds: undefined };
    this.#coordinator.ready();
  }

  onCoordinator(control: Control): void {
    switch (control.type) {
      case "term":
        this.#onTerm(control);
        break;
      case "batch":
        this.#onBatch(control);
        break;
      case "call-round":
        this.#opened?.rounds?.onCall(control);
        break;
      case "commit-round":
        this.#opened?.rounds?.onCommit(control);
        break;
      case "store-dense":
        this.#heed(this.#store(control));
        break;
      case "lease":
        this.#evaluation.onLease(control);
        break;
      case "no-lease":
        this.#evaluation.onNoLease(control.reason);
        break;
      case "evaluate":
        this.#onEvaluate();
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
    this.#requests.close(new ClusterError("JOB_STOPPED", reason));
    this.#peers.close();
    this.#o.nodes.close(reason);
    this.#o.model.dispose();
    this.#o.dataset.close().catch(() => {});
  }

  // -- messages in -------------------------------------------------------------------------------------------

  #onTerm(control: ControlOf<"term">): void {
    this.#term = control.term;
    if (this.#o.nodes.map.heads < control.heads) this.#coordinator.tell({ type: "map-request" });
    if (this.#mode.dense === "rounds") this.#peers.meet(control.members);
    this.#opened?.rounds?.onTerm(control);
  }

  #onBatch(control: ControlOf<"batch">): void {
    const samples = this.#batches.read(control.batch);
    samples.catch(() => {});
    const rows = this.#gathered.then(() => this.#pull(control, samples));
    rows.catch(() => {}); // who trains it hears of that
    this.#gathered = new Promise((gathered) => {
      this.#inTurn(() => this.#train({ control, rows, gathered }));
    });
  }

  #onNodeControl(node: number, control: Control): void {
    switch (control.type) {
      case "stale-heads":
      case "stale-term":
        break; // the coordinator begins another term, and gives the batch out again
      case "error":
        if (this.#requests.takeError(control)) break;
        this.#onRefused(
          new ClusterError(control.code as ClusterErrorCode, `PS node ${node} refused: ${control.message}`),
        );
        break;
      default:
        throw new ProtocolError(`a worker takes no "${control.type}" message from a PS node`);
    }
  }

  /** A PS node refused a slot: a mistake, or one that passes once partitions are taken over. */
  #onRefused(error: ClusterError): void {
    if (error.retryable || error.code === "UNKNOWN_JOB") this.#askForNewTerm(error.message);
    else this.#coordinator.fail(new ClusterError("BAD_UPDATE", error.message));
  }

  #onNodeFrame(f: Frame): void {
    if (this.#requests.takeFrame(f) || f.opcode === "pullReply") return;
    if (f.opcode === "pushDirectReply" || f.opcode === "setReply") return; // of a request that was given up
    throw new ProtocolError(`a worker takes no "${f.opcode}" frame from a PS node`);
  }

  // -- one batch ---------------------------------------------------------------------------------------------

  /** Only now, that it is given: what the coordinator counts as applied before is in what comes. */
  async #pull(given: ControlOf<"batch">, samples: Promise<Batch>): Promise<StepRows | undefined> {
    const batch = await samples;
    if (this.#coordinator.closed) return undefined;
    // Its slot is of a step that began anew.
    if (this.#mode.gradients === "at-commit" && given.term < this.#term) return undefined;
    return this.#rows.pull(batch, { age: this.#ageOf(given) });
  }

  async #train({ control: given, rows: pulled, gathered }: Given): Promise<void> {
    const { manifest, model, clock } = this.#o;
    const begunMs = clock.now();
    const rows = await pulled;
    if (this.#coordinator.closed) return;
    if (!rows) {
      gathered();
      this.#tellDone(given, { lossSum: 0, computeMs: 0 });
      return;
    }
    const { batch } = rows;
    const { dense } = this.#opened!;
    dense.begin(rows);
    const packed = rows.gather();
    gathered();
    // What is pushed and pulled leaves before the model computes: on some devices that keeps the thread busy.
    await new Promise<void>((resolve) => void clock.after(0, resolve));
    if (this.#coordinator.closed) return;
    const result = await model.step({
      rows: packed,
      rowIds: () => rows.rowIds(),
      numbers: rows.numbers,
      masks: rows.masks,
      label: batch.label,
      weight: batch.weight,
      samples: batch.samples,
      globalSamples: manifest.fit.batchSize,
      step: given.batch + 1,
    });
    if (this.#coordinator.closed) return;
    const { step } = placeOfBatch(manifest, given.batch);
    refuseNonFinite(result, { manifest, step, plan: this.#plan, batch, of: "batch" });
    const { rowGrads, lossSum } = result;
    const denseGrads = dense.end(result.denseGrads, { samples: batch.samples, step });
    rows.scatter(rowGrads, denseGrads);
    this.#coordinator.tellBadRows();
    await this.#pushing;
    const computeMs = clock.now() - begunMs;
    this.#pushing = this.#push
      .push({ given, rows, rowGrads, denseGrads })
      .then(() => this.#tellDone(given, { lossSum, computeMs, ...(this.#ageOf(given) && rows.use) }));
    this.#heed(this.#pushing);
  }

  /** How old its rows may be, where they are kept. */
  #ageOf(given: ControlOf<"batch">): RowAge | undefined {
    return rowAgeOf({ cache: this.#o.manifest.fit.cache, mode: this.#mode, ...given });
  }

  /** Of its samples those count, too, that weigh nothing. */
  #tellDone(
    { lease, batch }: ControlOf<"batch">,
    of: Pick<ControlOf<"batch-done">, "lossSum" | "computeMs" | "rows" | "cachedRows">,
  ): void {
    const samples = samplesOfBatch(this.#o.manifest, this.#plan, batch);
    this.#coordinator.tell({ type: "batch-done", job: this.job, lease, batch, samples, ...of });
  }

  // -- pauses and the end ------------------------------------------------------------------------------------

  /**
   * Begun at once, so that a lease that comes before the dense weights waits for them. Training may end where it was
   * validated, with other weights: evaluations are told apart by how many there were.
   */
  #onEvaluate(): void {
    const evaluation = ++this.#evaluations;
    this.#evaluation.begin(evaluation);
    this.#inTurn(() => this.#readyTo(evaluation));
  }

  /** In turn: a batch before that does not count any more takes the model's weights, too. */
  async #readyTo(evaluation: number): Promise<void> {
    if (this.#coordinator.closed) return;
    const { manifest, model } = this.#o;
    const { local } = this.#opened!;
    if (local) local.giveCommon();
    else {
      const weights = await readDense(this.#tables, manifest.model.variables);
      if (this.#coordinator.closed) return;
      model.setDense(weights);
    }
    this.#evaluation.applied(evaluation);
  }

  async #store({ term, step }: ControlOf<"store-dense">): Promise<void> {
    const local = this.#opened?.local;
    if (!local)
      throw new ClusterError("PROTOCOL_VIOLATION", "a worker without dense weights of its own is to store them");
    await writeDense(this.#tables, this.#o.manifest.model.variables, local.weights);
    this.#coordinator.tell({ type: "trained", job: this.job, term, step });
  }

  // -- small change ------------------------------------------------------------------------------------------

  #askForNewTerm(reason: string): void {
    this.#coordinator.askForNewTerm(this.#term, reason);
  }

  #inTurn(work: () => Promise<void>): void {
    this.#training = this.#training.then(work);
    this.#heed(this.#training);
  }

  #heed(work: Promise<void>): void {
    work.catch((error: unknown) => this.#coordinator.fail(error));
  }
}
