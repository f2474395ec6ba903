/**
 * One visit of a volunteer, behind what the page shows: starts and stops the Web Worker that computes, and adds up what it
 * tells. Counts go on over stops, and over Web Workers that lost their device.
 */
import type { JobManifest } from "@volary/core/job";
import type { LeafPause } from "@volary/core/training";
import type { DeviceName } from "../device/device.ts";
import type { Traffic } from "../dial.ts";
import type { PageMessage, WorkerMessage } from "../worker/messages.ts";
import { JobHistory, NO_JOB, type JobView } from "./job-view.ts";

export type Activity = "idle" | "opening" | "connecting" | "waiting" | "working" | "ended";

/** A snapshot: another object whenever something is different. */
export interface VolunteerState extends JobView {
  activity: Activity;
  /** Why no task is taken, while one might be. */
  pause: LeafPause | undefined;
  device: { name: DeviceName; description: string } | undefined;
  /** Accepted updates, each a part of one step, and their samples. */
  steps: number;
  samples: number;
  /** Of the samples that the job trained since this visit began to compute, if it is known. */
  share: number | undefined;
  computeMs: number;
  traffic: Traffic;
  refused: number;
  /** Why the newest refused update was refused. */
  refusal: { code: string; message: string } | undefined;
  ended: { code: string; reason: string } | undefined;
}

/** What the page uses of a Web Worker. */
export interface LeafWorker {
  postMessage(message: PageMessage, transfer?: Transferable[]): void;
  terminate(): void;
  onmessage: ((event: { data: WorkerMessage }) => void) | null;
  onerror: ((event: { message: string }) => void) | null;
}

export interface VolunteerOptions {
  createWorker: () => LeafWorker;
  gateway: string;
  session: string;
  /** Its number, and that of its job. */
  volunteer: number;
  job: number;
  /** For people. */
  name: string;
  manifest: JobManifest;
  /** The only device that will do. */
  device?: DeviceName | undefined;
  /** Serves the page's data channels at one end of a pair of ports; undefined where the browser has none. */
  openChannels: () => { port: MessagePort; close: () => void } | undefined;
  after: (delayMs: number, run: () => void) => () => void;
  log: (message: string) => void;
}

/** A Web Worker that has not stopped by itself is ended. */
const STOP_MS = 300;
/** Losses of one device after which the tab does without it, and of all after which it gives up. */
const LOSSES_MAX = 2;
const ALL_LOSSES_MAX = 6;

const FIRST: VolunteerState = {
  activity: "idle",
  pause: undefined,
  device: undefined,
  steps: 0,
  samples: 0,
  share: undefined,
  computeMs: 0,
  traffic: { sent: 0, received: 0 },
  refused: 0,
  refusal: undefined,
  ended: undefined,
  ...NO_JOB,
};

export class Volunteer {
  readonly #o: VolunteerOptions;
  #state = FIRST;
  #listeners = new Set<() => void>();
  #worker: LeafWorker | undefined;
  #share = 1;
  #mayConnect = false;
  #closeChannels: () => void = () => {};
  readonly #history = new JobHistory();
  /** What Web Workers that have ended had carried. */
  #trafficBefore: Traffic = { sent: 0, received: 0 };
  /** The job's samples when this visit first heard of them. */
  #samplesBefore: number | undefined;
  readonly #losses: DeviceName[] = [];

  constructor(o: VolunteerOptions) {
    this.#o = o;
  }

  get state(): VolunteerState {
    return this.#state;
  }

