/**
 * A volunteer's computation in its Web Worker: the fastest device, then one session after another with the gateway until
 * it is told to stop, or told that it may not return.
 *
 * What happens when a peer dies here: a lost gateway is dialled again, with growing waits and for as long as the person
 * lets it. A lost device ends it, since tfjs keeps what belonged to it; the page starts a new Web Worker then.
 */
import { ClusterError } from "@volary/core/errors";
import type { JobManifest } from "@volary/core/job";
import type {
  ChannelDialer,
  GradientModel,
  LeafEnd,
  LeafPause,
  LeafSession,
  LeafSessionOptions,
} from "@volary/core/training";
import type { Clock, Dialer } from "@volary/core/wire";
import { Backoff } from "../backoff.ts";
import type { Traffic } from "../dial.ts";
import type { ChooseOptions } from "./choose-device.ts";
import type { PageMessage, WorkerMessage } from "./messages.ts";
import type { Probe } from "./probe.ts";
import { watchedModel } from "./watched-model.ts";

/** Characters of a device's description that others are told. */
const DEVICE_CHARS_MAX = 200;

export interface LeafOptions {
  start: PageMessage & { type: "start" };
  clock: Clock;
  /** In [0, 1). */
  random: () => number;
  dialer: Dialer;
  /** What the dialer's links have carried. */
  traffic: Traffic;
  chooseDevice: (o: ChooseOptions) => Promise<Probe>;
  openModel: (manifest: JobManifest) => Promise<GradientModel>;
  openSession: (o: LeafSessionOptions) => LeafSession;
  /** Opens data channels to other volunteers, where the person allows that. */
  channels?: ChannelDialer | undefined;
  tell: (message: WorkerMessage) => void;
}

type Ended = Omit<WorkerMessage & { type: "ended" }, "type">;

export class Leaf {
  readonly #o: LeafOptions;
  #share: number;
  #pause: LeafPause | undefined;
  #session: LeafSession | undefined;
  #isStopped = false;
  /** Begins anew with each update that counts. */
  readonly #backoff: Backoff;

  constructor(o: LeafOptions) {
    this.#o = o;
    this.#share = o.start.share;
    this.#pause = o.start.pause;
    this.#backoff = new Backoff(o);
  }

  /** Resolves once nothing is computed or sent any more; never rejects. */
  async run(): Promise<void> {
    let ended: Ended;
    try {
      ended = await this.#compute();
    } catch (error) {
      ended = { code: "NO_DEVICE", reason: error instanceof Error ? error.message : String(error), ...FINAL };
    }
    this.#o.tell({ type: "ended", ...ended });
  }

  share(share: number): void {
    this.#share = share;
  }

  pause(reason: LeafPause | undefined): void {
    this.#pause = reason;
    if (reason === undefined) this.#session?.resume();
    else this.#session?.pause(reason);
  }

  hurry(): void {
    this.#backoff.hurry();
  }

  stop(): void {
    this.#isStopped = true;
    this.#session?.stop();
    this.#backoff.hurry();
  }

  async #compute(): Promise<Ended> {
    const { start, clock, chooseDevice, openModel, tell } = this.#o;
    const { manifest } = start;
    const log = (message: string) => tell({ type: "log", message });
    const { device: wanted, without } = start;
    const probe = await chooseDevice({ manifest, wanted, without, now: () => clock.now(), log, openModel });
    const { device, samples, computeMs } = probe;
    tell({ type: "device", device: device.name, description: device.description, samples, computeMs });
    let lost: string | undefined;
    const leave = (reason: string) => {
      lost ??= reason;
      this.#session?.stop();
      this.#backoff.hurry();
    };
    void device.whenLost.then(leave);
    const model = watchedModel(await openModel(manifest), { device, leave });
    try {
      while (!this.#isStopped && lost === undefined) {
        const end = await this.#takePart(model, probe);
        if (this.#isStopped || lost !== undefined) break;
        if (end.code === "DEVICE_FAILED") return { ...end, fresh: true };
        if (!end.mayReturn) return { ...end, fresh: false };
      }
    } finally {
      model.dispose();
    }
    if (lost !== undefined && !this.#isStopped)
      return { code: "DEVICE_LOST", reason: lost, mayReturn: true, fresh: true };
    return STOPPED;
  }

  /** One session, from the wait before it to its end. */
  async #takePart(model: GradientModel, { device, samples, computeMs }: Probe): Promise<LeafEnd> {
    const { start, dialer, clock, openSession, tell } = this.#o;
    await this.#backoff.wait();
    if (this.#isStopped) return STOPPED;
    tell({ type: "connecting" });
    try {
      const { session: secret, name, gateway, manifest } = start;
      const link = await dialer.dial(gateway, { role: "leaf", name, session: secret });
      if (this.#isStopped) {
        link.close("the volunteer stops");
        return STOPPED;
      }
      const session = openSession({
        link,
        manifest,
        model,
        clock,
        device: `${device.name} (${device.description})`.slice(0, DEVICE_CHARS_MAX),
        probe: { samples, computeMs },
        share: () => this.#share,
        group: this.#group(),
        events: this.#events(),
      });
      this.#session = session;
      if (this.#pause !== undefined) session.pause(this.#pause);
      tell({ type: "connected" });
      return await session.closed;
    } catch (error) {
      if (!(error instanceof ClusterError)) throw error;
      return { code: error.code, reason: error.message, mayReturn: error.retryable || error.code === "TOO_MANY" };
    } finally {
      this.#session = undefined;
    }
  }

  #group(): LeafSessionOptions["group"] {
    const { start, channels, tell } = this.#o;
    if (!start.group) return undefined;
    const { job, volunteer } = start.group;
    const onFault = (error: unknown) => tell({ type: "log", message: `a direct connection failed: ${String(error)}` });
    return { job, volunteer, dialer: channels, onFault };
  }

  #events(): NonNullable<LeafSessionOptions["events"]> {
    const { tell, traffic } = this.#o;
    return {
      onTask: ({ samples }) => tell({ type: "task", samples }),
      onComputed: ({ samples, computeMs }) => tell({ type: "computed", samples, computeMs, traffic: { ...traffic } }),
      onAccepted: ({ samples, stepSamples }) => {
        this.#backoff.reset();
        tell({ type: "accepted", samples, stepSamples });
      },
      onRefused: ({ code, message }) => tell({ type: "refused", code, message }),
      onStatus: (status) => tell({ type: "status", status, traffic: { ...traffic } }),
    };
  }
}

const FINAL = { mayReturn: false, fresh: false };
const STOPPED: Ended = { code: "STOPPED", reason: "the volunteer stopped", ...FINAL };
