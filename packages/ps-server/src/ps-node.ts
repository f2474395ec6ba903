/**
 * A PS node: a pure state machine that routes frames to the partitions it owns. Sockets, timers and metrics are
 * adapters in `node/`.
 *
 * A frame holds one segment per partition. Segments whose generation is stale are refused one by one and answered
 * with their new entry; the rest are served (Li et al., OSDI 2014, §4). A slot's push counts for every partition of
 * the node, whether it has a segment or not.
 */
import { ClusterError, ProtocolError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import { loadServerUpdate } from "@volary/core/optimizer";
import type { PartitionMap, PushIdentity, Received } from "@volary/core/partition";
import type { TableMemory } from "@volary/core/table";
import { Plugins } from "@volary/core/plugin";
import { END_OF_EXPORT, frame, KeyLists, OPCODES, type Control, type ControlOf, type Frame } from "@volary/core/wire";
import { broughtIn } from "./brought-in.ts";
import { FrameSegments } from "./frame-segments.ts";
import { anyPartition, disposeShard, openShard, wholly, type JobShard } from "./job-shard.ts";
import { refusalOf } from "./refusal.ts";
import { decodeInto, type CodedValues } from "./coded-values.ts";
import { ReplyBuffers, valuesIn, type ReplyBuffer } from "./reply-buffers.ts";

export type LinkId = number;

export type PsEffect =
  | { kind: "control"; link: LinkId; control: Control }
  /** `onSent` must be called, once, when the frame's bytes have gone out or never will. */
  | { kind: "frame"; link: LinkId; frame: Frame; onSent?: () => void };

/** Where effects go, each as soon as it is known: the first part of a reply travels while the next one is read. */
export interface PsEffects {
  push(effect: PsEffect): unknown;
}

/** What the node counts; nothing is dropped without a count. */
export interface PsCounters {
  pulls: number;
  pushes: number;
  directPushes: number;
  rowsPulled: number;
  rowsPushed: number;
  commits: number;
  staleSegments: number;
  latePushes: number;
  repeatedPushes: number;
  abandonedPulls: number;
  refusedSteps: number;
  /** Frames that named keys this node does not know. */
  unknownKeys: number;
}

/** Bounds that simulations and tests set lower than `limits.ts` does, to come upon them. */
export interface PsBounds {
  /** Bytes of values in one part of a reply. */
  replyPartBytes?: number;
  /** Key lists that are remembered for each link. */
  keyListsMax?: number;
}

export interface PsNodeOptions {
  node: number;
  /** Of rows and of frames in passing; nodes of one process may share it. */
  memory: TableMemory;
  /** What the node's operator loaded; nothing by default. */
  plugins?: Plugins;
  bounds?: PsBounds;
}

export class PsNode {
  readonly node: number;
  readonly counters: PsCounters = {
    pulls: 0,
    pushes: 0,
    directPushes: 0,
    rowsPulled: 0,
    rowsPushed: 0,
    commits: 0,
    staleSegments: 0,
    latePushes: 0,
    repeatedPushes: 0,
    abandonedPulls: 0,
    refusedSteps: 0,
    unknownKeys: 0,
  };
  readonly #jobs = new Map<number, JobShard>();
  readonly #memory: TableMemory;
  readonly #plugins: Plugins;
  readonly #bounds: Required<PsBounds>;
  readonly #buffers = new ReplyBuffers();
  /** Of the frame that is being handled. */
  readonly #segments = new FrameSegments();
  /** What each link's peer has sent with a name. */
  readonly #keyLists = new Map<LinkId, KeyLists>();
  #map: PartitionMap | undefined;

  constructor({ node, memory, plugins = Plugins.none, bounds = {} }: PsNodeOptions) {
    this.node = node;
    this.#memory = memory;
    this.#plugins = plugins;
    this.#bounds = { replyPartBytes: LIMITS.replyPartBytes, keyListsMax: LIMITS.keyListsMax, ...bounds };
  }

  get map(): PartitionMap | undefined {
    return this.#map;
  }

  /** Rows and bytes held, over all jobs. */
  usage(): { rows: number; bytes: number } {
    let rows = 0;
    let bytes = 0;
    for (const shard of this.#jobs.values()) {
      for (const partition of shard.owned) {
        rows += partition.rowCount();
        bytes += partition.bytes();
      }
    }
    return { rows, bytes };
  }

  /** Gives all memory back; the node must not be used afterwards. */
  dispose(): void {
    for (const shard of this.#jobs.values()) disposeShard(shard);
    this.#jobs.clear();
    this.#buffers.dispose();
  }

  handleControl(link: LinkId, control: Control, out: PsEffects): void {
    switch (control.type) {
      case "map":
        this.#map = control.map;
        break;
      case "open-job":
        this.#open(control);
        out.push({ kind: "control", link, control: { type: "job-opened", job: control.job } });
        break;
      case "close-job": {
        const shard = this.#jobs.get(control.job);
        if (shard) disposeShard(shard);
        this.#jobs.delete(control.job);
        break;
      }
      case "fence":
      case "start":
      case "commit": {
        const shard = this.#jobs.get(control.job);
        if (!shard) out.push(unknownJob(link, control.job));
        else this.#onTransaction(shard, link, control, out);
        break;
      }
      case "heartbeat":
      case "error":
        break;
      default:
        throw new ProtocolError(`a PS node takes no "${control.type}" message`);
    }
  }

  /** The frame's arrays may change once this returns. */
  handleFrame(link: LinkId, sent: Frame, out: PsEffects): void {
    const f = this.#withSections(link, sent);
    if (!f) {
      this.counters.unknownKeys++;
      out.push({ kind: "frame", link, frame: unknownKeys(sent) });
      return;
    }
    const shard = this.#jobs.get(f.job);
    if (shard) this.#answer(shard, link, f, out);
    else out.push(unknownJob(link, f.job, f.requestId));
  }

  /** Undefined where the frame names keys that this node does not know, or has forgotten. */
  #withSections(link: LinkId, f: Frame): Frame | undefined {
    if (f.keyList.length === 0) return f;
    let lists = this.#keyLists.get(link);
    if (!lists) this.#keyLists.set(link, (lists = new KeyLists({ listsMax: this.#bounds.keyListsMax })));
    return lists.resolve(f);
  }

  /** Handles a frame now or later; what is wrong with it is told to who sent it, and to no one else. */
  #answer(shard: JobShard, link: LinkId, f: Frame, out: PsEffects): void {
    const { job, requestId } = f;
    try {
      if (shard.broken) throw shard.broken;
      this.#onFrame(shard, link, f, out);
    } catch (error) {
      out.push({ kind: "control", link, control: { ...refusalOf(error), job, requestId } });
    } finally {
      this.#segments.close();
    }
  }

  /** A link closed: what only it waited for is forgotten. */
  handleClose(link: LinkId): void {
    this.#keyLists.delete(link);
    for (const shard of this.#jobs.values()) {
      this.counters.abandonedPulls += shard.parked.drop((pull) => pull.link === link);
      this.counters.latePushes += shard.early.drop((push) => push.link === link);
      if (shard.leader === link) shard.leader = undefined;
    }
  }

  #open(control: ControlOf<"open-job">): void {
    if (this.#jobs.has(control.job)) return;
    const map = this.#map;
    if (!map) throw new ProtocolError("open-job came before the partition map");
    for (const { optimizer } of control.tables) {
      if (optimizer.kind === "custom") loadServerUpdate(optimizer, this.#plugins.serverUpdate(optimizer));
    }
    this.#jobs.set(control.job, openShard(control, { node: this.node, map, memory: this.#memory }));
  }

  #onFrame(shard: JobShard, link: LinkId, f: Frame, out: PsEffects): void {
    switch (f.opcode) {
      case "pull":
        this.#pull(shard, link, f, out);
        break;
      case "push":
        this.#push(shard, link, f, out);
        break;
      case "set":
        this.#set(shard, link, f, out);
        break;
      case "pushDirect":
        this.#pushDirect(shard, link, f, out);
        break;
      case "export":
        this.#export(shard, link, f, out);
        break;
      default:
        throw new ProtocolError(`a PS node takes no "${f.opcode}" frame`);
    }
  }

  #onTransaction(
    shard: JobShard,
    link: LinkId,
    control: ControlOf<"fence" | "start" | "commit">,
    out: PsEffects,
  ): void {
    try {
      if (shard.broken) throw shard.broken;
      if (control.type === "fence") this.#fence(shard, link, control, out);
      else if (control.type === "start") this.#start(shard, link, control, out);
      else this.#commit(shard, link, control, out);
    } catch (error) {
      if (shard.broken)
        for (const { link: from, frame: f } of shard.parked.takeAll()) this.#answer(shard, from, f, out);
      out.push({ kind: "control", link, control: { ...refusalOf(error), job: shard.job } });
    }
  }

  // -- step transaction ------------------------------------------------------------------------------------

  #fence(shard: JobShard, link: LinkId, { term }: { term: number }, out: PsEffects): void {
    if (term < shard.term) {
      out.push({ kind: "control", link, control: { type: "stale-term", job: shard.job, promised: shard.term } });
      return;
    }
    for (const partition of shard.owned) partition.promise(term);
    const isNew = term > shard.term;
    shard.term = term;
    shard.leader = link;
    if (isNew) {
      this.counters.abandonedPulls += shard.parked.drop((pull) => pull.frame.term < term);
      this.counters.latePushes += shard.early.drop((push) => push.frame.term < term);
    }
    const { committed } = anyPartition(shard);
    out.push({
      kind: "control",
      link,
      control: { type: "promise", job: shard.job, term, committed: { ...committed } },
    });
    if (!isNew) this.#tellStaged(shard, out);
  }

  #start(shard: JobShard, link: LinkId, control: ControlOf<"start">, out: PsEffects): void {
    if (control.term < shard.term) {
      out.push({ kind: "control", link, control: { type: "stale-term", job: shard.job, promised: shard.term } });
      return;
    }
    shard.leader = link;
    for (const partition of shard.owned) {
      if (partition.start(control).kind === "refused") {
        this.counters.refusedSteps++;
        return;
      }
    }
    for (const { link: from, frame: f } of shard.early.takeAll()) this.#answer(shard, from, f, out);
  }

  #commit(shard: JobShard, link: LinkId, control: ControlOf<"commit">, out: PsEffects): void {
    const { step, attempt, term } = control;
    const at = anyPartition(shard);
    const repeated = at.committed.step === step && at.committed.attempt === attempt;
    const staged = shard.owned.every((partition) => partition.staged);
    if (!repeated && (term < shard.term || !staged)) {
      this.counters.refusedSteps++;
      if (term < shard.term)
        out.push({ kind: "control", link, control: { type: "stale-term", job: shard.job, promised: shard.term } });
      return;
    }
    for (const partition of shard.owned) {
      if (wholly(shard, () => partition.commit({ step, attempt, term })) === "refused") {
        this.counters.refusedSteps++;
        return;
      }
    }
    if (!repeated) this.counters.commits++;
    out.push({ kind: "control", link, control: { type: "committed", job: shard.job, step, attempt } });
    for (const { link: from, frame: f } of shard.parked.takeAll()) this.#answer(shard, from, f, out);
  }

  #push(shard: JobShard, link: LinkId, f: Frame, out: PsEffects): void {
    const values = this.#openValues(shard, f);
    try {
      const outcome = this.#receive(shard, link, f, out);
      if (outcome === "early") shard.early.keep({ link, frame: f });
      else if (outcome === "late") this.counters.latePushes++;
      else {
        if (outcome === "duplicate") this.counters.repeatedPushes++;
        else this.counters.pushes++;
        this.counters.rowsPushed += f.keys.length / 2;
        this.#tellStaged(shard, out);
      }
    } finally {
      if (values) this.#buffers.give(values);
    }
  }

  /** Where a segment is refused, those before it are taken back: a push that fails has left nothing behind. */
  #receive(shard: JobShard, link: LinkId, f: Frame, out: PsEffects): Received {
    const segments = this.#segments;
    const { owned } = shard;
    const { step, attempt, slot } = f;
    if (segments.stale > 0) this.#refuseStale(link, f, out);
    let outcome: Received = "waiting";
    let taken = 0;
    try {
      for (let s = 0; taken < owned.length; taken++) {
        const partition = owned[taken]!;
        // Segments come in the order of their partitions, as those of the node do.
        while (s < f.partitions.length && f.partitions[s]! < partition.partition) s++;
        const isThere = f.partitions[s] === partition.partition;
        if (isThere && segments.ownerOf(s) !== partition) continue; // stale
        outcome = partition.receive({ step, attempt, slot, segment: isThere ? segments.at(s) : null });
        if (outcome === "early" || outcome === "late") return outcome;
      }
    } catch (error) {
      for (let i = 0; i < taken; i++) owned[i]!.withdraw({ step, attempt, slot });
      throw error;
    }
    return outcome;
  }

  /** Tells the leader once every partition has staged its step. */
  #tellStaged(shard: JobShard, out: PsEffects): void {
    if (shard.leader === undefined) return;
    for (const partition of shard.owned) if (!partition.staged) return;
    const { committed, attempt } = anyPartition(shard);
    out.push({
      kind: "control",
      link: shard.leader,
      control: { type: "staged", job: shard.job, step: committed.step + 1, attempt: attempt! },
    });
  }

  // -- reads and plain writes ------------------------------------------------------------------------------

  /** A pull with step 0 reads whatever is committed; any other waits until the step before it is. */
  #pull(shard: JobShard, link: LinkId, f: Frame, out: PsEffects): void {
    if (f.step > 0 && f.term < shard.term) {
      this.counters.abandonedPulls++;
      return;
    }
    this.#segments.open(shard, f); // before it waits: what is wrong with it is the sender's fault, not the leader's
    const { committed } = anyPartition(shard);
    if (f.step > 0 && !shard.mode.mayPull({ wanted: f.step, committed: committed.step })) {
      shard.parked.keep({ link, frame: f });
      return;
    }
    const { requestId, job, term } = f;
    const { step, attempt } = committed;
    this.#reply({ link, pull: f, reply: { opcode: "pullReply", requestId, job, step, attempt, term }, out });
    this.counters.pulls++;
    this.counters.rowsPulled += f.keys.length / 2;
  }

  /** Answers a pull in parts of whole segments, each in one memory; those that are stale are named in the last one. */
  #reply(o: { link: LinkId; pull: Frame; reply: Partial<Frame> & { opcode: "pullReply" }; out: PsEffects }): void {
    const { link, pull, reply, out } = o;
    const segments = this.#segments;
    const S = segments.count;
    let served = 0;
    for (let from = 0, to = 0; from < S; from = to) {
      to = this.#partEnd(from);
      const owner = segments.ownerOf(from);
      if (!owner) continue;
      served += to - from;
      const partial = segments.stale > 0 || to < S;
      const bytes = segments.bytesOf(from, to);
      const buffer = this.#buffers.take(owner.arena, bytes);
      try {
        let at = buffer.valuesAt;
        for (let s = from; s < to; s++) at += segments.ownerOf(s)!.read(segments.at(s), { at, dtype: pull.dtype });
      } catch (error) {
        this.#buffers.give(buffer);
        throw error;
      }
      const part = { ...reply, partial, cursor: segments.floatsBefore(from) };
      out.push({
        kind: "frame",
        link,
        frame: frame({ ...part, ...valuesIn(buffer, { bytes, dtype: pull.dtype }) }),
        onSent: () => this.#buffers.give(buffer),
      });
    }
    if (served < S || S === 0) {
      const last = { ...reply, dtype: pull.dtype, cursor: segments.floats };
      out.push({ kind: "frame", link, frame: frame({ ...last, ...this.#staleEntries(pull) }) });
    }
  }

  /** The end of the part that begins with segment `from`. */
  #partEnd(from: number): number {
    const segments = this.#segments;
    const arena = segments.ownerOf(from)?.arena;
    let to = from + 1;
    if (!arena) return to;
    while (
      to < segments.count &&
      segments.ownerOf(to)?.arena === arena &&
      segments.bytesOf(from, to + 1) <= this.#bounds.replyPartBytes
    )
      to++;
    return to;
  }

  #set(shard: JobShard, link: LinkId, f: Frame, out: PsEffects): void {
    const values = this.#openValues(shard, f);
    const segments = this.#segments;
    let copy: ReplyBuffer | undefined;
    try {
      copy = broughtIn(segments, this.#buffers);
      for (let s = 0; s < segments.count; s++) segments.ownerOf(s)?.check(segments.at(s));
      for (let s = 0; s < segments.count; s++) wholly(shard, () => segments.ownerOf(s)?.set(segments.at(s)));
    } finally {
      if (copy) this.#buffers.give(copy);
      if (values) this.#buffers.give(values);
    }
    const { requestId, job } = f;
    out.push({
      kind: "frame",
      link,
      frame: frame({ opcode: "setReply", requestId, job, ...this.#staleEntries(f) }),
    });
  }

  /** Applied at once, wholly or not at all, and answered when it is. */
  #pushDirect(shard: JobShard, link: LinkId, f: Frame, out: PsEffects): void {
    const identity = identityOf(f);
    const values = this.#openValues(shard, f);
    const segments = this.#segments;
    let rows = 0;
    let copy: ReplyBuffer | undefined;
    try {
      copy = broughtIn(segments, this.#buffers);
      for (let s = 0; s < segments.count; s++) {
        const owner = segments.ownerOf(s);
        if (owner && !owner.hasApplied(identity)) owner.check(segments.at(s));
      }
      for (let s = 0; s < segments.count; s++) {
        const outcome = wholly(shard, () => segments.ownerOf(s)?.pushDirect(identity, segments.at(s)));
        if (outcome === "applied") rows += segments.keysOf(s);
      }
    } finally {
      if (copy) this.#buffers.give(copy);
      if (values) this.#buffers.give(values);
    }
    if (rows > 0) this.counters.directPushes++;
    else this.counters.repeatedPushes++;
    this.counters.rowsPushed += rows;
    const { requestId, job } = f;
    out.push({
      kind: "frame",
      link,
      frame: frame({ opcode: "pushDirectReply", requestId, job, ...this.#staleEntries(f) }),
    });
  }

  #export(shard: JobShard, link: LinkId, f: Frame, out: PsEffects): void {
    const number = f.partitions[0];
    const partition = number === undefined ? undefined : shard.partitions[number];
    if (!partition)
      throw new ClusterError("PARTITION_UNAVAILABLE", `PS node ${this.node} does not own partition ${number}`);
    const dim = shard.dims.get(f.table);
    if (dim === undefined) throw new RangeError(`job ${shard.job} has no table ${f.table}`);
    const rowsMax = Math.min(LIMITS.exportRowsMax, Math.max(1, Math.floor(LIMITS.exportFloatsMax / dim)));
    const { keys, weights, next } = partition.export({ table: f.table, cursor: f.cursor, rowsMax });
    out.push({
      kind: "frame",
      link,
      frame: frame({
        opcode: "exportReply",
        requestId: f.requestId,
        job: f.job,
        table: f.table,
        cursor: next ?? END_OF_EXPORT,
        partitions: f.partitions,
        generations: f.generations,
        keys,
        values: weights,
      }),
    });
  }

  // -- segments --------------------------------------------------------------------------------------------

  /**
   * Lays out a frame that carries values.
   *
   * @returns the buffer that they were decoded into, to be given back; undefined where they are floats already
   * @throws {ProtocolError} as many values as its keys do not need
   */
  #openValues(shard: JobShard, f: Frame): ReplyBuffer | undefined {
    const segments = this.#segments;
    segments.open(shard, f);
    const bytes = f.dtype === "float32" ? 4 * f.values.length : f.coded.length;
    if (segments.bytes !== bytes) {
      throw new ProtocolError(
        `${f.opcode} frame of job ${shard.job} carries ${bytes} bytes of ${f.dtype} values where its keys need ${segments.bytes}`,
      );
    }
    if (f.dtype === "float32") return undefined;
    const { first } = this.#memory;
    const buffer = this.#buffers.take(first, 4 * segments.floats);
    try {
      segments.setValues(decodeInto(buffer, { dtype: f.dtype, coded: f.coded } satisfies CodedValues, segments));
    } catch (error) {
      this.#buffers.give(buffer);
      throw error;
    }
    return buffer;
  }

  /** A step's push is answered only where segments are stale: its acknowledgement is the step's commit. */
  #refuseStale(link: LinkId, f: Frame, out: PsEffects): void {
    const { requestId, job, step, attempt } = f;
    out.push({
      kind: "frame",
      link,
      frame: frame({ opcode: "pushReply", requestId, job, step, attempt, ...this.#staleEntries(f) }),
    });
  }

  /** The new entries of stale segments: partition, generation and, as `counts`, the owning node. */
  #staleEntries(f: Frame): Partial<Frame> {
    const segments = this.#segments;
    if (segments.stale === 0) return {};
    this.counters.staleSegments += segments.stale;
    const partitions = f.partitions.filter((_, s) => segments.ownerOf(s) === undefined);
    const entry = (p: number) => this.#map?.entries[p];
    return {
      tables: new Uint32Array(1),
      partitions,
      generations: partitions.map((p) => entry(p)?.generation ?? 0),
      counts: partitions.map((p) => entry(p)?.chain[0] ?? 0),
    };
  }
}

/** Who pushes what, of a direct push. */
function identityOf({ term, attempt, step, cursor }: Frame): PushIdentity {
  const client = attempt * 0x1_0000_0000 + term;
  if (!Number.isSafeInteger(client)) throw new RangeError(`a client's number is below 2^53; this push has ${client}`);
  return { client, sequence: step, settled: cursor };
}

/** Names the frame that could not be read, so that its sender sends it whole. */
function unknownKeys({ requestId, job, step, attempt, term, slot, opcode, keyList }: Frame): Frame {
  const cursor = OPCODES[opcode];
  return frame({ opcode: "unknownKeys", requestId, job, step, attempt, term, slot, cursor, keyList });
}

function unknownJob(link: LinkId, job: number, requestId = 0): PsEffect {
  const message = `job ${job} is not open on this PS node: it has ended, or this worker belongs to another cluster`;
  return { kind: "control", link, control: { type: "error", code: "UNKNOWN_JOB", message, job, requestId } };
}
