/**
 * For tests: a table client, and PS nodes that die, lose links and move partitions as they are told. The nodes are
 * played: each record is on every replica as soon as the head has it, and the coordinator tells nobody but them.
 */
import { expect } from "vitest";
import { partitionFunction, type PartitionMap } from "../partition/index.ts";
import type { Sabotages } from "../sabotage.ts";
import type { TableSpec } from "../table/index.ts";
import { SimulatedClock, SimulatedNetwork, type SimulatedHost } from "../testing/index.ts";
import { END_OF_EXPORT, frame, KeyLists, type Frame, type Link } from "../wire/index.ts";
import { NodeLinks } from "./node-links.ts";
import { PlainTable } from "./plain-table.ts";
import { Requests } from "./requests.ts";
import { TableClient } from "./table-client.ts";

export const PARTITIONS = 4;
const SPEC: TableSpec = { id: 1, name: "t", dim: 1, initializer: { kind: "zeros" }, optimizer: { kind: "sum" } };
/** After which the surviving nodes know of a death. */
const NOTICE_MS = 100;

/** What becomes of a frame, and of the node that gets it. */
export type Fate =
  | "served"
  /** The node dies. */
  | "dies before"
  | "dies after"
  | "dies after its answer"
  /** The link breaks. */
  | "cut before"
  | "cut after"
  /** Nothing comes back, and the link stays. */
  | "no answer"
  /** The order of every second chain is turned round, then the node looks at the frame. */
  | "moves before"
  /** The node does not know the job. */
  | "unknown"
  | "refused";

const firstMap = (nodes: number): PartitionMap => ({
  version: 1,
  heads: 1,
  partitionsLog2: Math.log2(PARTITIONS),
  function: { kind: "hash" },
  nodes: Array.from({ length: nodes }, (_, i) => ({
    node: i + 1,
    name: `ps-${i + 1}`,
    address: `sim://ps-${i + 1}:1`,
  })),
  entries: Array.from({ length: PARTITIONS }, (_, p) => ({
    generation: 1,
    headSince: 1,
    chain: Array.from({ length: nodes }, (__, i) => ((p + i) % nodes) + 1),
  })),
});

const keysOf = (f: Frame): number[] => Array.from({ length: f.keys.length / 2 }, (_, i) => f.keys[2 * i]!);

/** Nodes whose replicas are one and the same, and a client of them. */
export class Cluster {
  readonly clock = new SimulatedClock();
  readonly network: SimulatedNetwork;
  readonly hosts = new Map<number, SimulatedHost>();
  readonly rows = new Map<number, number>();
  readonly applied = new Set<string>();
  /** Which node got what, in order. */
  readonly served: { node: number; frame: Frame }[] = [];
  readonly links: NodeLinks;
  readonly table: PlainTable;
  /** Committed steps, by node. */
  readonly steps = new Map<number, number>();
  /** What becomes of the next frames; what comes after them is served. */
  fates: Fate[];
  map: PartitionMap;

  constructor(o: { nodes?: number; fates?: Fate[]; seed?: number; sabotages?: Sabotages } = {}) {
    const { nodes = 2, fates = [], seed = 1, sabotages = new Set() } = o;
    this.network = new SimulatedNetwork({ clock: this.clock, seed });
    this.map = firstMap(nodes);
    this.fates = [...fates];
    for (let node = 1; node <= nodes; node++) this.#start(node);
    const host = this.network.host("client");
    const requests = new Requests();
    const { dialer, clock } = host;
    this.links = new NodeLinks({ map: this.map, hello: { role: "client", name: "c", job: 1 }, dialer, clock });
    this.links.listen({
      onControl: (_, control) => control.type === "error" && requests.takeError(control),
      onFrame: (_, f) => void requests.takeFrame(f),
      onDown: (_, link, reason) => requests.failLink(link, reason),
      onUp: () => {},
    });
    const client = new TableClient({ job: 1, links: this.links, requests, clock, random: () => 0.25, sabotages });
    this.table = new PlainTable({ spec: SPEC, client });
  }

  run<T>(promise: Promise<T>): Promise<T> {
    return this.clock.until(promise);
  }

  /** Turns every second chain round, or the chains of these partitions. */
  move(partitions = [0, 2]): void {
    const entries = this.map.entries.map((entry, p) => {
      if (!partitions.includes(p)) return entry;
      const generation = entry.generation + 1;
      return { generation, headSince: generation, chain: entry.chain.toReversed() };
    });
    this.map = { ...this.map, version: this.map.version + 1, heads: this.map.version + 1, entries };
  }

  kill(node: number): void {
    this.hosts.get(node)!.crash();
    this.clock.after(NOTICE_MS, () => this.#forget(node));
  }

  #forget(lost: number): void {
    const version = this.map.version + 1;
    const entries = this.map.entries.map((entry) => {
      const chain = entry.chain.filter((node) => node !== lost);
      const generation = entry.generation + 1;
      return { generation, headSince: chain[0] === entry.chain[0] ? entry.headSince : generation, chain };
    });
    const nodes = this.map.nodes.filter(({ node }) => node !== lost);
    this.map = { ...this.map, version, heads: version, nodes, entries };
  }

