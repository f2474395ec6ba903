/**
 * A PS node: a pure state machine that routes frames to the partitions it owns. Sockets, timers and metrics are
 * adapters in `node/`.
 *
 * A frame holds one segment per partition. Segments whose generation is stale are refused one by one and answered
 * with their new entry; the rest are served (Li et al., OSDI 2014, §4). A slot's push counts for every partition of
 * the node, whether it has a segment or not.
 */
import { consistencyOf, type Consistency } from "@volary/core/consistency";
import { ClusterError, ProtocolError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import { loadServerUpdate } from "@volary/core/optimizer";
import { Partition, type PartitionMap, type PushIdentity, type Segment } from "@volary/core/partition";
import type { TableSpec } from "@volary/core/table";
import { Plugins } from "@volary/core/plugin";
import { END_OF_EXPORT, frame, type Control, type ControlOf, type Frame } from "@volary/core/wire";
import { WaitingFrames } from "./waiting-frames.ts";

export type LinkId = number;

export type PsEffect =
  | { kind: "control"; link: LinkId; control: Control }
  | { kind: "frame"; link: LinkId; frame: Frame };

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
}

/** One job's share of this node. */
interface JobShard {
  readonly job: number;
  readonly seed: number;
  readonly tables: readonly TableSpec[];
  readonly dims: ReadonlyMap<number, number>;
  readonly mode: Consistency;
  readonly partitions: Map<number, Partition>;
  /** Highest promised term, and the link its leader speaks over. */
  term: number;
  leader: LinkId | undefined;
  readonly parked: WaitingFrames;
  /** Pushes of an attempt whose start has not come yet. */
  readonly early: WaitingFrames;
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
  };
  readonly #jobs = new Map<number, JobShard>();
  readonly #plugins: Plugins;
  #map: PartitionMap | undefined;

  /** @param o.plugins what the node's operator loaded; nothing by default */
  constructor({ node, plugins = Plugins.none }: { node: number; plugins?: Plugins }) {
    this.node = node;
    this.#plugins = plugins;
  }

  get map(): PartitionMap | undefined {
    return this.#map;
  }

  /** Rows and bytes held, over all jobs. */
  usage(): { rows: number; bytes: number } {
    let rows = 0;
    let bytes = 0;
    for (const shard of this.#jobs.values()) {
      for (const partition of shard.partitions.values()) {
        rows += partition.rowCount();
        bytes += partition.bytes();
      }
    }
    return { rows, bytes };
  }

  handleControl(link: LinkId, control: Control): PsEffect[] {
    const out: PsEffect[] = [];
    switch (control.type) {
      case "map":
        this.#map = control.map;
        break;
      case "open-job":
        this.#open(control);
        out.push({ kind: "control", link, control: { type: "job-opened", job: control.job } });
        break;
      case "close-job":
        this.#jobs.delete(control.job);
        break;
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
    return out;
  }

  handleFrame(link: LinkId, f: Frame): PsEffect[] {
    const out: PsEffect[] = [];
    const shard = this.#jobs.get(f.job);
    if (!shard) return [unknownJob(link, f.job, f.requestId)];
    this.#answering(link, f, out, () => this.#onFrame(shard, link, f, out));
    return out;
  }

  /** Handles a frame now or later; what is wrong with it is told to who sent it, and to no one else. */
  #answering(link: LinkId, { job, requestId }: Frame, out: PsEffect[], handle: () => void): void {
    try {
      handle();
    } catch (error) {
      out.push({ kind: "control", link, control: { ...refusalOf(error), job, requestId } });
    }
  }

  /** A link closed: what only it waited for is forgotten. */
  handleClose(link: LinkId): void {
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
    this.#jobs.set(control.job, openShard(control, this.node, map));
  }

  #onFrame(shard: JobShard, link: LinkId, f: Frame, out: PsEffect[]): void {
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
    out: PsEffect[],
  ): void {
    try {
      if (control.type === "fence") this.#fence(shard, link, control, out);
      else if (control.type === "start") this.#start(shard, link, control, out);
      else this.#commit(shard, link, control, out);
    } catch (error) {
      out.push({ kind: "control", link, control: { ...refusalOf(error), job: shard.job } });
    }
  }

  // -- step transaction ------------------------------------------------------------------------------------

  #fence(shard: JobShard, link: LinkId, { term }: { term: number }, out: PsEffect[]): void {
    if (term < shard.term) {
      out.push({ kind: "control", link, control: { type: "stale-term", job: shard.job, promised: shard.term } });
      return;
    }
    for (const partition of shard.partitions.values()) partition.promise(term);
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

  #start(shard: JobShard, link: LinkId, control: ControlOf<"start">, out: PsEffect[]): void {
    if (control.term < shard.term) {
      out.push({ kind: "control", link, control: { type: "stale-term", job: shard.job, promised: shard.term } });
      return;
    }
    shard.leader = link;
    for (const partition of shard.partitions.values()) {
      if (partition.start(control).kind === "refused") {
        this.counters.refusedSteps++;
        return;
      }
    }
    for (const { link: from, frame: f } of shard.early.takeAll())
      this.#answering(from, f, out, () => this.#push(shard, from, f, out));
  }

  #commit(shard: JobShard, link: LinkId, control: ControlOf<"commit">, out: PsEffect[]): void {
    const { step, attempt, term } = control;
    const at = anyPartition(shard);
    const repeated = at.committed.step === step && at.committed.attempt === attempt;
    const staged = [...shard.partitions.values()].every((partition) => partition.staged);
    if (!repeated && (term < shard.term || !staged)) {
      this.counters.refusedSteps++;
      if (term < shard.term)
        out.push({ kind: "control", link, control: { type: "stale-term", job: shard.job, promised: shard.term } });
      return;
    }
    for (const partition of shard.partitions.values()) {
      if (partition.commit({ step, attempt, term }) === "refused") {
        this.counters.refusedSteps++;
        return;
      }
    }
    if (!repeated) this.counters.commits++;
    out.push({ kind: "control", link, control: { type: "committed", job: shard.job, step, attempt } });
    for (const { link: from, frame: f } of shard.parked.takeAll())
      this.#answering(from, f, out, () => this.#pull(shard, from, f, out));
  }

  #push(shard: JobShard, link: LinkId, f: Frame, out: PsEffect[]): void {
    this.#checkValues(shard, f);
    const stale = this.#refuseStale(shard, link, f, out);
    const { step, attempt, slot } = f;
    let outcome: ReturnType<Partition["receive"]> = "waiting";
    const withSegment = new Set(f.partitions);
    for (const { partition, segment } of segmentsOf(shard, f, stale)) {
      outcome = partition.receive({ step, attempt, slot, segment });
      if (outcome === "early" || outcome === "late") break;
    }
    if (outcome !== "early" && outcome !== "late") {
      for (const partition of shard.partitions.values()) {
        if (!withSegment.has(partition.partition)) outcome = partition.receive({ step, attempt, slot, segment: null });
        if (outcome === "early" || outcome === "late") break;
      }
    }
    if (outcome === "early") shard.early.keep({ link, frame: f });
    else if (outcome === "late") this.counters.latePushes++;
    else {
      if (outcome === "duplicate") this.counters.repeatedPushes++;
      else this.counters.pushes++;
      this.counters.rowsPushed += f.keys.length / 2;
      this.#tellStaged(shard, out);
    }
  }

  /** Tells the leader once every partition has staged its step. */
  #tellStaged(shard: JobShard, out: PsEffect[]): void {
    if (shard.leader === undefined) return;
    for (const partition of shard.partitions.values()) if (!partition.staged) return;
    const { committed, attempt } = anyPartition(shard);
    out.push({
      kind: "control",
      link: shard.leader,
      control: { type: "staged", job: shard.job, step: committed.step + 1, attempt: attempt! },
    });
  }

  // -- reads and plain writes ------------------------------------------------------------------------------

  /** A pull with step 0 reads whatever is committed; any other waits until the step before it is. */
  #pull(shard: JobShard, link: LinkId, f: Frame, out: PsEffect[]): void {
    if (f.step > 0 && f.term < shard.term) {
      this.counters.abandonedPulls++;
      return;
    }
    valuesOf(shard, f, NONE); // before it waits: what is wrong with it is the sender's fault, not the leader's
    const { committed } = anyPartition(shard);
    if (f.step > 0 && !shard.mode.mayPull({ wanted: f.step, committed: committed.step })) {
      shard.parked.keep({ link, frame: f });
      return;
    }
    const stale = this.#staleSegments(shard, f);
    const values = new Float32Array(valuesOf(shard, f, stale));
    let at = 0;
    for (const { partition, segment } of segmentsOf(shard, f, stale)) at += partition.read(segment, values, at);
    this.counters.pulls++;
    this.counters.rowsPulled += f.keys.length / 2;
    out.push({
      kind: "frame",
      link,
      frame: frame({
        opcode: "pullReply",
        requestId: f.requestId,
        job: f.job,
        step: committed.step,
        attempt: committed.attempt,
        term: f.term,
        ...this.#entriesOf(f, stale),
        values,
      }),
    });
  }

  #set(shard: JobShard, link: LinkId, f: Frame, out: PsEffect[]): void {
    this.#checkValues(shard, f);
    const stale = this.#staleSegments(shard, f);
    for (const { partition, segment } of segmentsOf(shard, f, stale)) partition.check(segment);
    for (const { partition, segment } of segmentsOf(shard, f, stale)) partition.set(segment);
    out.push({
      kind: "frame",
      link,
      frame: frame({ opcode: "setReply", requestId: f.requestId, job: f.job, ...this.#entriesOf(f, stale) }),
    });
  }

  /** Applied at once, wholly or not at all, and answered when it is. */
  #pushDirect(shard: JobShard, link: LinkId, f: Frame, out: PsEffect[]): void {
    this.#checkValues(shard, f);
    const identity = identityOf(f);
    const stale = this.#staleSegments(shard, f);
    for (const { partition, segment } of segmentsOf(shard, f, stale)) {
      if (!partition.hasApplied(identity)) partition.check(segment);
    }
    let rows = 0;
    for (const { partition, segment } of segmentsOf(shard, f, stale)) {
      if (partition.pushDirect(identity, segment) === "applied") rows += keysOf(segment);
    }
    if (rows > 0) this.counters.directPushes++;
    else this.counters.repeatedPushes++;
    this.counters.rowsPushed += rows;
    out.push({
      kind: "frame",
      link,
      frame: frame({ opcode: "pushDirectReply", requestId: f.requestId, job: f.job, ...this.#entriesOf(f, stale) }),
    });
  }

  #export(shard: JobShard, link: LinkId, f: Frame, out: PsEffect[]): void {
    const number = f.partitions[0];
    const partition = number === undefined ? undefined : shard.partitions.get(number);
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

  /** Numbers of the segments of `f` that this node does not own at the generation they name. */
  #staleSegments(shard: JobShard, f: Frame): ReadonlySet<number> {
    let stale: Set<number> | undefined;
    for (let s = 0; s < f.partitions.length; s++) {
      const partition = shard.partitions.get(f.partitions[s]!);
      if (partition?.generation === f.generations[s]) continue;
      stale ??= new Set();
      stale.add(s);
      this.counters.staleSegments++;
    }
    return stale ?? NONE;
  }

  /** A push is answered only where segments are stale: its acknowledgement is the step's commit. */
  #refuseStale(shard: JobShard, link: LinkId, f: Frame, out: PsEffect[]): ReadonlySet<number> {
    const stale = this.#staleSegments(shard, f);
    if (stale.size === 0) return stale;
    const { requestId, job, step, attempt } = f;
    out.push({
      kind: "frame",
      link,
      frame: frame({ opcode: "pushReply", requestId, job, step, attempt, ...this.#entriesOf(f, stale) }),
    });
    return stale;
  }

  /** The new entries of stale segments: partition, generation and, as `counts`, the owning node. */
  #entriesOf(f: Frame, stale: ReadonlySet<number>): Pick<Frame, "partitions" | "generations" | "counts" | "tables"> {
    const partitions = Uint32Array.from(stale, (s) => f.partitions[s]!);
    const entry = (p: number) => this.#map?.entries[p];
    return {
      tables: stale.size > 0 ? new Uint32Array(1) : new Uint32Array(0),
      partitions,
      generations: partitions.map((p) => entry(p)?.generation ?? 0),
      counts: partitions.map((p) => entry(p)?.chain[0] ?? 0),
    };
  }

  #checkValues(shard: JobShard, f: Frame): void {
    const expected = valuesOf(shard, f, NONE);
    if (expected !== f.values.length) {
      throw new ProtocolError(
        `${f.opcode} frame of job ${shard.job} carries ${f.values.length} values where its keys need ${expected}`,
      );
    }
  }
}

