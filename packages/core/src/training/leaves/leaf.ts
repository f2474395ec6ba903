/**
 * One volunteer, as its reducer sees it: what it was given, what it has sent, and what became of that. A volunteer has
 * one task at a time, and only after it asked.
 *
 * What happens when a peer dies here: a task of a volunteer that is gone comes to nothing at once.
 */
import { ClusterError, ProtocolError } from "../../errors.ts";
import type { Clock, Control, ControlOf, Frame, LeafStatus, Link, Message } from "../../wire/index.ts";
import type { StepInput } from "../job/gradient-model.ts";
import { DistinctRows } from "./distinct-rows.ts";
import { taskFrames, valuesFrame, valuesOfFrame, type LeafForms } from "./leaf-frames.ts";
import { LeafPace } from "./leaf-pace.ts";
import type { LeafRecord } from "./leaf-record.ts";
import { atMost, NOTHING, rowGradsOf, type LeafUpdate, type UpdateFloats } from "./leaf-update.ts";

/** Dense weights, and which of those that there have been: a volunteer is sent them when it has others. */
export interface DenseVersion {
  readonly version: number;
  readonly weights: Float32Array;
}

interface HowGiven {
  readonly dense: DenseVersion;
  /** Is a round of its group called for the task? */
  readonly inGroup: boolean;
}

interface Task {
  readonly task: number;
  readonly samples: number;
  readonly distinct: DistinctRows;
  readonly givenAt: number;
  /** Is it still waited for? */
  open: boolean;
  /** Does nothing depend on it? */
  readonly trial: boolean;
  readonly settle: (update: LeafUpdate | undefined) => void;
  /** Of a task of a group: it is computed, and from then on it is for the group to give it up. */
  readonly hold?: (() => void) | undefined;
  /** Milliseconds since it was given, when its row gradients came. */
  computedMs?: number;
  /** Of each distinct row. */
  rowSums?: Float32Array;
  denseGrads?: Float32Array;
}

export interface LeafOptions {
  volunteer: number;
  name: string;
  link: Link;
  forms: LeafForms;
  floats: UpdateFloats;
  clock: Clock;
  /** Of this volunteer, over all its links. */
  record: LeafRecord;
  /** What the reducer's own part of a step takes, for the first share. */
  stepMs: () => number;
  /** Sabotaged: what comes late counts for the next task. */
  takesLate?: boolean;
  onLate: (leaf: Leaf, task: number) => void;
  /** What it says to a group. */
  onGroup: (message: { control: ControlOf<"leaf-signal"> } | { frame: Frame }) => void;
  onGone: (leaf: Leaf) => void;
}

export class Leaf {
  readonly volunteer: number;
  readonly name: string;
  readonly #o: LeafOptions;
  #device = "";
  #pace: LeafPace | undefined;
  #ready = false;
  #trials = 0;
  #paused = false;
  #task: Task | undefined;
  #denseVersion = -1;
  #gone = false;
  #samples = 0;
  #accepted = 0;
  #late = 0;
  readonly #refused: Record<string, number> = {};
  /** Milliseconds that its accepted tasks took. */
  #busyMs = 0;

  constructor(o: LeafOptions) {
    this.#o = o;
    this.volunteer = o.volunteer;
    this.name = plain(o.name);
    o.link.listen({
      onControl: (control) => this.#onControl(control),
      onFrame: (f) => this.#onFrame(f),
      onClose: () => this.#leave(),
    });
  }

