/**
 * A volunteer's part: takes tasks from its reducer through a gateway, computes them one at a time, and sends gradients
 * back. It holds nothing that anyone else needs, so it may stop between any two lines.
 *
 * What happens when a peer dies here: a lost gateway or reducer ends the session, and its owner opens another one.
 */
import { ProtocolError } from "../../errors.ts";
import type { JobManifest } from "../../job/index.ts";
import type { Clock, Control, ControlOf, Frame, JobStatus, Link } from "../../wire/index.ts";
import type { GradientModel } from "../job/gradient-model.ts";
import { LeafGroup, type LeafGroupOptions } from "./group/leaf-group.ts";
import {
  inputOfTask,
  leafForms,
  rowNumbersOfFrame,
  sampleFloats,
  valuesFrame,
  valuesOfFrame,
  type LeafForms,
  type SampleFloats,
  type TaskValues,
} from "./leaf-frames.ts";

/** Why a volunteer takes no task for now. */
export type LeafPause = "asked" | "hidden" | "battery" | "data" | "limits";

export interface LeafSessionOptions {
  /** To a gateway, which has let the session in. */
  link: Link;
  manifest: JobManifest;
  /** Closed by its owner. */
  model: GradientModel;
  clock: Clock;
  /** For people: what computes here. */
  device: string;
  /** What one real step of so many samples took. */
  probe: { samples: number; computeMs: number };
  /** Of the time, in (0, 1]; asked before each task: after one that took t ms it rests for t / share − t. */
  share: () => number;
  /** Takes part in the reducer's group, if that has one: its owner allows that others in it learn the address. */
  group?: (LeafGroupOptions & { job: number }) | undefined;
  events?: Partial<LeafEvents>;
}

export interface LeafEvents {
  /** A task begins. */
  onTask(task: { task: number; step: number; samples: number }): void;
  /** An update was sent. */
  onComputed(task: { task: number; samples: number; computeMs: number; loss: number }): void;
  /** It counts: it is in the gradients of `step`, with so many of its samples. */
  onAccepted(task: { task: number; step: number; samples: number; stepSamples: number }): void;
  onRefused(task: { task: number; code: string; message: string }): void;
  /** How far the job is, about once a second. */
  onStatus(status: JobStatus): void;
}

/** Why a session has ended. */
export interface LeafEnd {
  code: string;
  reason: string;
  /** May another session be opened at once, with the same secret? */
  mayReturn: boolean;
}

export interface LeafSession {
  readonly closed: Promise<LeafEnd>;
  /** No task after the one under way, until {@link resume}. */
  pause(reason: LeafPause): void;
  resume(): void;
  /** Ends at once: what is being computed is thrown away, and nothing is sent any more. */
  stop(): void;
}

/** Joins the reducer behind the gateway, and works until it is stopped or the link ends. */
export function openLeafSession(o: LeafSessionOptions): LeafSession {
  return new RunningLeaf(o);
}

/** What has come of a task, before the message that says so. */
interface Arriving extends Partial<TaskValues> {
  readonly task: number;
}

class RunningLeaf implements LeafSession {
  readonly closed: Promise<LeafEnd>;
  readonly #o: LeafSessionOptions;
  readonly #floats: SampleFloats;
  readonly #forms: LeafForms;
  readonly #group: LeafGroup | undefined;
  #arriving: Arriving = { task: -1 };
  #end: LeafEnd | undefined;
  #paused = false;
  #working = false;
  #stopped = false;
  #cancelRest: () => void = () => {};