const NONE: ReadonlySet<number> = new Set();

function openShard(control: ControlOf<"open-job">, node: number, map: PartitionMap): JobShard {
  const { job, seed, tables } = control;
  const mode = consistencyOf(control.consistency);
  const partitions = new Map<number, Partition>();
  map.entries.forEach((entry, partition) => {
    if (!entry.chain.includes(node)) return;
    partitions.set(partition, new Partition({ partition, generation: entry.generation, seed, tables, mode }));
  });
  return {
    job,
    seed,
    tables,
    dims: new Map(tables.map((t) => [t.id, t.dim])),
    mode,
    partitions,
    term: 0,
    leader: undefined,
    parked: new WaitingFrames({ what: "pulls", framesMax: LIMITS.parkedPullsMax }),
    early: new WaitingFrames({ what: "pushes", framesMax: LIMITS.earlyFramesMax }),
  };
}

/** All partitions of a node stage and commit together, so any one tells the step. */
function anyPartition(shard: JobShard): Partition {
  for (const partition of shard.partitions.values()) return partition;
  throw new ClusterError("PARTITION_UNAVAILABLE", `this node owns no partition of job ${shard.job}`);
}

/** The segments of a frame with their partitions, as views, without those in `stale`. */
function* segmentsOf(
  shard: JobShard,
  f: Frame,
  stale: ReadonlySet<number> = NONE,
): Generator<{ partition: Partition; segment: Segment }> {
  const T = f.tables.length;
  let keysAt = 0;
  let valuesAt = 0;
  for (let s = 0; s < f.partitions.length; s++) {
    let keys = 0;
    let values = 0;
    for (let t = 0; t < T; t++) {
      const n = f.counts[s * T + t]!;
      keys += n;
      values += n * shard.dims.get(f.tables[t]!)!;
    }
    if (!stale.has(s)) {
      const segment: Segment = {
        tables: f.tables,
        counts: f.counts,
        countsAt: s * T,
        keys: f.keys,
        keysAt,
        values: f.values,
        valuesAt,
      };
      yield { partition: shard.partitions.get(f.partitions[s]!)!, segment };
    }
    keysAt += keys;
    valuesAt += values;
  }
}

