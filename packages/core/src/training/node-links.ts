/**
 * A worker's links to the PS nodes of its job. A link that closes is dialed again, because the node may well be
 * alive; whether it is, the coordinator decides.
 */
import { retry } from "../client/index.ts";
import { KeyNames, type Clock, type Control, type Dialer, type Frame, type Hello, type Link } from "../wire/index.ts";

export interface NodeEvents {
  onControl(node: number, control: Control): void;
  onFrame(node: number, frame: Frame): void;
  /** The link closed: what was sent over it may be lost. */
  onDown(node: number, link: Link, reason: string): void;
  /** A new link is up. */
  onUp(node: number): void;
}

export class NodeLinks {
  readonly #addresses: ReadonlyMap<number, string>;
  readonly #hello: Hello;
  readonly #dialer: Dialer;
  readonly #clock: Clock;
  readonly #links = new Map<number, Link>();
  /** Of each node's newest link. */
  readonly #names = new Map<number, KeyNames>();
  #events: NodeEvents | undefined;
  #closed = false;

  /** @param addresses of the job's PS nodes */
  constructor(o: { addresses: ReadonlyMap<number, string>; hello: Hello; dialer: Dialer; clock: Clock }) {
    this.#addresses = o.addresses;
    this.#hello = o.hello;
    this.#dialer = o.dialer;
    this.#clock = o.clock;
  }

  /** Ids, ascending. */
  get ids(): number[] {
    return [...this.#addresses.keys()].sort((a, b) => a - b);
  }

  /** Dials every node. @throws {ClusterError} one of them cannot be reached, or refuses */
  async open(): Promise<void> {
    await Promise.all(this.ids.map((node) => this.#dial(node)));
  }

  listen(events: NodeEvents): void {
    this.#events = events;
    for (const [node, link] of this.#links) this.#attach(node, link);
  }

  /** The newest link to a node; what is sent over one that has closed is lost. */
  get(node: number): Link {
    return this.#links.get(node)!;
  }

  /** Sends a frame, its keys by name where the node has them already. */
  sendKeyed(node: number, frame: Frame): void {
    this.get(node).sendFrame(this.#names.get(node)!.shorten(frame));
  }

  /** A node does not know the keys of this name: they are sent whole the next time. */
  forgetKeys(node: number, keyList: Uint8Array): void {
    this.#names.get(node)!.forget(keyList);
  }

  close(reason: string): void {
    this.#closed = true;
    for (const link of this.#links.values()) link.close(reason);
  }

  async #dial(node: number): Promise<void> {
    const link = await retry({
      clock: this.#clock,
      attempt: () => this.#dialer.dial(this.#addresses.get(node)!, this.#hello),
    });
    if (this.#closed) link.close("the job is over");
    this.#links.set(node, link);
    this.#names.set(node, new KeyNames());
    if (this.#events) this.#attach(node, link);
  }

  #attach(node: number, link: Link): void {
    link.listen({
      onControl: (control) => this.#events!.onControl(node, control),
      onFrame: (frame) => this.#events!.onFrame(node, frame),
      onClose: (reason) => {
        if (this.#closed) return;
        this.#events!.onDown(node, link, reason);
        this.#dial(node).then(
          () => this.#events!.onUp(node),
          () => {}, // the node is gone; the coordinator says what becomes of the job
        );
      },
    });
  }
}
