/**
 * A worker's links to the other workers of its job. What is sent before a link is up waits for it; the younger
 * worker dials the older one, so there is one WebSocket per pair.
 */
import { retry } from "../../client/index.ts";
import { ClusterError } from "../../errors.ts";
import { LIMITS } from "../../limits.ts";
import {
  copyOfFrame,
  type Clock,
  type Control,
  type Dialer,
  type Frame,
  type Link,
  type Member,
} from "../../wire/index.ts";

export interface PeerEvents {
  onControl(worker: number, control: Control): void;
  onFrame(worker: number, frame: Frame): void;
  /** The link to a member of the current term is gone, or cannot be opened. */
  onLost(worker: number, reason: string): void;
}

type Outgoing = { control: Control } | { frame: Frame };

export class PeerLinks {
  readonly #worker: number;
  readonly #job: number;
  readonly #name: string;
  readonly #dialer: Dialer;
  readonly #clock: Clock;
  readonly #events: PeerEvents;
  readonly #links = new Map<number, Link>();
  readonly #dialing = new Set<number>();
  readonly #waiting = new Map<number, Outgoing[]>();
  #members: ReadonlySet<number> = new Set();
  #closed = false;

  constructor(o: { worker: number; job: number; name: string; dialer: Dialer; clock: Clock; events: PeerEvents }) {
    this.#worker = o.worker;
    this.#job = o.job;
    this.#name = o.name;
    this.#dialer = o.dialer;
    this.#clock = o.clock;
    this.#events = o.events;
  }

  /** The members of a new term: links to others are closed, missing ones are dialed. */
  meet(members: readonly Member[]): void {
    this.#members = new Set(members.map((m) => m.worker));
    for (const [worker, link] of this.#links) {
      if (this.#members.has(worker)) continue;
      this.#links.delete(worker);
      link.close("not a member of the new term");
    }
    for (const worker of this.#waiting.keys()) if (!this.#members.has(worker)) this.#waiting.delete(worker);
    for (const { worker, address } of members) {
      if (worker < this.#worker && !this.#links.has(worker) && !this.#dialing.has(worker))
        void this.#dial(worker, address);
    }
  }

  /** A younger worker has dialed. */
  accept(worker: number, link: Link): void {
    if (this.#closed) link.close("this worker has left the job");
    else this.#adopt(worker, link);
  }

  sendControl(worker: number, control: Control): void {
    const link = this.#links.get(worker);
    if (link) link.sendControl(control);
    else this.#wait(worker, { control });
  }

  /** @param onSent as a link calls it: from then on what a lent frame lent may change */
  sendFrame(worker: number, frame: Frame, onSent?: () => void): void {
    const link = this.#links.get(worker);
    if (link) return link.sendFrame(frame, onSent);
    this.#wait(worker, { frame: copyOfFrame(frame) }); // a link copies what it sends, too
    onSent?.();
  }

  close(): void {
    this.#closed = true;
    for (const link of this.#links.values()) link.close("the job is over");
    this.#links.clear();
    this.#waiting.clear();
  }

  #wait(worker: number, message: Outgoing): void {
    const waiting = this.#waiting.get(worker) ?? [];
    if (waiting.length >= LIMITS.earlyFramesMax) {
      throw new ClusterError(
        "LIMIT_EXCEEDED",
        `over ${LIMITS.earlyFramesMax} messages wait for the link to worker ${worker}`,
      );
    }
    waiting.push(message);
    this.#waiting.set(worker, waiting);
  }

  async #dial(worker: number, address: string): Promise<void> {
    this.#dialing.add(worker);
    try {
      // A worker that does not answer may be dead: then the coordinator will say so, and a new term begins.
      const link = await retry({
        clock: this.#clock,
        attempt: () => this.#dialer.dial(address, { role: "peer", name: this.#name, id: this.#worker, job: this.#job }),
      });
      this.accept(worker, link);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!this.#closed && this.#members.has(worker))
        this.#events.onLost(worker, `cannot reach worker ${worker}: ${reason}`);
    } finally {
      this.#dialing.delete(worker);
    }
  }

  #adopt(worker: number, link: Link): void {
    this.#links.get(worker)?.close("replaced by a newer link");
    this.#links.set(worker, link);
    link.listen({
      onControl: (control) => this.#events.onControl(worker, control),
      onFrame: (frame) => this.#events.onFrame(worker, frame),
      onClose: (reason) => {
        if (this.#links.get(worker) !== link) return;
        this.#links.delete(worker);
        if (!this.#closed && this.#members.has(worker))
          this.#events.onLost(worker, `link to worker ${worker} closed: ${reason}`);
      },
    });
    const waiting = this.#waiting.get(worker) ?? [];
    this.#waiting.delete(worker);
    for (const message of waiting) {
      if ("control" in message) link.sendControl(message.control);
      else link.sendFrame(message.frame);
    }
  }
}
