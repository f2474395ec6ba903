/**
 * A worker: joins the coordinator, opens the jobs it is given, one at a time, and leaves cleanly. How data is read
 * and how gradients are computed are arguments, so Node workers, browser tabs and the simulation share this file.
 *
 * What happens when a peer dies here: a lost coordinator ends the session (its owner dials again); everything else
 * is the job session's.
 */
import { NodeLinks } from "../client/index.ts";
import { consistencyOf } from "../consistency/index.ts";
import type { Dataset } from "../data/index.ts";
import { ClusterError, ProtocolError } from "../errors.ts";
import type { JobManifest } from "../job/index.ts";
import { LIMITS } from "../limits.ts";
import type { Sabotages } from "../sabotage.ts";
import type { Clock, Control, ControlOf, Dialer, Link } from "../wire/index.ts";
import type { GradientModel } from "./job/gradient-model.ts";
import { LeafedModel, type ReducerOptions } from "./leaves/leafed-model.ts";
import { BatchSession } from "./batches/batch-session.ts";
import { StepSession } from "./steps/step-session.ts";

export interface WorkerSessionOptions {
  name: string;
  /** Where other workers reach this one; empty when it cannot be dialed. */
  address: string;
  /** For people: which tfjs backend computes. */
  backend: string;
  coordinator: Link;
  dialer: Dialer;
  clock: Clock;
  openDataset(manifest: JobManifest): Promise<Dataset>;
  openModel(manifest: JobManifest): Promise<GradientModel>;
  /** How volunteers help this worker; without it none do. */
  reducer?: ReducerOptions | undefined;
  log: (message: string) => void;
  sabotages?: Sabotages | undefined;
}

/** A job that is being opened. */
interface Opening {
  job: number;
  /** Messages of the job, and links of other workers, that came meanwhile. */
  waiting: Control[];
  peers: { worker: number; link: Link }[];
}

export class WorkerSession {
  /** Resolves once the coordinator counts this worker; never, if it does not let it join. */
  readonly joined: Promise<void>;
  /** Resolves with the reason once the coordinator's link is gone. */
  readonly closed: Promise<string>;
  readonly #o: WorkerSessionOptions;
  #worker = 0;
  #onJoined: () => void = () => {};
  #job: StepSession | BatchSession | undefined;
  #opening: Opening | undefined;
  /** The model of the job under way, where volunteers may help. */
  #leafed: LeafedModel | undefined;
  /** To the PS nodes of the job, which has been left once these are others. */
  #nodes: NodeLinks | undefined;
  #cancelHeartbeat: () => void = () => {};

  constructor(o: WorkerSessionOptions) {
    this.#o = o;
    this.joined = new Promise((resolve) => {
      this.#onJoined = resolve;
    });
    this.closed = new Promise((resolve) => {
      o.coordinator.listen({
        onControl: (control) => this.#onControl(control),
        onFrame: (f) => {
          throw new ProtocolError(`a worker takes no "${f.opcode}" frame from the coordinator`);
        },
        onClose: (reason) => {
          this.#leaveJob("the coordinator is gone");
          this.#cancelHeartbeat();
          resolve(reason);
        },
      });
    });
    const { name, address, backend, reducer } = o;
    const leaves = reducer === undefined || reducer.leavesMax === 0 ? {} : { leaves: reducer.leavesMax };
    o.coordinator.sendControl({ type: "worker-join", name, address, backend, ...leaves });
    this.#heartbeat();
  }

  /** Of the dense optimizer's state of the job in steps that this worker is in; 0 where it is in none. */
  get stateBytes(): number {
    return this.#job instanceof StepSession ? this.#job.stateBytes : 0;
  }