  /** Once it has joined. */
  get pace(): LeafPace {
    if (!this.#pace) throw new ClusterError("PROTOCOL_VIOLATION", `volunteer ${this.volunteer} has not joined yet`);
    return this.#pace;
  }

  /**
   * Is a trial its next task? A device compiles at first; and how long a volunteer takes is seen before a step waits for it.
   */
  get isOnTrial(): boolean {
    return this.#trials > 0;
  }

  /** Does it wait for a task? */
  get isReady(): boolean {
    return this.#ready && this.#task === undefined && !this.#gone;
  }

  /** What is remembered of its volunteer. */
  get record(): LeafRecord {
    return this.#o.record;
  }

  status(): LeafStatus {
    const { volunteer, name } = this;
    const state = !this.#pace ? "joining" : this.#task ? "working" : this.#paused ? "paused" : "ready";
    const samplesPerSecond = this.#busyMs === 0 ? 0 : (1000 * this.#samples) / this.#busyMs;
    const counts = {
      samples: this.#samples,
      accepted: this.#accepted,
      late: this.#late,
      refused: { ...this.#refused },
    };
    return { volunteer, name, device: this.#device, state, ...counts, samplesPerSecond };
  }

  /**
   * Gives a task that is waited for until its deadline, and in a group, once it is computed, until {@link giveUp}.
   *
   * @returns what came of it; undefined where nothing came in time
   */
  give(task: number, at: StepInput, { dense, inGroup }: HowGiven): Promise<LeafUpdate | undefined> {
    return new Promise((resolve) => {
      const cancel = this.#o.clock.after(this.pace.deadlineMs, () => this.#giveUp());
      const settle = (update: LeafUpdate | undefined): void => {
        cancel();
        resolve(update);
      };
      this.#begin({ task, at, dense }, { open: true, trial: false, settle, hold: inGroup ? cancel : undefined });
    });
  }

  /** Gives a task for which nobody waits, and of which nothing is taken: the reducer computes those samples, too. */
  tryOut(task: number, at: StepInput, dense: DenseVersion): void {
    this.#begin({ task, at, dense }, { open: false, trial: true, settle: () => {}, hold: undefined });
  }

  #begin(
    { task, at, dense }: { task: number; at: StepInput; dense: DenseVersion },
    how: Pick<Task, "open" | "trial" | "settle" | "hold">,
  ): void {
    const { link, clock, forms, floats } = this.#o;
    const { samples, globalSamples, step = 0, weight } = at;
    const distinct = DistinctRows.of(at, floats.rows);
    this.#ready = false;
    this.#task = { task, samples, distinct, givenAt: clock.now(), ...how };
    if (this.#denseVersion !== dense.version) {
      this.#denseVersion = dense.version;
      link.sendFrame(valuesFrame("leafDense", task, dense.weights, "float32"));
    }
    for (const f of taskFrames(task, at, distinct, forms)) link.sendFrame(f);
    link.sendControl({ type: "leaf-task", task, step, samples, globalSamples, weighted: weight !== undefined });
  }

  /** A task is not waited for any more. */
  giveUp(task: number): void {
    if (this.#task?.task === task) this.#giveUp();
  }

  /** Its update is in the gradients of a step that is committed. */
  accept({ task, step, samples, ms, stepSamples }: Accepted): void {
    this.#accepted++;
    this.#samples += samples;
    this.#busyMs += ms;
    this.#send({ type: "leaf-accepted", task, step, samples, stepSamples });
  }

  refuse(task: number, { code, message }: { code: string; message: string }): void {
    this.#refused[code] = (this.#refused[code] ?? 0) + 1;
    this.#send({ type: "leaf-refused", task, code, message });
  }

  /** What another member of its group says, or the reducer about that. */
  send(message: Message): void {
    if (this.#gone) return;
    if ("control" in message) this.#o.link.sendControl(message.control);
    else this.#o.link.sendFrame(message.frame);
  }

  end(of: { code: string; message: string; mayReturn: boolean }): void {
    this.#send({ type: "leaf-end", ...of });
    this.#o.link.close(of.message);
    this.#leave();
  }

  #onControl(control: Control): void {
    switch (control.type) {
      case "leaf-join":
        this.#device = plain(control.device);
        this.#pace = this.record.pace ??= new LeafPace(control, { stepMs: this.#o.stepMs() });
        this.#trials = this.#pace.usualMs === undefined ? 2 : 1;
        break;
      case "leaf-ready":
        if (!this.#pace) throw new ProtocolError(`volunteer ${this.volunteer} is ready before it has joined`);
        this.#ready = true;
        this.#paused = false;
        break;
      case "leaf-pause":
        this.#ready = false;
        this.#paused = true;
        break;
      case "leaf-update":
        this.#onUpdate(control);
        break;
      case "leaf-signal":
        this.#o.onGroup({ control });
        break;
      case "heartbeat":
        break;
      default:
        throw new ProtocolError(`a reducer takes no "${control.type}" message from a volunteer`);
    }
  }

  /** Of more floats than a task has room for no more is kept than shows that there are too many. */
  #onFrame(f: Frame): void {
    if (f.opcode === "reduce") return this.#o.onGroup({ frame: f });
    const task = this.#task;
    if (!task || (f.requestId !== task.task && !this.#o.takesLate))
      throw new ProtocolError(
        `volunteer ${this.volunteer} sent gradients of task ${f.requestId}, which it does not have`,
      );
    if (f.opcode === "leafRowGradients") {
      task.rowSums = atMost(task.distinct.floats + 1, valuesOfFrame(f));
      task.computedMs = this.#o.clock.now() - task.givenAt;
      task.hold?.();
    } else if (f.opcode === "leafDenseGradients") task.denseGrads = atMost(this.#o.floats.dense + 1, valuesOfFrame(f));
    else throw new ProtocolError(`a reducer takes no "${f.opcode}" frame from a volunteer`);
  }

  #onUpdate({ task: id, lossSum }: ControlOf<"leaf-update">): void {
    const task = this.#task;
    if (!task || (task.task !== id && !this.#o.takesLate))
      throw new ProtocolError(`volunteer ${this.volunteer} sent an update of task ${id}, which it does not have`);
    this.#task = undefined;
    const { denseGrads = NOTHING } = task;
    const ms = (task.hold && task.computedMs) ?? this.#o.clock.now() - task.givenAt;
    if (task.open) return task.settle({ ...rowGradsOf(task), denseGrads, lossSum, ms });
    const stepMs = this.#o.stepMs();
    if (task.trial) {
      this.#trials--;
      if (this.pace.usualMs === undefined && !this.isOnTrial)
        this.#pace!.note({ samples: task.samples, ms, waitedMs: 0, stepMs });
      return;
    }
    this.#late++;
    this.#pace!.note({ samples: task.samples, ms, waitedMs: ms - stepMs, stepMs });
    this.#o.onLate(this, id);
  }

  /** What comes of the task from now on is too late; until it comes there is no other one. */
  #giveUp(): void {
    const task = this.#task;
    if (!task?.open) return;
    task.open = false;
    task.settle(undefined);
    if (!this.#o.takesLate || this.#gone) return;
    this.#task = undefined;
    this.#ready = true;
  }

  #leave(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#noteHeld();
    this.#giveUp();
    this.#o.onGone(this);
  }

  /** A task that it leaves with has taken at least so long: leaving is no way to hold steps up for nothing. */
  #noteHeld(): void {
    if (!this.#task || (this.#task.hold && this.#task.computedMs !== undefined)) return;
    const { samples, givenAt } = this.#task;
    const [ms, stepMs] = [this.#o.clock.now() - givenAt, this.#o.stepMs()];
    if (ms > stepMs) this.pace.note({ samples, ms, waitedMs: ms - stepMs, stepMs });
  }

  #send(control: Control): void {
    if (!this.#gone) this.#o.link.sendControl(control);
  }
}

/** An update that counts. */
export interface Accepted {
  task: number;
  step: number;
  samples: number;
  stepSamples: number;
  ms: number;
}

/** What a volunteer says of itself is printed on terminals: nothing of it commands one. */
function plain(text: string): string {
  return text.replaceAll(/\p{C}/gu, "\ufffd");
}