  #start(node: number): void {
    const host = this.network.host(`ps-${node}`);
    this.hosts.set(node, host);
    host.listen({
      port: 1,
      name: `ps-${node}`,
      onLink: (link) => {
        const lists = new KeyLists();
        link.listen({
          onControl: ({ type }) => type === "map-request" && link.sendControl({ type: "map", map: this.map }),
          onFrame: (f) => this.#take(node, link, lists.resolve(f)!),
          onClose: () => {},
        });
      },
    });
  }

  #take(node: number, link: Link, f: Frame): void {
    this.served.push({ node, frame: { ...f, partitions: f.partitions.slice() } });
    const fate = this.fates.shift() ?? "served";
    if (f.opcode === "pushDirect") expect(f.step).toBeGreaterThan(f.cursor); // no node is sent what is settled
    const { requestId, job } = f;
    const alive = [...this.hosts.values()].filter((host) => host.alive).length;
    const mayDie = alive > 1;
    if (fate === "moves before") this.move();
    if (fate === "unknown")
      link.sendControl({ type: "error", code: "UNKNOWN_JOB", message: "no job 1", job, requestId });
    else if (fate === "refused") link.sendControl({ type: "error", code: "BAD_UPDATE", message: "no", job, requestId });
    else if (fate === "dies before" && mayDie) this.kill(node);
    else if (fate === "cut before") this.network.cut({ between: ["client", `ps-${node}`] });
    else {
      const reply = this.#answer(node, link, f);
      if (fate === "dies after" && mayDie) this.kill(node);
      else if (fate === "cut after") this.network.cut({ between: ["client", `ps-${node}`] });
      else if (fate !== "no answer") for (const part of reply) link.sendFrame(part);
      if (fate === "dies after its answer" && mayDie) this.kill(node);
    }
  }

  #isServed(node: number, f: Frame, s: number): boolean {
    const { chain, headSince, generation } = this.map.entries[f.partitions[s]!]!;
    if (f.slots === 1) return chain.includes(node);
    const g = f.generations[s]!;
    return chain[0] === node && g >= headSince && g <= generation;
  }

  /** The parts of a reply; the values of stale segments are left out. */
  #answer(node: number, link: Link, f: Frame): Frame[] {
    if (f.opcode === "export")
      return this.#isServed(node, f, 0) ? [this.#export(node, f)] : this.#refuseExport(link, f);
    const { requestId } = f;
    const step = this.steps.get(node) ?? 0;
    const keys = keysOf(f);
    const parts: Frame[] = [];
    const stale: number[] = [];
    let at = 0;
    for (const [s, partition] of f.partitions.entries()) {
      const from = at;
      at += f.counts[s]!;
      if (!this.#isServed(node, f, s)) stale.push(partition);
      else if (f.opcode === "pull") {
        const values = Float32Array.from(keys.slice(from, at), (key) => this.rows.get(key) ?? 0);
        parts.push(frame({ opcode: "pullReply", requestId, step, partial: true, cursor: from, values }));
      } else this.#write(f, partition, keys.slice(from, at), f.values.slice(from, at));
    }
    const entries = stale.map((partition) => this.map.entries[partition]!);
    parts.push(
      frame({
        opcode: f.opcode === "pull" ? "pullReply" : f.opcode === "set" ? "setReply" : "pushDirectReply",
        requestId,
        step,
        cursor: at,
        tables: new Uint32Array(1),
        partitions: Uint32Array.from(stale),
        generations: Uint32Array.from(entries, ({ generation }) => generation),
        counts: Uint32Array.from(entries, ({ chain }) => chain[0]!),
      }),
    );
    return parts;
  }

  #write(f: Frame, partition: number, keys: readonly number[], values: Float32Array): void {
    const identity = `${partition}: ${f.term} ${f.attempt} ${f.step}`;
    if (f.opcode === "pushDirect" && this.applied.has(identity)) return;
    this.applied.add(identity);
    for (const [i, key] of keys.entries()) {
      this.rows.set(key, f.opcode === "set" ? values[i]! : (this.rows.get(key) ?? 0) + values[i]!);
    }
  }

  #refuseExport(link: Link, { job, requestId, partitions }: Frame): Frame[] {
    const message = `not the head of partition ${partitions[0]}`;
    link.sendControl({ type: "error", code: "STALE_GENERATION", message, job, requestId });
    return [];
  }

  /** Two rows at a time; each node has its own order. */
  #export(node: number, f: Frame): Frame {
    const partition = f.partitions[0]!;
    const { requestId, partitions, generations } = f;
    const partitionOf = partitionFunction({ kind: "hash" }, PARTITIONS);
    const all = [...this.rows.keys()].filter((key) => partitionOf(key, 0) === partition);
    const ordered = all.toSorted((a, b) => (node === 1 ? a - b : b - a));
    const keys = ordered.slice(f.cursor, f.cursor + 2);
    const cursor = f.cursor + 2 < ordered.length ? f.cursor + 2 : END_OF_EXPORT;
    return frame({
      opcode: "exportReply",
      requestId,
      partitions,
      generations,
      cursor,
      keys: Uint32Array.from(keys.flatMap((key) => [key, 0])),
      values: Float32Array.from(keys, (key) => this.rows.get(key)!),
    });
  }
}
