/**
 * PS nodes in chains, for tests: each pair has a first-in, first-out queue in either direction, which a test delivers
 * from, cuts and connects again. The test plays clients and the coordinator.
 */
import type { ConsistencySpec } from "@volary/core/consistency";
import type { PartitionEntry, PartitionMap } from "@volary/core/partition";
import type { Sabotages } from "@volary/core/sabotage";
import { TableMemory, type TableSpec } from "@volary/core/table";
import { lend } from "@volary/core/testing";
import { decodeFrame, encodeFrame, frame, type Control, type ControlOf, type Frame } from "@volary/core/wire";
import { COORDINATOR, type PsBounds, type PsEffect } from "../effects.ts";
import { PsNode } from "../ps-node.ts";

export const JOB = 1;
export const CLIENT = 1;
export const LEADER = 2;

/** A weight is the sum of what was pushed. */
export const SUMS: TableSpec = {
  id: 1,
  name: "sums",
  dim: 1,
  initializer: { kind: "zeros" },
  optimizer: { kind: "sum" },
};

/** Values by key, by partition. */
export type Values = Record<number, Record<number, number>>;
export type Chain = Partial<Pick<PartitionEntry, "chain" | "next" | "held">>;

/** From the node before to the node behind, and back. */
interface Lane {
  /** Number of the link at the node behind; a new one each time it is connected. */
  link: number;
  isUp: boolean;
  readonly down: Uint8Array[];
  readonly back: Uint8Array[];
}

export interface TestChainsOptions {
  /** Of each partition; as many as a power of two. */
  chains: readonly (readonly number[])[];
  /** Nodes that are in no chain yet. */
  others?: readonly number[];
  tables?: readonly TableSpec[];
  /** Of the job; `bsp()` by default. */
  consistency?: ConsistencySpec;
  bounds?: PsBounds;
  sabotages?: Sabotages;
  /** Of single nodes, in place of large ones. */
  memories?: Record<number, TableMemory>;
}

/** Memories are many gigabytes of addresses; the nodes of one number share one, one after another. */
const MEMORIES: TableMemory[] = [];

export class TestChains {
  readonly nodes = new Map<number, PsNode>();
  readonly tables: readonly TableSpec[];
  readonly consistency: ConsistencySpec;
  map: PartitionMap;
  nowMs = 1;
  /** What the coordinator was told. */
  readonly told: { node: number; control: Control }[] = [];
  readonly #lanes = new Map<string, Lane>();
  #said: { node: number; effect: PsEffect }[] = [];
  #nextLink = 1000;
  #lastRequest = 0;

  constructor(o: TestChainsOptions) {
    const nodes = [...new Set([...o.chains.flat(), ...(o.others ?? [])])].toSorted((a, b) => a - b);
    this.tables = o.tables ?? [SUMS];
    this.consistency = o.consistency ?? { mode: "bsp" };
    this.map = {
      version: 1,
      heads: 1,
      partitionsLog2: Math.log2(o.chains.length),
      function: { kind: "hash" },
      nodes: nodes.map((node) => ({ node, name: `ps-${node}`, address: `sim://ps-${node}` })),
      entries: o.chains.map((chain) => ({ generation: 1, headSince: 1, chain: [...chain] })),
    };
    for (const node of nodes) {
      const memory = o.memories?.[node] ?? (MEMORIES[node] ??= new TableMemory({ arenaBytes: 2 ** 27 }));
      const given = { ...(o.bounds && { bounds: o.bounds }), ...(o.sabotages && { sabotages: o.sabotages }) };
      this.nodes.set(node, new PsNode({ node, memory, ...given }));
    }
    for (const a of nodes) for (const b of nodes) if (a !== b) this.connect(a, b);
    this.tell();
    for (const node of nodes) this.say(node, COORDINATOR, this.openJob());
    this.said();
    this.told.length = 0;
  }

  openJob(): ControlOf<"open-job"> {
    const { consistency } = this;
    return { type: "open-job", job: JOB, seed: 1, consistency, tables: [...this.tables] };
  }

  // -- the coordinator -----------------------------------------------------------------------------------------

  /** Makes a new map; nobody knows it until they are told. */
  plan(changes: Record<number, Chain>): void {
    const version = this.map.version + 1;
    let { heads } = this.map;
    const entries = this.map.entries.map((entry, p): PartitionEntry => {
      const change = changes[p];
      if (!change) return entry;
      const { chain = entry.chain, ...rest } = change;
      const isChanged = chain.join() !== entry.chain.join() || change.next?.join() !== entry.next?.join();
      const generation = entry.generation + (isChanged ? 1 : 0);
      if (chain[0] === entry.chain[0]) return { generation, headSince: entry.headSince, chain, ...rest };
      heads = version;
      return { generation, headSince: generation, chain, ...rest };
    });
    this.map = { ...this.map, version, heads, entries };
  }

  /** Tells nodes the newest map: by default all. */
  tell(...nodes: number[]): void {
    for (const node of nodes.length > 0 ? nodes : this.nodes.keys())
      this.say(node, COORDINATOR, { type: "map", map: this.map });
  }

