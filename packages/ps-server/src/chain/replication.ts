/**
 * The chains of one job, as this node takes part in them: records go to the nodes behind, acknowledgements to those
 * before, and copies to nodes that are to become replicas (van Renesse and Schneider, OSDI 2004).
 *
 * What happens when a peer dies here: its records, acknowledgements and copies wait until its link is up again, and are
 * then sent once more, or until the coordinator has taken it out of the chains.
 */
import { ClusterError, ProtocolError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import type { PartitionMap } from "@volary/core/partition";
import type { Sabotages } from "@volary/core/sabotage";
import type { TableSpec } from "@volary/core/table";
import { bytesOfFrame, frame, type Control, type Frame } from "@volary/core/wire";
import type { ChainCounters, PsBounds } from "../effects.ts";
import { AckGate, type Told } from "./ack-gate.ts";
import { caringTables, RecordSegments } from "./applied-records.ts";
import { CHECK_RECORD, type RecordBody } from "./chain-record.ts";
import { ChainSender } from "./chain-sender.ts";
import { Copies } from "./copies.ts";
import { RELIED_ON } from "./copy-out.ts";
import { EarlyRecords } from "./early-records.ts";
import { extendedChain, Replica } from "./replica.ts";

export interface ReplicationOptions {
  job: number;
  node: number;
  tables: readonly TableSpec[];
  dims: ReadonlyMap<number, number>;
  sabotages: Sabotages;
  counters: ChainCounters;
  bounds: Required<PsBounds>;
  /** An empty replica, to be filled by a copy. */
  open: (partition: number, o: { generation: number; isComplete: boolean }) => Replica;
  /** Sends to the node behind; lost where its link is down. */
  send: (node: number, frame: Frame) => void;
  /** Answers over the link that something came from. */
  answer: (link: number, frame: Frame) => void;
  tellCoordinator: (control: Control) => void;
  /** Calls back once all is handled that was read at once. */
  afterRead: (run: () => void) => void;
}

export class Replication {
  readonly gate: AckGate;
  /** By partition; undefined where this node has none. */
  readonly replicas: (Replica | undefined)[] = [];
  readonly #o: ReplicationOptions;
  readonly #caring: readonly TableSpec[];
  readonly #sender: ChainSender;
  /** Whose acknowledgements are to be passed on. */
  readonly #acks = new Set<Replica>();
  readonly #copies: Copies;
  /** Records and copies of a newer map than this node has. */
  readonly #early = new EarlyRecords();
  #map: PartitionMap | undefined;
  #flushIsDue = false;
  #dropsNextPush: boolean;
  /** A sabotage: only a head that was replaced sends records to a head. */
  readonly #headsTakeRecords: boolean;

  constructor(o: ReplicationOptions) {
    this.#o = o;
    this.#caring = caringTables(o.tables);
    this.gate = new AckGate({ job: o.job, bounds: o.bounds, acksBeforeTail: o.sabotages.has("ack-before-tail") });
    this.#sender = new ChainSender({ job: o.job, send: (node, f) => this.#send(node, f) });
    const { job, sabotages, counters, send } = o;
    const flush = () => this.#sender.flush();
    this.#copies = new Copies({ job, sabotages, counters, send, flush, partBytes: o.bounds.copyPartBytes });
    this.#dropsNextPush = o.sabotages.has("drop-one-forwarded-push");
    this.#headsTakeRecords = o.sabotages.has("accept-old-records") || o.sabotages.has("keep-generation");
  }

  // -- the partition map -------------------------------------------------------------------------------------

  /** The job is opened: every node that is to have a replica has an empty one, equal to all others. */
  openAll(map: PartitionMap): void {
    this.#map = map;
    for (const [partition, entry] of map.entries.entries()) {
      if (!extendedChain(entry).includes(this.#o.node)) continue;
      const replica = this.#o.open(partition, { generation: entry.generation, isComplete: true });
      this.replicas[partition] = replica;
      replica.adopt(entry, { isNew: true });
    }
  }

  /** Takes over a newer map. What is acknowledged by it is told, what was for this node is given up. */
  adopt(map: PartitionMap): void {
    this.#map = map;
    for (const [partition, entry] of map.entries.entries()) {
      const replica = this.replicas[partition];
      if (!replica || entry.generation < replica.generation) continue;
      const isMember = entry.chain.includes(this.#o.node);
      // One that has left a chain, and is asked back before this node heard of it, has missed what was written between.
      if (!extendedChain(entry).includes(this.#o.node) || (replica.isMember && !isMember)) {
        this.#drop(replica);
        continue;
      }
      const before = replica.follower?.node;
      const { generation } = replica;
      const mustResend = replica.adopt(entry);
      const follower = replica.follower?.node;
      // Parts of an older generation may be refused, so a copy begins anew.
      if (follower !== before || generation !== replica.generation) this.#copies.stop(replica);
      if (mustResend || follower !== before) this.#sender.resend(replica);
      if (generation !== replica.generation) this.#copies.tellReliedOn(replica);
      this.#onAcked(replica);
    }
    this.tellMissing();
    this.flush();
    for (const { link, frame: f } of this.#early.takeAll()) this.#onEarly(link, f);
  }

  /** Names replicas that this node should have and has not: what it said when it lost them may not have been heard. */
  tellMissing(): void {
    for (const [partition, { chain, generation }] of this.#map?.entries.entries() ?? []) {
      if (!chain.includes(this.#o.node) || this.replicas[partition]) continue;
      this.#tellBroken({ partition, generation, message: "it has lost it" });
    }
  }

  #drop(replica: Replica): void {
    this.#copies.stop(replica);
    this.#acks.delete(replica);
    this.replicas[replica.number] = undefined;
    this.gate.drop(replica);
    replica.partition.dispose();
  }

  dispose(): void {
    for (const replica of this.replicas) if (replica) this.#drop(replica);
  }

  // -- writing and telling -------------------------------------------------------------------------------------

  /** Notes what was done to a replica, for those behind it. Sent by {@link flush}. */
  append(replica: Replica, body: RecordBody): void {
    const record = replica.append(this.#maybeSpoilt(body));
    if (record) this.#sender.add(replica, record);
  }

  /** Tells something once the chains have all that these replicas have now. */
  afterWrites(replicas: readonly Replica[], told: Told): void {
    this.gate.afterWrites(replicas, told);
  }

  /** Tells what was read once the chains have confirmed that this node was their head then. */
  afterReads(replicas: readonly Replica[], told: Told): void {
    if (this.#o.sabotages.has("serve-stale-generation")) {
      told.release();
      return;
    }
    this.gate.afterReads(replicas, told);
    for (const replica of replicas) this.#confirm(replica);
  }

  /** Sends what is pending, together with what else was read at once: a busy node so sends fewer frames. */
  flushSoon(): void {
    if (this.#flushIsDue) return;
    this.#flushIsDue = true;
    this.#o.afterRead(() => {
      this.#flushIsDue = false;
      this.flush();
    });
  }

  /** Sends what is pending. */
  flush(): void {
    this.#sender.flush();
    if (this.#acks.size > 0) this.#sendAcks();
  }

  // -- from the node before --------------------------------------------------------------------------------------

  /**
   * Takes records and copies. Those of a generation that this node's map has not yet wait for it: what they ask for
   * depends on who is behind this node then. What else is in their frame does not wait: it has its place in the log.
   *
   * @throws {ProtocolError} a frame that is none
   */
  onUpstream(link: number, f: Frame): void {
    const isEarly = f.partitions.some((_, s) => this.#isEarly(f, s));
    if (isEarly && !this.#early.keep({ link, frame: f })) this.#o.counters.refusedRecords += f.partitions.length;
    if (f.opcode !== "copyPart") this.#onRecords(link, f);
    else if (!isEarly) this.#onCopyPart(link, f);
  }

  /** Its link may have ended meanwhile: a frame that is none is just refused. */
  #onEarly(link: number, f: Frame): void {
    try {
      this.onUpstream(link, f);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#o.counters.refusedRecords += f.partitions.length;
    }
  }

  #isEarly({ partitions, generations }: Frame, s: number): boolean {
    const entry = this.#map?.entries[partitions[s]!];
    return entry !== undefined && generations[s]! > entry.generation;
  }

  /** @throws {ProtocolError} a frame that is none */
  #onRecords(link: number, f: Frame): void {
    const segments = new RecordSegments(f, { dims: this.#o.dims, caring: this.#caring });
    for (let s = 0; s < f.partitions.length; s++) {
      if (this.#isEarly(f, s)) continue;
      const replica = this.replicas[f.partitions[s]!];
      const isForeign = replica?.isHead && !this.#headsTakeRecords;
      if (!replica || isForeign) this.#o.counters.refusedRecords++;
      else this.#onRecord(replica, segments, s, { link, frame: f });
    }
    this.flushSoon();
  }

  #onRecord(replica: Replica, segments: RecordSegments, s: number, of: { link: number; frame: Frame }): void {
    const generation = of.frame.generations[s]!;
    const sequence = of.frame.sequences[s]!;
    const isOld = generation < replica.generation && !this.#o.sabotages.has("accept-old-records");
    if (isOld || sequence > replica.sequence + 1) {
      this.#o.counters.refusedRecords++;
      return;
    }
    replica.upstream = of.link;
    this.#acks.add(replica);
    if (sequence <= replica.sequence) return; // it was sent again, and so is its acknowledgement
    try {
      segments.apply(s, replica);
    } catch (error) {
      if (!(error instanceof RangeError || error instanceof ClusterError)) throw error;
      this.#break(replica, error.message);
      return;
    }
    replica.load += segments.keysOf(s);
    const isFollowed = replica.follower?.isSent ?? false;
    const record = replica.append(isFollowed ? segments.bodyOf(s) : CHECK_RECORD);
    if (record) this.#sender.add(replica, record);
  }

  /** It cannot follow its head any more: the coordinator is told, and takes this node out of the chain. */
  #break(replica: Replica, message: string): void {
    const { generation, number } = replica;
    this.#drop(replica);
    this.#tellBroken({ partition: number, generation, message });
  }

  #tellBroken(broken: { partition: number; generation: number; message: string }): void {
    this.#o.tellCoordinator({ type: "chain-broken", node: this.#o.node, ...broken });
  }

  /** @throws {ProtocolError} a frame that is none */
  #onCopyPart(link: number, f: Frame): void {
    const partition = f.partitions[0];
    if (partition === undefined || f.sequences.length !== 1)
      throw new ProtocolError("a part of a copy names no partition");
    const entry = this.#map?.entries[partition];
    if (!entry) throw new ProtocolError(`a part of a copy is of partition ${partition}, which the map has not`);
    const generation = f.generations[0]!;
    let replica = this.replicas[partition];
    if (generation < (replica ?? entry).generation || replica?.isMember) return;
    if (f.cursor === RELIED_ON) {
      if (!replica?.isComplete) return;
      if (this.#o.sabotages.has("copy-without-forwarding")) replica.sequence = f.sequences[0]!;
      // A record that was lost comes again, and this after it.
      if (replica.sequence < f.sequences[0]!) return;
      replica.isReliedOn = true;
      replica.generation = generation; // a map of this one says nothing new
      return;
    }
    if (f.cursor === 0) {
      if (replica && generation === replica.generation && f.attempt <= replica.copy) return; // late, of an earlier copy
      if (replica) this.#drop(replica);
      replica = this.#o.open(partition, { generation, isComplete: false });
      replica.sequence = f.sequences[0]!;
      replica.copy = f.attempt;
      this.replicas[partition] = replica;
      replica.adopt(entry);
    }
    if (!replica || replica.copy !== f.attempt || replica.nextPart !== f.cursor || replica.isComplete) return;
    // A part has in it what was written before it: a record that is missing must not come after.
    const isInTurn = replica.sequence === f.sequences[0] || this.#o.sabotages.has("copy-without-forwarding");
    if (!isInTurn) return;
    try {
      replica.isComplete = replica.partition.takeCopy(f.coded);
    } catch (error) {
      if (!(error instanceof RangeError || error instanceof ClusterError)) throw error;
      this.#break(replica, error.message);
      return;
    }
    replica.nextPart++;
    replica.upstream = link;
    const { job } = this.#o;
    this.#o.answer(
      link,
      frame({
        opcode: "copyPartReply",
        job,
        attempt: f.attempt,
        cursor: f.cursor,
        partitions: Uint32Array.of(partition),
        generations: Uint32Array.of(generation),
      }),
    );
  }

  // -- from the node behind ----------------------------------------------------------------------------------------

  onAck(node: number, f: Frame): void {
    for (let s = 0; s < f.partitions.length; s++) {
      const replica = this.replicas[f.partitions[s]!];
      if (!replica) continue;
      replica.onAck(node, f.sequences[s] ?? 0);
      this.#onAcked(replica);
    }
    this.flushSoon();
  }

  onCopyPartReply(node: number, f: Frame): void {
    const replica = this.replicas[f.partitions[0] ?? -1];
    if (replica && this.#copies.onReply(replica, node, f)) this.flush();
  }

  /** The link to a node behind is up, for the first time or again: what it may have missed is sent once more. */
  onUp(node: number): void {
    this.#copies.onUp(node);
    for (const replica of this.replicas) {
      if (replica?.follower?.node !== node) continue;
      if (this.#copies.has(replica)) this.#copies.stop(replica);
      else this.#resend(replica);
    }
    this.flush();
  }

  onDown(node: number): void {
    this.#copies.onDown(node);
  }

  // -- now and then --------------------------------------------------------------------------------------------------

  /** What was not acknowledged for a while is sent again: the node behind may have known an older map. */
  resendStalled(): void {
    for (const replica of this.replicas) {
      if (!replica?.follower) continue;
      if (this.#copies.has(replica)) this.#copies.stopStalled(replica);
      else if (replica.isStalled()) this.#resend(replica);
      if (replica.silences * LIMITS.chainResendMs >= LIMITS.followerLostMs) this.#accuse(replica);
    }
    this.flush();
  }

  /** The node behind does not answer, though the coordinator may hear of it: it can be no part of this chain. */
  #accuse(replica: Replica): void {
    const { number, generation, follower } = replica;
    replica.silences = 0;
    const message = `it does not answer PS node ${this.#o.node}, which is before it`;
    const broken = { partition: number, generation, node: follower!.node, message };
    this.#o.tellCoordinator({ type: "chain-broken", ...broken });
  }

  #resend(replica: Replica): void {
    this.#sender.resend(replica);
    this.#copies.tellReliedOn(replica);
  }

  /**
   * Goes on with copies.
   *
   * @param bytesMax about so many in all
   * @returns how many were sent
   */
  copyOn(bytesMax: number): number {
    return this.#copies.goOn(this.replicas, bytesMax);
  }

  /** Has every node that is to be in the chain of a partition all that this node has? */
  isReady(partition: number): boolean {
    const replica = this.replicas[partition];
    return replica !== undefined && replica.isReliedOn && (replica.follower === undefined || replica.isFollowerReady);
  }

  /** Has every node of the chain the same? */
  isQuiet(partition: number): boolean {
    const replica = this.replicas[partition];
    return replica !== undefined && replica.acked === replica.sequence && replica.waiting.length === 0;
  }

  // -- small change --------------------------------------------------------------------------------------------------

  #onAcked(replica: Replica): void {
    this.gate.onAcked(replica);
    if (replica.upstream !== undefined) this.#acks.add(replica);
    this.#confirm(replica);
  }

  /** Makes a record that reads can wait for, where none is under way. */
  #confirm(replica: Replica): void {
    if (replica.waiting.length === 0 || replica.acked !== replica.sequence) return;
    this.append(replica, CHECK_RECORD);
    if (!replica.isFollowed) this.gate.onAcked(replica);
  }

  #sendAcks(): void {
    const byLink = new Map<number, Replica[]>();
    for (const replica of this.#acks) {
      const link = replica.upstream;
      if (link === undefined) continue;
      const of = byLink.get(link);
      if (of) of.push(replica);
      else byLink.set(link, [replica]);
    }
    this.#acks.clear();
    for (const [link, replicas] of byLink) {
      const ack = {
        partitions: Uint32Array.from(replicas, ({ number }) => number),
        generations: Uint32Array.from(replicas, ({ generation }) => generation),
        sequences: Uint32Array.from(replicas, ({ acked }) => acked),
      };
      this.#o.answer(link, frame({ opcode: "chainAck", job: this.#o.job, ...ack }));
    }
  }

  #send(node: number, f: Frame): void {
    const { counters } = this.#o;
    counters.chainRecords += f.partitions.length;
    counters.chainBytes += bytesOfFrame(f);
    this.#o.send(node, f);
  }

  #maybeSpoilt(body: RecordBody): RecordBody {
    if (!this.#dropsNextPush || body.head.opcode !== "pushRecord") return body;
    this.#dropsNextPush = false;
    return CHECK_RECORD;
  }
}