  /** Why a peer that says hello is turned away, if it is. */
  refusePeer({ role, job, id }: ControlOf<"hello">): { code: "NOT_A_MEMBER"; message: string } | undefined {
    const mine = this.#job?.job ?? this.#opening?.job;
    if (role === "leaf" && id !== undefined && job === mine && this.#leafed) return undefined;
    if (role === "peer" && id !== undefined && job !== undefined && job === mine) return undefined;
    const serves = mine === undefined ? "no job" : `job ${mine}`;
    return {
      code: "NOT_A_MEMBER",
      message: `worker ${this.#o.name} serves ${serves}, not ${job === undefined ? role : `job ${job}`}`,
    };
  }

  /** Another worker has dialed, or a gateway for a volunteer. */
  acceptPeer(hello: ControlOf<"hello">, link: Link): void {
    if (hello.role === "leaf") {
      if (this.#leafed) this.#leafed.accept({ volunteer: hello.id!, name: hello.name, link });
      else link.close("this worker has left the job");
    } else if (this.#job?.job === hello.job) this.#job!.acceptPeer(hello.id!, link);
    else if (this.#opening?.job === hello.job) this.#opening!.peers.push({ worker: hello.id!, link });
    else link.close("this worker has left the job");
  }

  /** Leaves: the coordinator sees the link close and raises the term. */
  stop(): void {
    this.#leaveJob("the worker stops");
    this.#cancelHeartbeat();
    this.#o.coordinator.close("the worker stops");
  }

  #onControl(control: Control): void {
    switch (control.type) {
      case "worker-joined":
        this.#worker = control.worker;
        this.#onJoined();
        break;
      case "assign":
        void this.#open(control);
        break;
      case "end":
        this.#o.log(`job ${control.job} is ${control.phase}${control.message ? `: ${control.message}` : ""}`);
        if (this.#job?.job === control.job || this.#opening?.job === control.job)
          this.#leaveJob(`the job is ${control.phase}`);
        break;
      case "map":
        this.#nodes?.adopt(control.map);
        break;
      case "heartbeat":
        break;
      default:
        if (!("job" in control))
          throw new ProtocolError(`a worker takes no "${control.type}" message from the coordinator`);
        if (this.#job && this.#job.job === control.job) this.#job.onCoordinator(control);
        else if (this.#opening && this.#opening.job === control.job) this.#opening.waiting.push(control);
      // else: a last word about a job that has ended
    }
  }

  async #open({ job, manifest, map }: ControlOf<"assign">): Promise<void> {
    this.#leaveJob("another job begins");
    const { coordinator, name, dialer, clock, log, sabotages } = this.#o;
    const nodes = new NodeLinks({ map, hello: { role: "worker", name, id: this.#worker, job }, dialer, clock });
    const opening: Opening = { job, waiting: [], peers: [] };
    this.#opening = opening;
    this.#nodes = nodes;
    let dataset: Dataset | undefined;
    let model: GradientModel | undefined;
    let session: StepSession | BatchSession | undefined;
    try {
      dataset = await this.#o.openDataset(manifest);
      model = this.#withLeaves(await this.#o.openModel(manifest), { job, manifest });
      await this.#reach(nodes);
      const { work } = consistencyOf(manifest.fit.consistency);
      const Session = work === "steps" ? StepSession : BatchSession;
      session = new Session({
        job,
        manifest,
        worker: this.#worker,
        name,
        dataset,
        model,
        nodes,
        coordinator: { send: (control) => coordinator.sendControl(control) },
        dialer,
        clock,
        log,
        sabotages,
      });
      this.#job = session;
      this.#opening = undefined;
      for (const { worker, link } of opening.peers) session.acceptPeer(worker, link);
      for (const control of opening.waiting) session.onCoordinator(control);
      await session.open();
    } catch (error) {
      if (!session) {
        model?.dispose();
        dataset?.close().catch(() => {});
      }
      if (this.#nodes !== nodes) return;
      const message = error instanceof Error ? error.message : String(error);
      log(`cannot open job ${job} (${manifest.name}): ${message}`);
      const code = error instanceof ClusterError ? error.code : "BAD_JOB";
      coordinator.sendControl({ type: "fail", job, code, message });
      this.#leaveJob("the job could not be opened");
    }
  }

  #withLeaves(model: GradientModel, { job, manifest }: Pick<ControlOf<"assign">, "job" | "manifest">): GradientModel {
    const { reducer, clock, coordinator, log, sabotages } = this.#o;
    if (!reducer || reducer.leavesMax === 0) return model;
    const tell = (control: Control): void => coordinator.sendControl(control);
    this.#leafed = new LeafedModel({ ...reducer, model, job, manifest, clock, tell, log, sabotages });
    return this.#leafed;
  }

  /**
   * Waits for links to the heads of partitions, as long as another may yet take the place of one that is lost.
   *
   * @throws {ClusterError} one cannot be reached, or the job has been left meanwhile
   */
  async #reach(nodes: NodeLinks): Promise<void> {
    const { clock } = this.#o;
    const giveUpAt = clock.now() + LIMITS.tableRetryMs;
    for (;;) {
      try {
        await nodes.open();
        if (this.#nodes === nodes) return;
        throw new ClusterError("JOB_STOPPED", "the job was left while it was opened");
      } catch (error) {
        const passes = error instanceof ClusterError && error.retryable;
        if (!passes || this.#nodes !== nodes || clock.now() >= giveUpAt) throw error;
      }
    }
  }

  #leaveJob(reason: string): void {
    this.#opening = undefined;
    this.#leafed = undefined;
    this.#job?.close(reason);
    this.#job = undefined;
    this.#nodes?.close(reason);
    this.#nodes = undefined;
  }

  #heartbeat(): void {
    this.#cancelHeartbeat = this.#o.clock.after(LIMITS.heartbeatEveryMs, () => {
      this.#o.coordinator.sendControl({ type: "heartbeat" });
      this.#heartbeat();
    });
  }
}
