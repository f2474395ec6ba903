/**
 * Links to the PS nodes of a partition map, for workers and clients. A link that closes is dialed again for as long as
 * its node is in the map: whether a node is alive, the coordinator decides, and says so with a newer map.
 */
import { ClusterError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { PartitionMap, PsNode } from "../partition/index.ts";
import { KeyNames, type Clock, type Control, type Dialer, type Frame, type Hello, type Link } from "../wire/index.ts";

export interface NodeEvents {
  onControl(node: number, control: Control): void;
  onFrame(node: number, frame: Frame): void;
  /** The link closed, because it broke or its node left the map: what was sent over it may be lost. */
  onDown(node: number, link: Link, reason: string): void;
  /** A link is up that was not when `listen` was called. */
  onUp(node: number): void;
}

export interface NodeLinksOptions {
  map: PartitionMap;
  hello: Hello;
  dialer: Dialer;
  clock: Clock;
}

/** One node of the map. */
interface Peer {
  node: PsNode;
  link: Link | undefined;
  /** Of the newest link. */
  names: KeyNames;
  waiting: Waiting[];
  upSinceMs: number;
  cancelPause: () => void;
}

interface Waiting {
  /** Attempts to dial that may still fail. */
  attempts: number;
  resolve(link: Link): void;
  reject(error: Error): void;
}

export class NodeLinks {
  readonly #hello: Hello;
  readonly #dialer: Dialer;
  readonly #clock: Clock;
  readonly #peers = new Map<number, Peer>();
  readonly #mapListeners = new Set<(map: PartitionMap) => void>();
  #map: PartitionMap;
  #events: NodeEvents | undefined;
  #dialing = false;
  #closed: ClusterError | undefined;

  /** Dials nobody yet. */
  constructor({ map, hello, dialer, clock }: NodeLinksOptions) {
    this.#map = map;
    this.#hello = hello;
    this.#dialer = dialer;
    this.#clock = clock;
  }

  /** The newest that was adopted. */
  get map(): PartitionMap {
    return this.#map;
  }

  /** Ids of the nodes that are the head of a partition, ascending. */
  get heads(): number[] {
    return headsOf(this.#map);
  }

  /**
   * Takes a newer map: dials the nodes that are new in it, closes the links of those that are not in it any more. One
   * that is not newer changes nothing.
   */
  adopt(map: PartitionMap): void {
    if (map.version <= this.#map.version || this.#closed) return;
    this.#map = map;
    if (this.#dialing) this.#meetNodes();
    for (const listener of this.#mapListeners) listener(map);
  }

  /** @returns takes the listener away */
  onMap(listener: (map: PartitionMap) => void): () => void {
    this.#mapListeners.add(listener);
    return () => void this.#mapListeners.delete(listener);
  }

  /** Asks one node for its map, or every one that is up. A newer one that comes is adopted. */
  requestMap(node?: number): void {
    const asked = node === undefined ? [...this.#peers.keys()] : [node];
    for (const each of asked) this.sendControl(each, { type: "map-request" });
  }

  /**
   * Dials every node of the map; resolves when the heads of the newest map are up.
   *
   * @throws as `up`, for the first head that cannot be reached
   */
  async open(): Promise<void> {
    for (;;) {
      const { heads } = this.#map;
      try {
        await Promise.all(this.heads.map((node) => this.up(node)));
      } catch (error) {
        if (heads === this.#map.heads) throw error;
      }
      if (heads === this.#map.heads) return;
    }
  }

  /** What comes over a link waits until somebody listens. */
  listen(events: NodeEvents): void {
    this.#events = events;
    for (const peer of this.#peers.values()) if (peer.link) this.#attach(peer, peer.link);
  }

  /** The link to a node, if it is up. */
  get(node: number): Link | undefined {
    return this.#peers.get(node)?.link;
  }

  /**
   * The link to a node as soon as it is up.
   *
   * @throws {ClusterError} PARTITION_UNAVAILABLE: it left the map, or did not answer {@link LIMITS.connectAttemptsMax}
   *   attempts (which go on); the code of its refusal, if it will not pass
   */
  up(node: number): Promise<Link> {
    if (!this.#dialing) {
      this.#dialing = true;
      this.#meetNodes();
    }
    const peer = this.#peers.get(node);
    if (this.#closed) return Promise.reject(this.#closed);
    if (!peer) return Promise.reject(unavailable(`PS node ${node} is not in the partition map`));
    if (peer.link) return Promise.resolve(peer.link);
    return new Promise((resolve, reject) => {
      peer.waiting.push({ attempts: LIMITS.connectAttemptsMax, resolve, reject });
    });
  }

  /** Sends a message where a link is up; it is lost otherwise, as one is that a link lost. */
  sendControl(node: number, control: Control): void {
    this.get(node)?.sendControl(control);
  }

  /** Sends a frame where a link is up, its keys by name where the node has them already. */
  sendKeyed(node: number, frame: Frame): void {
    const peer = this.#peers.get(node);
    peer?.link?.sendFrame(peer.names.shorten(frame));
  }

  /** A node does not know the keys of this name: they are sent whole the next time. */
  forgetKeys(node: number, keyList: Uint8Array): void {
    this.#peers.get(node)?.names.forget(keyList);
  }

  /**
   * Closes every link; no event follows.
   *
   * @param reason where it is an error, `up` fails with it from now on, and with PARTITION_UNAVAILABLE otherwise
   */
  close(reason: string | ClusterError): void {
    if (this.#closed) return;
    this.#closed = typeof reason === "string" ? unavailable(reason) : reason;
    for (const peer of this.#peers.values()) this.#drop(peer, this.#closed);
    this.#peers.clear();
  }

  /** Makes the peers those of the map. */
  #meetNodes(): void {
    const nodes = new Map(this.#map.nodes.map((node) => [node.node, node]));
    for (const [id, peer] of this.#peers) {
      if (nodes.has(id)) continue;
      this.#peers.delete(id);
      this.#drop(peer, unavailable(`PS node ${peer.node.name} has left the cluster`));
    }
    for (const node of nodes.values()) {
      const known = this.#peers.get(node.node);
      if (known) known.node = node;
      else {
        const peer = newPeer(node);
        this.#peers.set(node.node, peer);
        void this.#dial(peer);
      }
    }
  }

  #drop(peer: Peer, reason: ClusterError): void {
    peer.cancelPause();
    for (const waiting of peer.waiting.splice(0)) waiting.reject(reason);
    peer.link?.close(reason.message);
  }

  #isKnown(peer: Peer): boolean {
    return this.#peers.get(peer.node.node) === peer;
  }

  /** Dials until a link is up or the node has left the map. Waits first where the last link did not stand for long. */
  async #dial(peer: Peer): Promise<void> {
    let waitMs: number = LIMITS.connectBackoffMs;
    if (this.#clock.now() - peer.upSinceMs < LIMITS.connectBackoffMaxMs) await this.#pause(peer, waitMs);
    while (this.#isKnown(peer)) {
      try {
        const link = await this.#dialer.dial(peer.node.address, this.#hello);
        if (this.#isKnown(peer)) this.#onDialed(peer, link);
        else link.close("the node is not needed any more");
        return;
      } catch (cause) {
        this.#onNotDialed(peer, cause);
      }
      if (this.#isKnown(peer)) await this.#pause(peer, waitMs);
      waitMs = Math.min(waitMs * 2, LIMITS.connectBackoffMaxMs);
    }
  }

  /** Never ends where the node is dropped meanwhile. */
  #pause(peer: Peer, ms: number): Promise<void> {
    return new Promise((resolve) => {
      peer.cancelPause = this.#clock.after(ms, resolve);
    });
  }

  #onDialed(peer: Peer, link: Link): void {
    peer.link = link;
    peer.names = new KeyNames();
    peer.upSinceMs = this.#clock.now();
    if (this.#events) this.#attach(peer, link);
    if (peer.link !== link) return; // it has closed already
    this.#events?.onUp(peer.node.node);
    for (const waiting of peer.waiting.splice(0)) waiting.resolve(link);
  }

  #onNotDialed({ node, waiting }: Peer, cause: unknown): void {
    const passes = cause instanceof ClusterError && cause.retryable;
    const code = cause instanceof ClusterError && !passes ? cause.code : "PARTITION_UNAVAILABLE";
    const why = cause instanceof Error ? cause.message : String(cause);
    for (const each of waiting.splice(0)) {
      if (passes && --each.attempts > 0) waiting.push(each);
      else each.reject(new ClusterError(code, `PS node ${node.name} cannot be reached: ${why}`, { cause }));
    }
  }

  #attach(peer: Peer, link: Link): void {
    const id = peer.node.node;
    link.listen({
      onControl: (control) => {
        if (control.type === "map") this.adopt(control.map);
        else this.#events!.onControl(id, control);
      },
      onFrame: (frame) => this.#events!.onFrame(id, frame),
      onClose: (reason) => {
        if (peer.link === link) peer.link = undefined;
        if (this.#closed) return;
        this.#events!.onDown(id, link, reason);
        if (this.#isKnown(peer)) void this.#dial(peer);
      },
    });
  }
}

/** What requests to tables need of links. */
export type TableLinks = Pick<NodeLinks, "map" | "onMap" | "requestMap" | "get" | "up">;

/** Ids of the nodes that are the head of a partition of this map, ascending. */
export function headsOf({ entries }: PartitionMap): number[] {
  return [...new Set(entries.map(({ chain }) => chain[0]!))].toSorted((a, b) => a - b);
}

function newPeer(node: PsNode): Peer {
  const names = new KeyNames();
  return { node, link: undefined, names, waiting: [], upSinceMs: -Infinity, cancelPause: () => {} };
}

function unavailable(message: string): ClusterError {
  return new ClusterError("PARTITION_UNAVAILABLE", message);
}