  /** @returns what ends it */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  start(): void {
    if (this.#worker) return;
    const { gateway, session, name, manifest, device } = this.#o;
    const worker = this.#o.createWorker();
    this.#worker = worker;
    worker.onmessage = ({ data }) => this.#worker === worker && this.#hear(data);
    worker.onerror = ({ message }) =>
      this.#worker === worker && this.#hear({ type: "ended", code: "NO_DEVICE", reason: message, ...FINAL });
    const without = this.#losses.filter((each, i) => this.#losses.indexOf(each) === i && this.#isSpent(each));
    const { pause } = this.#state;
    const share = this.#share;
    const group = this.#mayConnect ? this.#openGroup() : undefined;
    const start = { gateway, session, name, manifest, device, without, share, pause, group };
    worker.postMessage({ type: "start", ...start }, group?.port ? [group.port] : []);
    this.#change({ activity: "opening", ended: undefined });
  }

  /** Nothing is computed or sent after a moment; what was given stays given. */
  stop(): void {
    const worker = this.#worker;
    if (!worker) return;
    this.#leave("idle");
    const terminate = () => {
      cancel();
      worker.terminate();
    };
    const cancel = this.#o.after(STOP_MS, terminate);
    worker.onmessage = ({ data }) => data.type === "ended" && terminate();
    worker.postMessage({ type: "stop" });
  }

  /** @param share of the time, in (0, 1] */
  setShare(share: number): void {
    this.#share = share;
    this.#worker?.postMessage({ type: "share", share });
  }

  /** Takes a new Web Worker where one computes: what others know of its address, the old one cannot take back. */
  setMayConnect(mayConnect: boolean): void {
    if (mayConnect === this.#mayConnect) return;
    this.#mayConnect = mayConnect;
    if (!this.#worker) return;
    this.stop();
    this.start();
  }

  setPause(reason: LeafPause | undefined): void {
    if (reason === this.#state.pause) return;
    this.#worker?.postMessage({ type: "pause", reason });
    this.#change({ pause: reason });
  }

  hurry(): void {
    this.#worker?.postMessage({ type: "hurry" });
  }

  #hear(message: WorkerMessage): void {
    const { state } = this;
    switch (message.type) {
      case "device":
        return this.#change({ device: { name: message.device, description: message.description } });
      case "connecting":
        return this.#change({ activity: "connecting" });
      case "connected":
        return this.#change({ activity: "waiting" });
      case "task":
        return this.#change({ activity: "working" });
      case "computed":
        return this.#change({ computeMs: state.computeMs + message.computeMs, ...this.#traffic(message) });
      case "accepted":
        return this.#change({ steps: state.steps + 1, ...this.#samples(state.samples + message.samples) });
      case "refused":
        return this.#change({ refused: state.refused + 1, refusal: message });
      case "status":
        return this.#hearStatus(message);
      case "log":
        return this.#o.log(message.message);
      case "ended":
        return this.#hearEnd(message);
      default:
        message satisfies never;
    }
  }

  #hearStatus(message: WorkerMessage & { type: "status" }): void {
    const { status } = message;
    this.#samplesBefore ??= status.samples;
    this.#change({ ...this.#history.take(status), ...this.#traffic(message) });
    this.#change(this.#samples(this.state.samples));
  }

  #hearEnd({ code, reason, fresh }: WorkerMessage & { type: "ended" }): void {
    const name = this.state.device?.name;
    this.#worker!.terminate();
    this.#leave("ended");
    if (fresh && name !== undefined && this.#losses.push(name) < ALL_LOSSES_MAX) {
      this.#o.log(`starting again: ${reason}`);
      this.start();
    } else this.#change({ ended: { code, reason } });
  }

  #isSpent(name: DeviceName): boolean {
    return this.#losses.filter((each) => each === name).length >= LOSSES_MAX;
  }

  #openGroup(): NonNullable<(PageMessage & { type: "start" })["group"]> {
    const { volunteer, job, openChannels } = this.#o;
    const channels = openChannels();
    this.#closeChannels = () => channels?.close();
    return { volunteer, job, port: channels?.port };
  }

  #leave(activity: "idle" | "ended"): void {
    this.#worker = undefined;
    this.#closeChannels();
    this.#closeChannels = () => {};
    this.#trafficBefore = this.state.traffic;
    this.#change({ activity });
  }

  #traffic({ traffic }: { traffic: Traffic }): Pick<VolunteerState, "traffic"> {
    const { sent, received } = this.#trafficBefore;
    return { traffic: { sent: sent + traffic.sent, received: received + traffic.received } };
  }

  #samples(samples: number): Pick<VolunteerState, "samples" | "share"> {
    const { job } = this.state;
    if (!job || this.#samplesBefore === undefined) return { samples, share: undefined };
    const all = Math.max(job.samples - this.#samplesBefore, samples);
    return { samples, share: all > 0 ? samples / all : undefined };
  }

  #change(changed: Partial<VolunteerState>): void {
    this.#state = { ...this.#state, ...changed };
    for (const listener of this.#listeners) listener();
  }
}

const FINAL = { mayReturn: false, fresh: false };
