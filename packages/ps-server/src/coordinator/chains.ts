/**
 * The chain of replicas of every partition: which nodes hold it now, and how they become those that should.
 *
 * Van Renesse and Schneider, OSDI 2004: a chain goes on without a lost node at once; a new node is brought up to date
 * by the tail, and is part of the chain when it is. Nodes are added before others are taken out, so there is never
 * less redundancy than there was. A partition's generation rises when its chain changes, and when a change begins or is
 * given up, so that no late word of another one counts.
 */
import { ClusterError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import {
  keepsOrder,
  sameChain,
  type PartitionEntry,
  type PartitionFunction,
  type PartitionMap,
  type PsNode,
} from "@volary/core/partition";
import { NO_SABOTAGE, type Sabotages } from "@volary/core/sabotage";
import type { ClusterStatus, ControlOf } from "@volary/core/wire";
import { busyOf, headMoves, isWorthwhile, Loads, type HeartbeatLoad } from "./balance.ts";
import { WantedChains, type SavedPlan } from "./wanted-chains.ts";

type ChainNews<T extends "chain-ready" | "chain-quiet" | "chain-broken"> = Omit<ControlOf<T>, "type"> & {
  /** The node that says so. */
  from: number;
};

export interface ChainsOptions {
  replicas: number;
  partitionsLog2: number;
  partitionFunction: PartitionFunction;
  sabotages?: Sabotages;
  /** What an earlier coordinator knew, and the nodes of that map that may still have their rows. */
  map?: PartitionMap | undefined;
  plan?: SavedPlan | undefined;
  nodes?: readonly PsNode[];
  log?: (message: string) => void;
}

export class Chains {
  readonly #o: ChainsOptions;
  readonly #sabotages: Sabotages;
  readonly #wanted: WantedChains;
  readonly #loads: Loads;
  readonly #nodes = new Map<number, PsNode>();
  #map: PartitionMap | undefined;
  /** As they will be in the next map; none before the first one. */
  #entries: PartitionEntry[];
  /** Have nodes come or gone since the newest map? */
  #nodesChanged = false;
  /** Is there anything that `update` could do? */
  #isDue = false;
  #rowsExisted = false;
  /** Partitions whose next chain is up to date, those whose head takes nothing, and since when; those that are quiet. */
  readonly #ready = new Map<number, number>();
  readonly #held = new Map<number, number>();
  readonly #quiet = new Set<number>();
  #grownAt = -Infinity;
  #switchedAt = -Infinity;
  #balancedAt = -Infinity;
  #outOfBalance = 0;
  #failovers = 0;
  #moves = 0;

  constructor(o: ChainsOptions) {
    this.#o = o;
    this.#sabotages = o.sabotages ?? NO_SABOTAGE;
    this.#map = o.map;
    this.#entries = [...(o.map?.entries ?? [])];
    this.#loads = new Loads(this.#partitions);
    this.#wanted = new WantedChains({ replicas: o.replicas, ...(o.plan ? { saved: o.plan } : {}) });
    for (const node of o.nodes ?? []) this.#nodes.set(node.node, node);
    if (this.#nodes.size > 0) this.#place();
  }

  /** The newest map that was made. */
  get map(): PartitionMap | undefined {
    return this.#map;
  }

  get plan(): SavedPlan {
    return this.#wanted.plan;
  }

  /** @param o.before its number before it was lost: one that is to be empty stays so */
  addNode(node: PsNode, { before }: { before?: number | undefined } = {}): void {
    this.#nodes.set(node.node, node);
    if (before !== undefined) this.#wanted.rename({ before, node: node.node });
    this.#place();
  }

  /**
   * Takes a node out of all chains at once.
   *
   * @returns how many partitions no other node has
   */
  loseNode(node: number): number {
    this.#nodes.delete(node);
    this.#loads.forget(node);
    this.#wanted.forget(node);
    let lost = 0;
    for (const partition of this.#entries.keys()) {
      if (!this.#remove(partition, node)) lost += 1;
    }
    this.#place();
    return lost;
  }

  /** Can the node be lost without any row? */
  isExpendable(node: number): boolean {
    return this.#entries.every(({ chain }) => chain.length > 1 || chain[0] !== node);
  }

  /** Empties a node. @throws {ClusterError} LIMIT_EXCEEDED: no other could hold what it has */
  drain(node: number): void {
    if (!this.#wanted.eligible.some((each) => each.node !== node)) {
      const name = this.#nodes.get(node)?.name ?? node;
      const message = `PS node ${name} cannot be drained: no other could hold its rows; start one first`;
      throw new ClusterError("LIMIT_EXCEEDED", message);
    }
    this.#wanted.drain(node);
    this.#place();
  }

  /** The node cannot hold the rows of a job that is open; it gets no partition, and loses those it has. */
  setUnfit(node: number): void {
    this.#wanted.setUnfit(node);
    this.#place();
  }

  /** A node of a chain says that the next one is up to date. Late words of another chain count for nothing. */
  onReady({ from, partition, generation, next }: ChainNews<"chain-ready">, now: number): void {
    const entry = this.#entries[partition];
    if (entry?.generation !== generation || !membersOf(entry).includes(from)) return;
    if (!entry.next || !sameChain(entry.next, next) || this.#ready.has(partition)) return;
    this.#ready.set(partition, now);
    const isLast = this.#entries.every((each, p) => !each.next || this.#ready.has(p));
    if (isLast || now - this.#grownAt >= LIMITS.growEveryMs) this.#isDue = true;
  }

  /** The head of a chain that is held says that all its nodes have the same. */
  onQuiet({ from, partition, generation }: ChainNews<"chain-quiet">): void {
    const entry = this.#entries[partition];
    if (!entry?.held || entry.generation !== generation || entry.chain[0] !== from) return;
    this.#quiet.add(partition);
    if (this.#quiet.size === this.#held.size) this.#isDue = true;
  }

  /**
   * A node lost its replica of one partition, or does not answer the one before it, which then says so.
   *
   * @returns false where no other has it
   */
  onBroken({ from, partition, generation, node, message }: ChainNews<"chain-broken">, now: number): boolean {
    const entry = this.#entries[partition];
    if (!entry || !membersOf(entry).includes(node)) return true;
    if (from !== node && (entry.generation !== generation || !entry.chain.includes(from))) return true;
    this.#o.log?.(`partition ${partition} has no replica on PS node ${this.#nodes.get(node)?.name}: ${message}`);
    if (entry.chain.length === 1 && entry.chain[0] === node) return false;
    this.#wanted.setBroken({ partition, node, until: now + LIMITS.brokenReplicaMs });
    return this.#remove(partition, node);
  }

  /** A heartbeat's count of rows. */
  onLoad(node: number, load: HeartbeatLoad | undefined, now: number): void {
    const headOf = [...this.#entries.keys()].filter((partition) => this.#entries[partition]!.chain[0] === node);
    this.#loads.heard({ node, headOf, ...(load ? { load } : {}) }, now);
  }

  tick(now: number): void {
    this.#wanted.tick(now);
    this.#balance(now);
    this.#isDue = true;
  }

  /**
   * Goes on as far as possible now.
   *
   * @param o.rowsExist is there anything to be copied? Otherwise every chain is at once what it should be
   * @returns the new map, if it changed
   */
  update({ rowsExist }: { rowsExist: boolean }, now: number): PartitionMap | undefined {
    if (this.#rowsExisted && !rowsExist) {
      this.#wanted.forgetFailures();
      this.#place();
    }
    this.#rowsExisted = rowsExist;
    if (!this.#isDue || this.#entries.length === 0) return undefined;
    this.#isDue = false;
    if (!rowsExist) this.#settle();
    else {
      this.#begin();
      if (this.#advance(now)) this.#begin();
    }
    return this.#publish();
  }

  /** Heads taken over from lost nodes. */
  get failovers(): number {
    return this.#failovers;
  }

  status(): Pick<ClusterStatus, "chains" | "failovers" | "moves" | "overrides"> {
    const whole = this.#entries.filter(({ chain }) => chain.length >= this.#o.replicas).length;
    const moving = this.#entries.filter(({ next }) => next).length;
    const chains = { whole, short: this.#entries.length - whole, moving };
    return { chains, failovers: this.#failovers, moves: this.#moves, overrides: this.#wanted.overrides };
  }

  nodeStatus(node: number): Pick<ClusterStatus["nodes"][number], "draining" | "partitions" | "replicas" | "load"> {
    const holding = this.#entries.filter(({ chain }) => chain.includes(node));
    const partitions = holding.filter(({ chain }) => chain[0] === node).length;
    const heads = this.#entries.map(({ chain }) => chain[0]!);
    const load = busyOf({ loads: this.#loads.rates, heads, nodes: [node] }).get(node)!;
    const draining = this.#wanted.isDraining(node) ? { draining: true } : {};
    return { ...draining, partitions, replicas: holding.length - partitions, load };
  }

  get #partitions(): number {
    return this.#map?.entries.length ?? 2 ** this.#o.partitionsLog2;
  }

  #place(): void {
    this.#nodesChanged = true;
    this.#isDue = true;
    const none = Array.from({ length: this.#partitions }, (): number[] => []);
    const chains = this.#entries.length > 0 ? this.#entries.map(({ chain }) => chain) : none;
    this.#wanted.place({ nodes: [...this.#nodes.values()], chains });
    if (this.#entries.length > 0 || this.#nodes.size === 0) return;
    this.#entries = none.map((_, partition) => {
      return { generation: 1, headSince: 1, chain: [...this.#wanted.target(partition, [])] };
    });
  }

  /** There are no rows: every chain is what it should be. */
  #settle(): void {
    if (this.#nodes.size === 0) return;
    for (const [partition, { chain, next }] of this.#entries.entries()) {
      const target = this.#wanted.target(
        partition,
        chain.filter((node) => this.#nodes.has(node)),
      );
      if (next || !sameChain(target, chain)) this.#change(partition, { chain: target });
    }
  }

  /**
   * Has partitions copied that are not where they should be: those that lack a replica first, some at a time. Heads and
   * orders change when nothing is left to be copied, all at once: each change of heads begins a new term.
   */
  #begin(): void {
    let moving = 0;
    const astray: Astray[] = [];
    for (const [partition, entry] of this.#entries.entries()) {
      const { chain, next } = entry;
      const target = this.#wanted.target(partition, chain);
      const way = wayTo(target, chain);
      if (next && !sameChain(next, target) && !sameChain(next, way)) this.#change(partition, { chain });
      if (this.#entries[partition]!.next) moving += copiesOf(entry) > 0 ? 1 : 0;
      else if (!sameChain(chain, target)) {
        const isCopied = sameChain(way, chain);
        astray.push({ partition, next: isCopied ? target : way, isCopied, isShort: chain.length < target.length });
      }
    }
    const [atOnce, copied] = split(astray, ({ isCopied }) => isCopied);
    copied.sort((a, b) => Number(b.isShort) - Number(a.isShort) || a.partition - b.partition);
    const some = copied.slice(0, Math.max(0, LIMITS.copiesMax - moving));
    for (const { partition, next } of moving + copied.length === 0 ? atOnce : some)
      this.#change(partition, { chain: this.#entries[partition]!.chain, next });
  }

  /** Switches chains that are ready, those with another head or order together. @returns was there one? */
  #advance(now: number): boolean {
    const moving = [...this.#entries.keys()].filter((partition) => this.#entries[partition]!.next);
    const [same, other] = split(moving, (partition) => {
      const { chain, next } = this.#entries[partition]!;
      return chain[0] === next![0] && keepsOrder(chain, next!);
    });
    const grown = this.#gathered(same, now);
    for (const partition of grown) this.#install(partition);
    const ready = other.filter((partition) => this.#isReady(partition));
    const since = Math.min(...ready.map((partition) => this.#ready.get(partition) ?? -Infinity));
    const isGathered = ready.length === other.length || now - since >= LIMITS.switchEveryMs;
    return (isGathered && this.#switchHeads(ready, now)) || grown.length > 0;
  }

  /**
   * Those that are ready, some together: each map is sent to every node. What is short of a replica cannot wait; what
   * just moves does so at a pace that clients hardly notice.
   */
  #gathered(partitions: readonly number[], now: number): readonly number[] {
    const ready = partitions.filter((partition) => this.#isReady(partition));
    const isShort = partitions.some((partition) => this.#entries[partition]!.chain.length < this.#o.replicas);
    const everyMs = isShort ? LIMITS.growEveryMs : LIMITS.moveEveryMs;
    const mayWait = !isShort || ready.length < partitions.length;
    if (mayWait && now - this.#grownAt < everyMs) return [];
    if (ready.length > 0) this.#grownAt = now;
    return ready;
  }

  /** A chain whose order changes is held before; the others wait for those a moment, so that all switch at once. */
  #switchHeads(partitions: readonly number[], now: number): boolean {
    if (partitions.length === 0 || now - this.#switchedAt < LIMITS.switchEveryMs) return false;
    const [able, waiting] = split(partitions, (partition) => {
      const { chain, next } = this.#entries[partition]!;
      const needsNoHold = keepsOrder(chain, next!) || this.#sabotages.has("reorder-without-hold");
      return this.#quiet.has(partition) || needsNoHold;
    });
    for (const partition of waiting) {
      if (!this.#held.has(partition)) this.#held.set(partition, now);
      const entry = this.#entries[partition]!;
      if (!entry.held) this.#entries[partition] = { ...entry, held: true };
    }
    const heldSince = Math.min(...waiting.map((partition) => this.#held.get(partition)!));
    if (able.length === 0 || (waiting.length > 0 && now - heldSince < LIMITS.switchEveryMs)) return false;
    for (const partition of able) this.#install(partition);
    this.#switchedAt = now;
    return true;
  }

  #isReady(partition: number): boolean {
    if (this.#sabotages.has("switch-before-catch-up")) return true;
    return this.#ready.has(partition) || this.#entries[partition]!.held === true;
  }

  #install(partition: number): void {
    const { chain, next } = this.#entries[partition]!;
    if (chain.some((node) => !next!.includes(node)) || chain[0] !== next![0]) this.#moves += 1;
    this.#change(partition, { chain: next! });
  }

  /** A partition goes on without the node. @returns false where no other has it */
  #remove(partition: number, node: number): boolean {
    const entry = this.#entries[partition]!;
    if (!membersOf(entry).includes(node)) return true;
    const chain = entry.chain.filter((each) => each !== node);
    if (chain.length === 0) return false;
    if (entry.chain[0] === node) this.#failovers += 1;
    const next = entry.next?.filter((each) => each !== node) ?? [];
    this.#change(partition, { chain, ...(next.length > 0 && !sameChain(next, chain) ? { next } : {}) });
    return true;
  }

  #change(partition: number, { chain, next }: { chain: readonly number[]; next?: readonly number[] }): void {
    const before = this.#entries[partition]!;
    const raised = before.generation + (this.#sabotages.has("keep-generation") ? 0 : 1);
    const headSince = chain[0] === before.chain[0] ? before.headSince : raised;
    this.#entries[partition] = {
      generation: raised,
      headSince: this.#sabotages.has("keep-generation") ? before.headSince : headSince,
      chain: [...chain],
      ...(next ? { next: [...next] } : {}),
    };
    this.#isDue = true;
    this.#ready.delete(partition);
    this.#held.delete(partition);
    this.#quiet.delete(partition);
  }

  /** Moves heads where the load has been uneven for a while, and nothing else is under way. */
  #balance(now: number): void {
    if (now - this.#balancedAt < LIMITS.balanceEveryMs || this.#entries.length === 0) return;
    this.#balancedAt = now;
    const loads = this.#loads.rates;
    const nodes = this.#wanted.eligible.map(({ node }) => node);
    const isMoving = this.#entries.some(({ next }) => next);
    const moves =
      isMoving || !isWorthwhile(loads)
        ? []
        : headMoves({ loads, heads: this.#wanted.heads, nodes, movesMax: LIMITS.copiesMax });
    this.#outOfBalance = moves.length === 0 ? 0 : this.#outOfBalance + 1;
    if (this.#outOfBalance < 2) return;
    this.#o.log?.(`heads of ${moves.length} partitions move for their load`);
    for (const move of moves) this.#wanted.moveHead(move);
  }

  /** For the operator: heads that changed, and copies that came to an end. */
  #tell(before: PartitionMap, map: PartitionMap, otherHeads: number): void {
    if (otherHeads > 0) this.#o.log?.(`map ${map.version}: ${otherHeads} partitions have another head`);
    const isMoving = ({ entries }: PartitionMap): boolean => entries.some(({ next }) => next);
    if (!isMoving(before) || isMoving(map)) return;
    const { whole, short } = this.status().chains;
    this.#o.log?.(`map ${map.version}: no partition is copied any more; ${whole} have all replicas, ${short} lack one`);
  }

  #publish(): PartitionMap | undefined {
    const before = this.#map;
    const entries = [...this.#entries];
    const nodes = [...this.#nodes.values()];
    const known = new Set(this.#nodes.keys());
    if (entries.some((entry) => membersOf(entry).some((node) => !known.has(node)))) return undefined;
    if (before && !this.#nodesChanged && entries.every((entry, p) => entry === before.entries[p])) return undefined;
    this.#nodesChanged = false;
    const version = (before?.version ?? 0) + 1;
    const otherHeads = entries.filter(({ chain, headSince }, p) => {
      const old = before?.entries[p];
      return old?.chain[0] !== chain[0] || old?.headSince !== headSince;
    }).length;
    this.#map = {
      version,
      heads: before && otherHeads === 0 ? before.heads : version,
      partitionsLog2: before?.partitionsLog2 ?? this.#o.partitionsLog2,
      function: before?.function ?? this.#o.partitionFunction,
      nodes,
      entries,
    };
    if (this.#rowsExisted && before) this.#tell(before, this.#map, otherHeads);
    return this.#map;
  }
}

/** A partition that is not where it should be, and what its chain is to become first. */
interface Astray {
  readonly partition: number;
  readonly next: readonly number[];
  /** Is there nothing to be copied for it? */
  readonly isCopied: boolean;
  readonly isShort: boolean;
}

/** The chain with all that `target` has, and with its head and its order as they are. */
function wayTo(target: readonly number[], chain: readonly number[]): number[] {
  if (chain[0] === target[0] && keepsOrder(chain, target)) return [...target];
  const staying = chain.filter((node, place) => place === 0 || target.includes(node));
  return [...staying, ...target.filter((node) => !chain.includes(node))];
}

/** How many nodes are being brought up to date. */
function copiesOf({ chain, next = [] }: PartitionEntry): number {
  return next.filter((node) => !chain.includes(node)).length;
}

/** Those of a chain, and those that are to be. */
function membersOf({ chain, next = [] }: PartitionEntry): number[] {
  return [...chain, ...next];
}

/** Those that pass, and those that do not. */
function split<T>(all: readonly T[], passes: (each: T) => boolean): [T[], T[]] {
  return [all.filter((each) => passes(each)), all.filter((each) => !passes(each))];
}
