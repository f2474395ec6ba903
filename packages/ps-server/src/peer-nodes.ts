/**
 * Links to the PS nodes that are behind this one in its chains. A link that closes is dialed again for as long as the
 * partition map has the node; what is sent meanwhile is lost, and repeated once the link is up.
 */
import { ClusterError, ProtocolError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import type { PartitionMap } from "@volary/core/partition";
import type { Clock, Dialer, Frame, Link } from "@volary/core/wire";

export interface PeerNodesOptions {
  name: string;
  clock: Clock;
  dialer: Dialer;
  onFrame: (node: number, frame: Frame) => void;
  onUp: (node: number) => void;
  onDown: (node: number) => void;
}

export class PeerNodes {
  readonly #o: PeerNodesOptions;
  /** This node's number. */
  #node = 0;
  #addresses = new Map<number, string>();
  #wanted: ReadonlySet<number> = new Set();
  readonly #links = new Map<number, Link>();
  /** Nodes that are being dialed, and the number of this node under which they are. */
  readonly #dialing = new Map<number, number>();
  #closed = false;

  constructor(o: PeerNodesOptions) {
    this.#o = o;
  }

  /** The node has a number, and no one behind it yet. */
  begin(node: number): void {
    for (const link of this.#links.values()) link.close("this node joined anew");
    this.#links.clear();
    this.#wanted = new Set();
    this.#node = node;
  }

  /** Dials those behind this node, and lets go of who is not behind it any more. */
  adopt(map: PartitionMap, followers: readonly number[]): void {
    this.#addresses = new Map(map.nodes.map(({ node, address }) => [node, address]));
    this.#wanted = new Set(followers.filter((node) => this.#addresses.has(node)));
    for (const [node, link] of this.#links) {
      if (this.#addresses.has(node)) continue;
      this.#links.delete(node);
      link.close("that node has left");
      this.#o.onDown(node);
    }
    for (const node of this.#wanted) this.#dial(node);
  }

  /** Lost where no link is up. */
  send(node: number, frame: Frame): void {
    const link = this.#links.get(node);
    try {
      link?.sendFrame(frame);
    } catch (error) {
      link!.close(error instanceof Error ? error.message : String(error));
    }
  }

  close(reason: string): void {
    this.#closed = true;
    for (const link of this.#links.values()) link.close(reason);
    this.#links.clear();
  }

  #dial(node: number): void {
    const as = this.#node;
    if (this.#links.has(node) || this.#dialing.get(node) === as) return;
    this.#dialing.set(node, as);
    void this.#dialOn(node, as).finally(() => {
      if (this.#dialing.get(node) === as) this.#dialing.delete(node);
    });
  }

  async #dialOn(node: number, as: number): Promise<void> {
    const { clock, dialer, name } = this.#o;
    const mayGoOn = () => !this.#closed && this.#node === as && this.#wanted.has(node) && this.#addresses.has(node);
    for (let waitMs: number = LIMITS.peerBackoffMs; mayGoOn(); waitMs = Math.min(2 * waitMs, LIMITS.peerBackoffMaxMs)) {
      try {
        const link = await dialer.dial(this.#addresses.get(node)!, { role: "ps", name, id: as });
        if (mayGoOn()) this.#attach(node, link);
        else link.close("this node needs no link any more");
        return;
      } catch (error) {
        if (!(error instanceof ClusterError)) throw error;
      }
      await new Promise<void>((resolve) => void clock.after(waitMs, resolve));
    }
  }

  #attach(node: number, link: Link): void {
    this.#links.set(node, link);
    link.listen({
      onControl: (control) => {
        if (control.type !== "error" && control.type !== "heartbeat")
          throw new ProtocolError(`a PS node takes no "${control.type}" from one behind it`);
      },
      onFrame: (frame) => this.#o.onFrame(node, frame),
      onClose: () => {
        if (this.#links.get(node) !== link) return;
        this.#links.delete(node);
        this.#o.onDown(node);
        if (!this.#closed) this.#dial(node);
      },
    });
    this.#o.onUp(node);
  }
}
