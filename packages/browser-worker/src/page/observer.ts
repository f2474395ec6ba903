/**
 * One visit of an observer: a link by which the gateway tells how far the job is, and which carries nothing else.
 *
 * What happens when a peer dies here: a lost gateway, or one that is silent for too long, is dialled again, with growing
 * waits and for as long as the observer may return.
 */
import { ClusterError, ProtocolError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import type { LeafEnd } from "@volary/core/training";
import type { Clock, Control, Dialer, Link } from "@volary/core/wire";
import { Backoff } from "../backoff.ts";
import { JobHistory, NO_JOB, type JobView } from "./job-view.ts";

/** A snapshot: another object whenever something is different. */
export interface ObserverState extends JobView {
  activity: "connecting" | "watching" | "ended";
  ended: { code: string; reason: string } | undefined;
}

export interface ObserverOptions {
  gateway: string;
  session: string;
  /** For people. */
  name: string;
  dialer: Dialer;
  clock: Clock;
  /** In [0, 1). */
  random: () => number;
  /** Is told each state, the first one included. */
  onState: (state: ObserverState) => void;
}

export class Observer {
  readonly #o: ObserverOptions;
  readonly #backoff: Backoff;
  readonly #history = new JobHistory();
  #state: ObserverState = { activity: "connecting", ended: undefined, ...NO_JOB };

  constructor(o: ObserverOptions) {
    this.#o = o;
    this.#backoff = new Backoff(o);
  }

  /** Watches until it may not return; never rejects. */
  async run(): Promise<void> {
    for (;;) {
      this.#change({ activity: "connecting" });
      await this.#backoff.wait();
      const { code, reason, mayReturn } = await this.#watch();
      if (!mayReturn) return this.#change({ activity: "ended", ended: { code, reason } });
    }
  }

  /** The network came back, or the tab woke up: it dials now if it waits to. */
  hurry(): void {
    this.#backoff.hurry();
  }

  /** One link, from its dial to its end. */
  async #watch(): Promise<LeafEnd> {
    const { gateway, session, name, dialer } = this.#o;
    let link: Link;
    try {
      link = await dialer.dial(gateway, { role: "leaf", name, session });
    } catch (error) {
      const { code, message, retryable } =
        error instanceof ClusterError ? error : { code: "UNKNOWN", message: String(error), retryable: false };
      return { code, reason: message, mayReturn: retryable || code === "TOO_MANY" };
    }
    return this.#listen(link);
  }

  #listen(link: Link): Promise<LeafEnd> {
    const { clock } = this.#o;
    let end: LeafEnd | undefined;
    const isSilent = () => link.close(`nothing was heard for ${LIMITS.gatewaySilentMs / 1000} s`);
    let cancel = clock.after(LIMITS.gatewaySilentMs, isSilent);
    return new Promise((resolve) => {
      link.listen({
        onControl: (control) => {
          cancel();
          cancel = clock.after(LIMITS.gatewaySilentMs, isSilent);
          end ??= this.#hear(control, link);
          if (end) link.close("the gateway has ended this session");
        },
        onFrame: ({ opcode }) => {
          throw new ProtocolError(`an observer takes no "${opcode}" frame`);
        },
        onClose: (reason) => {
          cancel();
          resolve(end ?? { code: "COORDINATOR_UNAVAILABLE", reason, mayReturn: true });
        },
      });
    });
  }

  /** @returns why the link ends, if it does */
  #hear(control: Control, link: Link): LeafEnd | undefined {
    switch (control.type) {
      case "job-status":
        this.#backoff.reset();
        this.#change({ activity: "watching", ...this.#history.take(control.status) });
        return undefined;
      case "heartbeat":
        link.sendControl({ type: "heartbeat" }); // the gateway asks whether this end is there
        return undefined;
      case "leaf-end":
        return { code: control.code, reason: control.message, mayReturn: control.mayReturn };
      case "error":
      case "refuse":
        return { code: control.code, reason: control.message, mayReturn: false };
      default:
        throw new ProtocolError(`an observer takes no "${control.type}" message`);
    }
  }

  #change(changed: Partial<ObserverState>): void {
    this.#state = { ...this.#state, ...changed };
    this.#o.onState(this.#state);
  }
}