  constructor(o: LeafSessionOptions) {
    const { link, manifest, device, probe } = o;
    this.#o = o;
    this.#floats = sampleFloats(manifest.model);
    this.#forms = leafForms(manifest);
    this.closed = new Promise((resolve) => {
      link.listen({
        onControl: (control) => this.#onControl(control),
        onFrame: (f) => this.#onFrame(f),
        onClose: (reason) => {
          this.#stopped = true;
          this.#cancelRest();
          this.#group?.close();
          resolve(this.#end ?? { code: "NO_REDUCER", reason, mayReturn: true });
        },
      });
    });
    link.sendControl({ type: "leaf-join", device: device.slice(0, DEVICE_CHARS_MAX), ...probe });
    this.#group = o.group && new LeafGroup({ ...o.group, clock: o.clock, link });
    this.#askForTask();
  }

  pause(reason: LeafPause): void {
    if (this.#paused || this.#stopped) return;
    this.#paused = true;
    this.#cancelRest();
    this.#o.link.sendControl({ type: "leaf-pause", reason });
  }

  resume(): void {
    if (!this.#paused || this.#stopped) return;
    this.#paused = false;
    if (!this.#working) this.#askForTask();
  }

  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#end = { code: "JOB_STOPPED", reason: "stopped here", mayReturn: true };
    this.#cancelRest();
    this.#group?.close();
    this.#o.link.close("the volunteer stops");
  }

  #askForTask(): void {
    this.#o.link.sendControl({ type: "leaf-ready" });
  }

  #onFrame(f: Frame): void {
    if (f.opcode === "reduce") return this.#group?.takeFrame(f);
    const { requestId: task } = f;
    if (this.#arriving.task !== task) this.#arriving = { task };
    switch (f.opcode) {
      case "leafDense":
        this.#o.model.setDense(valuesOfFrame(f));
        break;
      case "leafRows":
        this.#arriving = { ...this.#arriving, rows: valuesOfFrame(f) };
        break;
      case "leafRowNumbers":
        this.#arriving = { ...this.#arriving, rowNumbers: rowNumbersOfFrame(f) };
        break;
      case "leafInputs":
        this.#arriving = { ...this.#arriving, inputs: valuesOfFrame(f) };
        break;
      default:
        throw new ProtocolError(`a volunteer takes no "${f.opcode}" frame`);
    }
  }

  #onControl(control: Control): void {
    const { events = {} } = this.#o;
    switch (control.type) {
      case "leaf-task":
        void this.#work(control).catch((error: unknown) => this.#fail(error));
        break;
      case "leaf-accepted":
        events.onAccepted?.(control);
        break;
      case "leaf-refused":
        events.onRefused?.(control);
        break;
      case "leaf-end":
        this.#end = { code: control.code, reason: control.message, mayReturn: control.mayReturn };
        this.#o.link.close("the reducer has ended this session");
        break;
      case "job-status":
        events.onStatus?.(control.status);
        break;
      case "error":
      case "refuse":
        this.#end = { code: control.code, reason: control.message, mayReturn: false };
        break;
      case "leaf-group":
        this.#group?.takeCall(control);
        break;
      case "leaf-signal":
        this.#group?.takeSignal(control);
        break;
      case "heartbeat":
        this.#o.link.sendControl({ type: "heartbeat" }); // the gateway asks whether this end is there
        break;
      default:
        throw new ProtocolError(`a volunteer takes no "${control.type}" message`);
    }
  }

  async #work({ task, step, samples, globalSamples, weighted }: ControlOf<"leaf-task">): Promise<void> {
    const { model, clock, link, events = {} } = this.#o;
    const { rows, rowNumbers, inputs } = this.#arriving;
    if (this.#arriving.task !== task || !rows || !rowNumbers || !inputs)
      throw new ProtocolError(`task ${task} came without its samples`);
    this.#arriving = { task: -1 };
    this.#working = true;
    events.onTask?.({ task, step, samples });
    const of = { samples, globalSamples, weighted, floats: this.#floats };
    const { input, distinct } = inputOfTask({ rows, rowNumbers, inputs }, of);
    const begunMs = clock.now();
    const { rowGrads, denseGrads, lossSum } = await model.step(input);
    if (this.#stopped) return;
    const computeMs = clock.now() - begunMs;
    link.sendFrame(valuesFrame("leafRowGradients", task, distinct.sums(rowGrads), this.#forms.gradients));
    const isSummed = this.#group ? await this.#group.bring(task, denseGrads) : false;
    if (this.#stopped) return;
    if (!isSummed) link.sendFrame(valuesFrame("leafDenseGradients", task, denseGrads, this.#forms.dense));
    this.#working = false;
    this.#rest(computeMs); // asked for before the update is told, the next task may be of the very next step
    link.sendControl({ type: "leaf-update", task, lossSum, computeMs });
    events.onComputed?.({ task, samples, computeMs, loss: lossSum / samples });
  }

  /** So that of all the time no more than its share is spent on tasks. */
  #rest(computeMs: number): void {
    const restMs = computeMs / Math.min(1, Math.max(0.01, this.#o.share())) - computeMs;
    if (this.#paused) return;
    if (restMs < 1) this.#askForTask();
    else this.#cancelRest = this.#o.clock.after(restMs, () => this.#askForTask());
  }

  /** The device is lost, or out of memory: what was computed is thrown away. */
  #fail(error: unknown): void {
    if (this.#stopped) return;
    const reason = error instanceof Error ? error.message : String(error);
    this.#end = { code: "DEVICE_FAILED", reason, mayReturn: true };
    this.#o.link.close("the volunteer's device failed");
  }
}

const DEVICE_CHARS_MAX = 500;