/** Who pushes what, of a direct push. */
function identityOf({ term, attempt, step, cursor }: Frame): PushIdentity {
  const client = attempt * 0x1_0000_0000 + term;
  if (!Number.isSafeInteger(client)) throw new RangeError(`a client's number is below 2^53; this push has ${client}`);
  return { client, sequence: step, settled: cursor };
}

function keysOf({ tables, counts, countsAt }: Segment): number {
  let keys = 0;
  for (let t = 0; t < tables.length; t++) keys += counts[countsAt + t]!;
  return keys;
}

/** How many floats the served segments of `f` hold. */
function valuesOf(shard: JobShard, f: Frame, stale: ReadonlySet<number>): number {
  const T = f.tables.length;
  const dims = Array.from(f.tables, (id) => {
    const dim = shard.dims.get(id);
    if (dim === undefined)
      throw new RangeError(
        `job ${shard.job} has no table ${id}; its tables are ${shard.tables.map((t) => `${t.id} (${t.name})`).join(", ")}`,
      );
    return dim;
  });
  let total = 0;
  for (let s = 0; s < f.partitions.length; s++) {
    if (stale.has(s)) continue;
    for (let t = 0; t < T; t++) total += f.counts[s * T + t]! * dims[t]!;
  }
  if (total > LIMITS.valuesPerFrameMax)
    throw new ProtocolError(
      `${f.opcode} frame asks for ${total} values, over the limit of ${LIMITS.valuesPerFrameMax}`,
    );
  return total;
}

/** Mistakes and limits are answered; broken protocol and our own bugs are not. */
function refusalOf(error: unknown): ControlOf<"error"> {
  if (!(error instanceof RangeError || error instanceof ClusterError)) throw error;
  const code = error instanceof ClusterError ? error.code : "BAD_UPDATE";
  return { type: "error", code, message: error.message };
}

function unknownJob(link: LinkId, job: number, requestId = 0): PsEffect {
  const message = `job ${job} is not open on this PS node: it has ended, or this worker belongs to another cluster`;
  return { kind: "control", link, control: { type: "error", code: "UNKNOWN_JOB", message, job, requestId } };
}
