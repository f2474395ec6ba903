/**
 * A PS node: a pure state machine that routes messages to the jobs it holds rows of. Sockets, timers and metrics are
 * adapters in `node/`.
 *
 * A step's messages are taken by `steps.ts`, other requests of rows by `plain-requests.ts`; what travels along the
 * chains of replicas is in `chain/`.
 */
import { ProtocolError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import { loadServerUpdate } from "@volary/core/optimizer";
import type { PartitionMap } from "@volary/core/partition";
import type { TableMemory } from "@volary/core/table";
import { Plugins } from "@volary/core/plugin";
import { NO_SABOTAGE, type Sabotages } from "@volary/core/sabotage";
import { frame, isRecord, KeyLists, OPCODES, type Control, type ControlOf, type Frame } from "@volary/core/wire";
import { extendedChain } from "./chain/replica.ts";
import { Reporter } from "./chain/reporter.ts";
import { COORDINATOR, newCounters, type LinkId, type PsBounds, type PsCounters, type PsEffects } from "./effects.ts";
import { FrameSegments } from "./frame-segments.ts";
import { adoptMap, openShard, partitionsOn, type JobShard, type LeaderControl } from "./job-shard.ts";
import type { NodeContext } from "./node-context.ts";
import { PlainRequests } from "./plain-requests.ts";
import { refusalOf, unknownJob } from "./refusal.ts";
import { ReplyBuffers } from "./reply-buffers.ts";
import { Steps } from "./steps.ts";

export interface PsNodeOptions {
  node: number;
  /** Of rows and of frames in passing; nodes of one process may share it. */
  memory: TableMemory;
  /** What the node's operator loaded; nothing by default. */
  plugins?: Plugins;
  bounds?: PsBounds;
  sabotages?: Sabotages;
  /** Calls back once all is handled that was read at once; by default what is pending is sent after each message. */
  afterRead?: (run: () => void) => void;
}

export class PsNode {
  readonly node: number;
  readonly counters: PsCounters = newCounters();
  readonly #jobs = new Map<number, JobShard>();
  readonly #plugins: Plugins;
  readonly #afterRead: (run: () => void) => void;
  readonly #context: NodeContext;
  readonly #steps: Steps;
  readonly #plain: PlainRequests;
  readonly #reporter: Reporter;
  /** What each link's peer has sent with a name. */
  readonly #keyLists = new Map<LinkId, KeyLists>();
  /** Nodes behind this one whose links are up. */
  readonly #up = new Set<number>();
  /** Where effects go: to who called last, also those of what waited. */
  readonly #out: PsEffects = { push: (effect) => this.#current.push(effect) };
  #current: PsEffects = [];
  /** Bytes of copies that may be sent now. */
  #copyBudget = 0;
  #tickedMs: number | undefined;
  #resentMs = 0;

  constructor(o: PsNodeOptions) {
    const { node, memory, plugins = Plugins.none, bounds = {}, sabotages = NO_SABOTAGE } = o;
    this.node = node;
    this.#afterRead = o.afterRead ?? ((run) => run());
    this.#plugins = plugins;
    this.#context = {
      node,
      memory,
      sabotages,
      bounds: {
        replyPartBytes: LIMITS.replyPartBytes,
        keyListsMax: LIMITS.keyListsMax,
        copyPartBytes: LIMITS.copyPartBytes,
        waitingAnswersMax: LIMITS.waitingAnswersMax,
        waitingBytesMax: LIMITS.waitingBytesMax,
        ...bounds,
      },
      counters: this.counters,
      buffers: new ReplyBuffers(),
      segments: new FrameSegments(),
      map: undefined,
    };
    this.#steps = new Steps({
      context: this.#context,
      answer: (shard, link, f) => this.#answer(shard, link, f),
    });
    this.#plain = new PlainRequests(this.#context);
    this.#reporter = new Reporter({ node, tell: (control) => this.#tell(COORDINATOR, control) });
  }

  get map(): PartitionMap | undefined {
    return this.#context.map;
  }

  /** Answers that wait for the nodes behind this one. */
  get waitingAcks(): number {
    return this.#sum(({ replication }) => replication.gate.waiting);
  }

  /** Rows and bytes held, over all jobs. */
  usage(): { rows: number; bytes: number } {
    const sumOf = (of: "rowCount" | "bytes") =>
      this.#sum(({ replicas }) => replicas.reduce((sum, replica) => sum + (replica?.partition[of]() ?? 0), 0));
    return { rows: sumOf("rowCount"), bytes: sumOf("bytes") };
  }

  /** Partitions that the node is the head of, and those it is another replica of. */
  roles(): { heads: number; replicas: number } {
    const chains = (this.map?.entries ?? []).filter(({ chain }) => chain.includes(this.node));
    const heads = chains.filter(({ chain }) => chain[0] === this.node).length;
    return { heads, replicas: chains.length - heads };
  }

  /** Rows read and changed for clients since this was asked last, by partition. */
  takeLoad(): { partitions: number[]; rows: number[] } {
    const load = new Map<number, number>();
    for (const { replicas } of this.#jobs.values()) {
      for (const replica of replicas) {
        if (!replica || replica.load === 0) continue;
        load.set(replica.number, (load.get(replica.number) ?? 0) + replica.load);
        replica.load = 0;
      }
    }
    return { partitions: [...load.keys()], rows: [...load.values()] };
  }

  /** The nodes behind this one, which it needs links to: also of partitions whose rows are yet to come. */
  followers(): number[] {
    if (this.#jobs.size === 0) return [];
    const nodes = new Set<number>();
    for (const entry of this.map?.entries ?? []) {
      const extended = extendedChain(entry);
      const place = extended.indexOf(this.node);
      const follower = place < 0 ? undefined : extended[place + 1];
      if (follower !== undefined) nodes.add(follower);
    }
    return [...nodes];
  }

  /** What each partition of a job holds here, to be compared with other replicas; "" where there is none. */
  digests(job: number): string[] {
    return (this.#jobs.get(job)?.replicas ?? []).map((replica) =>
      replica?.isComplete ? replica.partition.digest() : "",
    );
  }

  /** Gives all memory back; the node must not be used afterwards. */
  dispose(): void {
    this.#current = [];
    for (const { replication } of this.#jobs.values()) replication.dispose();
    this.#jobs.clear();
    this.#context.buffers.dispose();
  }

  handleControl(link: LinkId, control: Control, out: PsEffects): void {
    this.#current = out;
    switch (control.type) {
      case "map":
        this.#adopt(control.map);
        break;
      case "map-request":
        if (this.map) this.#tell(link, { type: "map", map: this.map });
        break;
      case "open-job":
        this.#open(control);
        this.#tell(link, { type: "job-opened", job: control.job });
        break;
      case "close-job":
        this.#jobs.get(control.job)?.replication.dispose();
        this.#jobs.delete(control.job);
        break;
      case "fence":
      case "start":
      case "close":
      case "commit": {
        const shard = this.#jobs.get(control.job);
        if (shard) this.#onLeader(shard, link, control);
        else this.#out.push(unknownJob(link, control.job));
        break;
      }
      case "heartbeat":
      case "error":
        break;
      default:
        throw new ProtocolError(`a PS node takes no "${control.type}" message`);
    }
  }

  /** Of a worker or client. The frame's arrays may change once this returns. */
  handleFrame(link: LinkId, sent: Frame, out: PsEffects): void {
    this.#current = out;
    const f = this.#withSections(link, sent);
    if (!f) {
      this.counters.unknownKeys++;
      this.#out.push({ kind: "frame", link, frame: unknownKeys(sent) });
      return;
    }
    const shard = this.#jobs.get(f.job);
    if (!shard) this.#out.push(unknownJob(link, f.job, f.requestId));
    else {
      this.#answer(shard, link, f);
      shard.replication.flushSoon();
    }
  }

  /** Of a node that is before this one in a chain. */
  handleUpstream(link: LinkId, f: Frame, out: PsEffects): void {
    this.#current = out;
    const replication = this.#jobs.get(f.job)?.replication;
    if (f.opcode === "copyPart" || isRecord(f.opcode)) replication?.onUpstream(link, f);
    else throw new ProtocolError(`a PS node takes no "${f.opcode}" frame from another one`);
  }

  /** Of a node that is behind this one in a chain. */
  handleDownstream(node: number, f: Frame, out: PsEffects): void {
    this.#current = out;
    const shard = this.#jobs.get(f.job);
    if (f.opcode === "chainAck") shard?.replication.onAck(node, f);
    else if (f.opcode === "copyPartReply") shard?.replication.onCopyPartReply(node, f);
    else throw new ProtocolError(`a PS node takes no "${f.opcode}" frame from one behind it`);
    if (this.#reporter.isUrgent) this.#report(this.#tickedMs ?? 0);
  }

  /** The link to a node behind this one is up, for the first time or again. */
  handleUp(node: number, out: PsEffects): void {
    this.#current = out;
    this.#up.add(node);
    for (const { replication } of this.#jobs.values()) replication.onUp(node);
  }

  handleDown(node: number): void {
    this.#up.delete(node);
    for (const { replication } of this.#jobs.values()) replication.onDown(node);
  }

  /** A link closed: what only it waited for is forgotten. */
  handleClose(link: LinkId): void {
    this.#keyLists.delete(link);
    for (const shard of this.#jobs.values()) {
      this.counters.abandonedPulls += shard.parked.drop((pull) => pull.link === link);
      this.counters.latePushes += shard.early.drop((push) => push.link === link);
      shard.blocked.drop((request) => request.link === link);
      shard.blockedControls = shard.blockedControls.filter((each) => each.link !== link);
      if (shard.leader === link) shard.leader = undefined;
    }
  }

  /** Goes on with copies, and repeats what was not heard. Called some dozens of times a second. */
  tick(nowMs: number, out: PsEffects): void {
    this.#current = out;
    const { copyBytesPerSecond, copyBurstBytes, chainResendMs } = LIMITS;
    const passedMs = nowMs - (this.#tickedMs ?? nowMs);
    this.#tickedMs = nowMs;
    this.#copyBudget = Math.min(copyBurstBytes, this.#copyBudget + (passedMs / 1000) * copyBytesPerSecond);
    for (const { replication } of this.#jobs.values()) {
      if (this.#copyBudget > 0) this.#copyBudget -= replication.copyOn(this.#copyBudget);
    }
    if (nowMs - this.#resentMs >= chainResendMs) {
      this.#resentMs = nowMs;
      for (const { replication } of this.#jobs.values()) replication.resendStalled();
    }
    this.#report(nowMs);
  }

  #report(nowMs: number): void {
    const replications = Array.from(this.#jobs.values(), ({ replication }) => replication);
    this.#reporter.report(replications, nowMs);
  }

  #adopt(map: PartitionMap): void {
    if (this.map && map.version <= this.map.version) {
      // The coordinator says again what is known when it, or its link, was away.
      for (const { replication } of this.#jobs.values()) replication.tellMissing();
      return;
    }
    this.#context.map = map;
    this.#context.memory.divide(Math.max(1, partitionsOn(this.node, map)));
    this.#reporter.adopt(map);
    for (const shard of this.#jobs.values()) {
      adoptMap(shard, map);
      const { blockedControls } = shard;
      shard.blockedControls = [];
      for (const { link, control } of blockedControls) this.#onLeader(shard, link, control);
      for (const { link, frame: f } of shard.blocked.takeAll()) this.#answer(shard, link, f);
      shard.replication.flush();
    }
    if (this.#reporter.isUrgent) this.#report(this.#tickedMs ?? 0);
  }

  #open(control: ControlOf<"open-job">): void {
    if (this.#jobs.has(control.job)) return;
    for (const { optimizer } of control.tables) {
      if (optimizer.kind === "custom") loadServerUpdate(optimizer, this.#plugins.serverUpdate(optimizer));
    }
    const { memory, sabotages, bounds } = this.#context;
    const shard = openShard(control, {
      node: this.node,
      map: this.map,
      memory,
      sabotages,
      counters: this.counters,
      bounds,
      places: () => this.#places(),
      afterRead: this.#afterRead,
      out: this.#out,
    });
    for (const node of this.#up) shard.replication.onUp(node);
    this.#jobs.set(control.job, shard);
  }

  #places(): { partitions: number; places: number } {
    const map = this.map;
    if (!map) throw new ProtocolError("a copy came before the partition map");
    return { partitions: map.entries.length, places: Math.max(1, partitionsOn(this.node, map)) };
  }

  /** Undefined where the frame names keys that this node does not know, or has forgotten. */
  #withSections(link: LinkId, f: Frame): Frame | undefined {
    if (f.keyList.length === 0) return f;
    let lists = this.#keyLists.get(link);
    if (!lists) {
      const { keyListsMax } = this.#context.bounds;
      this.#keyLists.set(link, (lists = new KeyLists({ listsMax: keyListsMax })));
    }
    return lists.resolve(f);
  }

  /** Handles a frame now or later; what is wrong with it is told to who sent it, and to no one else. */
  #answer(shard: JobShard, link: LinkId, f: Frame): void {
    const { job, requestId } = f;
    try {
      if (shard.broken) throw shard.broken;
      this.#onFrame(shard, link, f);
    } catch (error) {
      this.#tell(link, { ...refusalOf(error), job, requestId });
    } finally {
      this.#context.segments.close();
    }
  }

  #onFrame(shard: JobShard, link: LinkId, f: Frame): void {
    const out = this.#out;
    if (f.opcode !== "push") shard.replication.gate.checkRoom();
    switch (f.opcode) {
      case "pull":
        if (f.step > 0) this.#steps.pull(shard, link, f, out);
        else this.#plain.pull(shard, link, f, out);
        break;
      case "push":
        this.#steps.push(shard, link, f, out);
        break;
      case "set":
        this.#plain.set(shard, link, f, out);
        break;
      case "pushDirect":
        this.#plain.pushDirect(shard, link, f, out);
        break;
      case "export":
        this.#plain.export(shard, link, f, out);
        break;
      default:
        throw new ProtocolError(`a PS node takes no "${f.opcode}" frame`);
    }
  }

  #onLeader(shard: JobShard, link: LinkId, control: LeaderControl): void {
    try {
      if (shard.broken) throw shard.broken;
      shard.replication.gate.checkRoom();
      this.#steps.onControl(shard, link, control, this.#out);
    } catch (error) {
      if (shard.broken) for (const { link: from, frame: f } of shard.parked.takeAll()) this.#answer(shard, from, f);
      this.#tell(link, { ...refusalOf(error), job: shard.job });
    }
    shard.replication.flush();
  }

  #tell(link: LinkId, control: Control): void {
    this.#out.push({ kind: "control", link, control });
  }

  #sum(of: (shard: JobShard) => number): number {
    let sum = 0;
    for (const shard of this.#jobs.values()) sum += of(shard);
    return sum;
  }
}

/** Names the frame that could not be read, so that its sender sends it whole. */
function unknownKeys({ requestId, job, step, attempt, term, slot, opcode, keyList }: Frame): Frame {
  const cursor = OPCODES[opcode];
  return frame({ opcode: "unknownKeys", requestId, job, step, attempt, term, slot, cursor, keyList });
}
