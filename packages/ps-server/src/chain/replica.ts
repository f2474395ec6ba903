/**
 * One job's copy of one partition on this node, and its place in the chain: what it has of the log, and what the node
 * behind it has.
 *
 * The chain is followed by the nodes of `next` that are not in it yet, each brought up to date by the one before it.
 * Along this extended chain, each node has every record of those behind it.
 */
import type { Partition, PartitionEntry } from "@volary/core/partition";
import type { Waiter } from "./ack-gate.ts";
import type { ChainRecord, RecordBody } from "./chain-record.ts";

/** The node behind this one. */
export interface Follower {
  readonly node: number;
  /** The newest record that it, and all behind it, have. */
  acked: number;
  /** Is it one of the chain? */
  isMember: boolean;
  /** Is nothing acknowledged without it? A node that is being brought up to date is not needed until it has all. */
  isNeeded: boolean;
  /** Is it sent every record? Not before its copy began. */
  isSent: boolean;
  /** The newest record when it began to be needed. */
  neededSince: number;
}

/** Who comes after whom, those included that are being brought up to date. */
export function extendedChain({ chain, next }: PartitionEntry): number[] {
  return next ? [...chain, ...next.filter((node) => !chain.includes(node))] : chain;
}

export class Replica {
  readonly partition: Partition;
  generation: number;
  headSince = 0;
  isHead = false;
  /** Its head takes nothing until the chain has another order. */
  isHeld = false;
  /** Is it one of the chain, not just being brought up to date? */
  isMember = false;
  /** Has it all rows? */
  isComplete: boolean;
  /** Is nothing acknowledged without it? A node that is being brought up to date is told when that is so. */
  isReliedOn: boolean;
  /** The copy that fills it, of this generation, and the part of it that comes next. Copies are numbered from 1. */
  copy = 0;
  nextPart = 0;
  /** The newest record that was applied here. */
  sequence = 0;
  follower: Follower | undefined;
  /** Records that the follower has not acknowledged, in order. */
  readonly unacked: ChainRecord[] = [];
  /** Where its records come from. */
  upstream: number | undefined;
  /** Answers that wait for acknowledgements, in the order of their records. */
  readonly waiting: { readonly sequence: number; readonly waiter: Waiter }[] = [];
  /** Rows read and changed for clients since it was asked last. */
  load = 0;
  readonly #node: number;

  constructor(partition: Partition, o: { node: number; generation: number; isComplete: boolean }) {
    this.partition = partition;
    this.#node = o.node;
    this.generation = o.generation;
    this.isComplete = o.isComplete;
    this.isReliedOn = o.isComplete;
  }

  get number(): number {
    return this.partition.partition;
  }

  /** The newest record that it and all behind it have, of those that are needed. */
  get acked(): number {
    return this.follower?.isNeeded ? this.follower.acked : this.sequence;
  }

  /** Does an acknowledgement need another node? */
  get isFollowed(): boolean {
    return this.follower?.isNeeded ?? false;
  }

  /** Does it serve requests that were made for this generation? */
  serves(generation: number): boolean {
    return this.isHead && this.isComplete && this.headSince <= generation && generation <= this.generation;
  }

  /**
   * Takes its place by a newer entry of the partition map. Entries that are older than what it knows change nothing.
   *
   * @param o.isNew it came into being by this entry, together with all others: they have what it has, nothing
   * @returns records must be sent again: the follower may have refused them, or is another one
   */
  adopt(entry: PartitionEntry, { isNew = false }: { isNew?: boolean } = {}): boolean {
    if (entry.generation < this.generation) return false;
    const extended = extendedChain(entry);
    const place = extended.indexOf(this.#node);
    if (place < 0) return false;
    const isNewer = entry.generation > this.generation;
    // Between the two, a copy to the follower may have been given up, and what it had dropped.
    const hasMissed = entry.generation > this.generation + 1;
    this.generation = entry.generation;
    this.headSince = entry.headSince;
    this.isMember = place < entry.chain.length;
    if (this.isMember) this.isReliedOn = true;
    else if (isNewer) {
      this.isReliedOn = false; // until who copies to it says so again, or begins anew
      this.copy = 0;
    }
    this.isHeld = entry.held ?? false;
    const isMember = place + 1 < entry.chain.length;
    if (hasMissed && !isMember) this.follower = undefined;
    this.#adoptFollower(extended[place + 1], { isMember, isNew });
    this.isHead = place === 0;
    if (this.isHead) {
      this.upstream = undefined;
      this.partition.lead();
    } else this.partition.follow();
    return isNewer && this.unacked.length > 0;
  }

  #adoptFollower(node: number | undefined, { isMember, isNew }: { isMember: boolean; isNew: boolean }): void {
    const { follower } = this;
    if (node === undefined) {
      this.follower = undefined;
      this.unacked.length = 0;
    } else if (follower?.node === node) {
      follower.isMember = isMember;
      if (isMember) this.#need(follower);
    } else {
      // One from further behind has all that was acknowledged; what was not is still here.
      const needed = isMember || isNew;
      this.follower = {
        node,
        acked: this.acked,
        isMember,
        isNeeded: needed,
        isSent: needed,
        neededSince: this.sequence,
      };
      if (!needed) this.unacked.length = 0;
    }
  }

  /** From now on nothing is acknowledged without its follower. */
  needFollower(): void {
    if (this.follower) this.#need(this.follower);
  }

  #need(follower: Follower): void {
    if (follower.isNeeded) return;
    follower.isNeeded = true;
    follower.isSent = true;
    follower.neededSince = this.sequence;
  }

  /** Has the follower all there was when it began to be needed? */
  get isFollowerReady(): boolean {
    const { follower } = this;
    return follower !== undefined && follower.isNeeded && follower.acked >= follower.neededSince;
  }

  /** Times in a row that nothing was acknowledged. */
  silences = 0;
  #ackedBefore = -1;

  /**
   * Was nothing acknowledged since this was asked last, of what is to be? Said less and less often, since a node that
   * is busy answers later.
   */
  isStalled(): boolean {
    const { acked } = this;
    const isSilent = acked === this.#ackedBefore && (this.unacked.length > 0 || !this.isFollowerReady);
    this.#ackedBefore = acked;
    this.silences = isSilent ? this.silences + 1 : 0;
    return isSilent && (this.silences & (this.silences - 1)) === 0;
  }

  /** Adds a record that has been applied here; returns it where the follower is to be sent it. */
  append(body: RecordBody): ChainRecord | undefined {
    this.sequence++;
    if (!this.follower?.isSent) return undefined;
    const record = { ...body, sequence: this.sequence };
    this.unacked.push(record);
    return record;
  }

  /** The follower and all behind it have the log up to here. */
  onAck(node: number, sequence: number): void {
    const { follower, unacked } = this;
    if (follower?.node !== node || sequence <= follower.acked || sequence > this.sequence) return;
    follower.acked = sequence;
    let n = 0;
    while (n < unacked.length && unacked[n]!.sequence <= sequence) n++;
    for (const { lease } of unacked.splice(0, n)) lease?.release();
  }
}
