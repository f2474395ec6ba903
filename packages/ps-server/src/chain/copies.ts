/** Copies of one job's replicas that are being sent to the nodes behind this one. */
import { ClusterError } from "@volary/core/errors";
import type { Sabotages } from "@volary/core/sabotage";
import { frame, type Frame } from "@volary/core/wire";
import type { ChainCounters } from "../effects.ts";
import { CopyOut, RELIED_ON } from "./copy-out.ts";
import type { Replica } from "./replica.ts";

export interface CopiesOptions {
  job: number;
  sabotages: Sabotages;
  counters: ChainCounters;
  partBytes: number;
  /** Sends the records that were made so far: parts and records are one series. */
  flush: () => void;
  send: (node: number, frame: Frame) => void;
}

export class Copies {
  readonly #o: CopiesOptions;
  readonly #copies = new Map<Replica, CopyOut>();
  /** Nodes whose links are up. */
  readonly #up = new Set<number>();
  /** A sabotage: what is written meanwhile is left out. */
  readonly #isBare: boolean;

  constructor(o: CopiesOptions) {
    this.#o = o;
    this.#isBare = o.sabotages.has("copy-without-forwarding");
  }

  /** Is a copy of the replica under way? */
  has(replica: Replica): boolean {
    return this.#copies.has(replica);
  }

  onUp(node: number): void {
    this.#up.add(node);
  }

  onDown(node: number): void {
    this.#up.delete(node);
  }

  /**
   * Sends on, and begins what is to be copied.
   *
   * @param bytesMax about so many in all
   * @returns how many were sent
   */
  goOn(replicas: readonly (Replica | undefined)[], bytesMax: number): number {
    let bytes = 0;
    for (const replica of replicas) {
      if (bytes >= bytesMax) break;
      const { follower } = replica ?? {};
      if (!replica || !follower || follower.isNeeded || !this.#up.has(follower.node)) continue;
      if (!replica.isComplete || !replica.isReliedOn) continue;
      bytes += this.#goOn(replica, bytesMax - bytes);
    }
    return bytes;
  }

  /** The node behind took a part: once it has all, nothing is acknowledged without it. @returns has it all? */
  onReply(replica: Replica, node: number, f: Frame): boolean {
    const copy = this.#copies.get(replica);
    if (!copy || copy.node !== node || !copy.onTaken(f)) return false;
    this.#copies.delete(replica);
    const { follower } = replica;
    if (follower?.node !== node) return false;
    if (this.#isBare) follower.acked = replica.sequence;
    replica.needFollower();
    this.tellReliedOn(replica);
    return true;
  }

  /** Tells a node that is not one of the chain yet that nothing is acknowledged without it. */
  tellReliedOn({ number, generation, sequence, follower }: Replica): void {
    if (!follower?.isNeeded || follower.isMember) return;
    this.#o.flush();
    const of = {
      partitions: Uint32Array.of(number),
      generations: Uint32Array.of(generation),
      sequences: Uint32Array.of(sequence),
    };
    const { job } = this.#o;
    this.#o.send(follower.node, frame({ opcode: "copyPart", job, cursor: RELIED_ON, ...of, dtype: "int8" }));
  }

  /** Gives a copy up of which nothing was taken for a while. */
  stopStalled(replica: Replica): void {
    if (this.#copies.get(replica)?.isStalled()) this.stop(replica);
  }

  stop(replica: Replica): void {
    const copy = this.#copies.get(replica);
    if (!copy) return;
    copy.stop();
    this.#copies.delete(replica);
    if (replica.follower && !replica.follower.isNeeded) {
      replica.follower.isSent = false;
      replica.unacked.length = 0;
    }
  }

  #goOn(replica: Replica, bytesMax: number): number {
    const { counters, send, flush } = this.#o;
    const follower = replica.follower!;
    const copy = this.#copies.get(replica) ?? this.#begin(replica);
    let bytes = 0;
    while (copy.mayGoOn && bytes < bytesMax) {
      flush();
      const part = this.#nextPart(replica, copy);
      if (!part) break;
      bytes += part.coded.length;
      counters.copyBytes += part.coded.length;
      send(follower.node, part);
    }
    return bytes;
  }

  #begin(replica: Replica): CopyOut {
    const follower = replica.follower!;
    const copy = new CopyOut(replica, { node: follower.node, id: ++this.#o.counters.copies });
    this.#copies.set(replica, copy);
    follower.isSent = !this.#isBare;
    follower.acked = replica.sequence;
    replica.unacked.length = 0;
    return copy;
  }

  /** Undefined where rows cannot be read from disk now: the copy is begun anew. */
  #nextPart(replica: Replica, copy: CopyOut): Frame | undefined {
    try {
      return copy.next(this.#o.job, this.#o.partBytes);
    } catch (error) {
      if (!(error instanceof ClusterError)) throw error;
      this.stop(replica);
      return undefined;
    }
  }
}