  change(changes: Record<number, Chain>): void {
    this.plan(changes);
    this.tell();
  }

  /** The map without a node that was lost. */
  without(node: number): Record<number, Chain> {
    const changes: Record<number, Chain> = {};
    for (const [p, { chain, next, held }] of this.map.entries.entries()) {
      if (!chain.includes(node) && !next?.includes(node)) continue;
      const left = next?.filter((each) => each !== node);
      changes[p] = {
        chain: chain.filter((each) => each !== node),
        ...(left && left.length > 0 && !held ? { next: left } : {}),
      };
    }
    return changes;
  }

  // -- nodes and their links ------------------------------------------------------------------------------------

  at(node: number): PsNode {
    return this.nodes.get(node)!;
  }

  say(node: number, link: number, control: Control): void {
    this.at(node).handleControl(link, control, this.#effectsOf(node));
  }

  send(node: number, f: Partial<Frame> & { opcode: Frame["opcode"] }, link = CLIENT): void {
    lend(frame({ job: JOB, ...f }), (lent) => this.at(node).handleFrame(link, lent, this.#effectsOf(node)));
  }

  /** As a node that is before it in a chain. */
  sendRecord(node: number, f: Partial<Frame> & { opcode: Frame["opcode"] }, link = 999): void {
    lend(frame({ job: JOB, ...f }), (lent) => this.at(node).handleUpstream(link, lent, this.#effectsOf(node)));
  }

  connect(before: number, behind: number): void {
    const lane = { link: this.#nextLink++, isUp: true, down: [], back: [] };
    this.#lanes.set(`${before}>${behind}`, lane);
    this.nodes.get(before)?.handleUp(behind, this.#effectsOf(before));
  }

  /** What is on its way is lost. */
  cut(before: number, behind: number): void {
    const lane = this.lane(before, behind);
    if (!lane.isUp) return;
    lane.isUp = false;
    lane.down.length = 0;
    lane.back.length = 0;
    this.nodes.get(behind)?.handleClose(lane.link);
    this.nodes.get(before)?.handleDown(behind);
  }

  kill(node: number): void {
    this.at(node).dispose();
    this.nodes.delete(node);
    for (const other of this.nodes.keys()) {
      this.cut(other, node);
      this.cut(node, other);
    }
  }

  lane(before: number, behind: number): Lane {
    return this.#lanes.get(`${before}>${behind}`)!;
  }

  /** Hands over the oldest frame from one node to the one behind it. */
  deliver(before: number, behind: number): boolean {
    const { down, link } = this.lane(before, behind);
    const bytes = down.shift();
    if (!bytes || !this.nodes.has(behind)) return false;
    lend(decodeFrame(bytes), (lent) => this.at(behind).handleUpstream(link, lent, this.#effectsOf(behind)));
    return true;
  }

  /** Hands over the oldest answer from a node to the one before it. */
  deliverBack(before: number, behind: number): boolean {
    const bytes = this.lane(before, behind).back.shift();
    if (!bytes || !this.nodes.has(before)) return false;
    lend(decodeFrame(bytes), (lent) => this.at(before).handleDownstream(behind, lent, this.#effectsOf(before)));
    return true;
  }

  /** Delivers until nothing is on its way. */
  pump(): void {
    for (let isMoving = true; isMoving;) {
      isMoving = false;
      for (const a of this.nodes.keys()) {
        for (const b of this.nodes.keys()) {
          if (a !== b && (this.deliver(a, b) || this.deliverBack(a, b))) isMoving = true;
        }
      }
    }
  }

  tick(ms: number): void {
    this.nowMs += ms;
    for (const [node, ps] of this.nodes) ps.tick(this.nowMs, this.#effectsOf(node));
  }

  /** Ticks and delivers for a while. */
  run(ms = 2000): void {
    for (let passed = 0; passed < ms; passed += 20) {
      this.tick(20);
      this.pump();
    }
  }

  dispose(): void {
    for (const ps of this.nodes.values()) ps.dispose();
    this.nodes.clear();
  }

  // -- a client ---------------------------------------------------------------------------------------------------

  /** The number of the request that is made next. */
  get nextRequest(): number {
    return this.#lastRequest + 1;
  }

  sections(values: Values, map: PartitionMap = this.map): Partial<Frame> {
    const partitions = Object.keys(values).map(Number);
    const keys = partitions.flatMap((p) => Object.keys(values[p]!).map(Number));
    return {
      tables: Uint32Array.of(this.tables[0]!.id),
      partitions: Uint32Array.from(partitions),
      generations: Uint32Array.from(partitions, (p) => map.entries[p]!.generation),
      counts: Uint32Array.from(partitions, (p) => Object.keys(values[p]!).length),
      keys: Uint32Array.from(keys.flatMap((key) => [key, 0])),
    };
  }

  /**
   * @param o.slots of a batch of training: how many batches make a step
   * @returns the number of the request
   */
  push(
    node: number,
    values: Values,
    o: { sequence: number; client?: number; settled?: number; slots?: number; map?: PartitionMap },
  ): number {
    const { sequence, client = 7, settled = 0, slots = 0 } = o;
    const requestId = ++this.#lastRequest;
    const identity = { term: client, step: sequence, cursor: settled, slots };
    this.send(node, {
      opcode: "pushDirect",
      requestId,
      ...identity,
      ...this.sections(values, o.map),
      values: valuesOf(values),
    });
    return requestId;
  }

  set(node: number, values: Values): number {
    const requestId = ++this.#lastRequest;
    this.send(node, { opcode: "set", requestId, ...this.sections(values), values: valuesOf(values) });
    return requestId;
  }

  pull(
    node: number,
    keys: Record<number, readonly number[]>,
    o: { map?: PartitionMap; anyReplica?: true } = {},
  ): number {
    const requestId = ++this.#lastRequest;
    const values = Object.fromEntries(
      Object.entries(keys).map(([p, of]) => [p, Object.fromEntries(of.map((key) => [key, 0]))]),
    );
    this.send(node, {
      opcode: "pull",
      requestId,
      slots: o.anyReplica ? 1 : 0,
      ...this.sections(values, o.map),
    });
    return requestId;
  }

  // -- a step's leader ----------------------------------------------------------------------------------------------

  fence(node: number, { term, heads = this.map.heads }: { term: number; heads?: number }): void {
    this.say(node, LEADER, { type: "fence", job: JOB, term, heads });
  }

  start(node: number, at: { step: number; attempt: number; slots: number }): void {
    const { heads } = this.map;
    const members = Array.from({ length: at.slots }, (_, i) => i);
    this.say(node, LEADER, { type: "start", job: JOB, ...at, term: at.attempt, members, heads });
  }

  slot(node: number, values: Values, at: { step: number; attempt: number; slot: number }): void {
    const { heads } = this.map;
    const fields = { ...at, generation: heads, term: at.attempt, requestId: ++this.#lastRequest };
    this.send(node, { opcode: "push", ...fields, ...this.sections(values), values: valuesOf(values) });
  }

  close(node: number, at: { step: number; attempt: number; slots: readonly number[]; scale?: number }): void {
    const { heads } = this.map;
    const { attempt, slots, scale = 1 } = at;
    this.say(node, LEADER, { type: "close", job: JOB, ...at, term: attempt, heads, slots: [...slots], scale });
  }

  commit(node: number, at: { step: number; attempt: number; term: number }): void {
    this.say(node, LEADER, { type: "commit", job: JOB, ...at, heads: this.map.heads });
  }

  // -- what was said --------------------------------------------------------------------------------------------------

  /** What clients and leaders were told since the last call. */
  said(): { node: number; effect: PsEffect }[] {
    const all = this.#said;
    this.#said = [];
    return all;
  }

  /** The same, in short: who says what, of which request, with what in it. */
  answers(): string[] {
    return this.said().map(({ node, effect }) => `${node}: ${textOf(effect)}`);
  }

  /** The weights of a partition, by key, as one of its nodes has them. */
  digest(node: number, partition: number): string {
    return this.at(node).digests(JOB)[partition] ?? "";
  }

  /** The digests of all nodes of a chain, each once. */
  digests(partition: number): Set<string> {
    return new Set(this.map.entries[partition]!.chain.map((node) => this.digest(node, partition)));
  }

  #effectsOf(node: number): { push: (effect: PsEffect) => void } {
    return { push: (effect) => this.#take(node, effect) };
  }

  #take(node: number, effect: PsEffect): void {
    if (effect.kind === "peer") {
      const lane = this.lane(node, effect.node);
      const bytes = encodeFrame(effect.frame).slice();
      if (lane.isUp) lane.down.push(bytes);
      return;
    }
    if (effect.kind === "control") {
      if (effect.link === COORDINATOR) this.told.push({ node, control: effect.control });
      else this.#said.push({ node, effect });
      return;
    }
    const { link } = effect;
    const bytes = encodeFrame(effect.frame).slice();
    effect.onSent?.();
    if (link < 999) this.#said.push({ node, effect: { kind: "frame", link, frame: decodeFrame(bytes) } });
    for (const [name, lane] of this.#lanes) {
      if (lane.link === link && lane.isUp && name.endsWith(`>${node}`)) lane.back.push(bytes);
    }
  }
}

function valuesOf(values: Values): Float32Array {
  return Float32Array.from(Object.values(values).flatMap((of) => Object.values(of)));
}

function textOf(effect: PsEffect): string {
  if (effect.kind === "control") {
    const { control } = effect;
    if (control.type === "error") return `error ${control.code} #${control.requestId ?? 0}`;
    if (control.type === "promise")
      return `promise ${control.term}, ${control.committed.step}/${control.committed.attempt}${control.whole ? "" : " in part"}`;
    if (control.type === "staged" || control.type === "committed")
      return `${control.type} ${control.step}/${control.attempt}`;
    if (control.type === "slot-in") return `slot ${control.slot} of ${control.step}/${control.attempt} in`;
    return control.type;
  }
  const { opcode, requestId, values, partitions } = effect.frame;
  const stale = partitions.length > 0 ? ` stale ${partitions.join()}` : "";
  return `${opcode} #${requestId}${values.length > 0 ? ` = ${values.join()}` : ""}${stale}`;
}
