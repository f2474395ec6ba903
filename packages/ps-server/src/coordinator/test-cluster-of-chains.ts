/** Stands in for the PS nodes in tests of `Chains`: which node has all rows of which partition, and what they say. */
import { keepsOrder, partitionMapSchema, type PartitionMap } from "@volary/core/partition";
import type { Sabotages } from "@volary/core/sabotage";
import { LIMITS } from "@volary/core/limits";
import { Chains } from "./chains.ts";
import type { SavedPlan } from "./wanted-chains.ts";

type Said = { partition: number; generation: number; from: number } & (
  | { type: "ready"; next: number[] }
  | { type: "quiet" }
);

export class ClusterOfChains {
  now = 0;
  rowsExist = true;
  readonly chains: Chains;
  /** On their way to the coordinator; nothing is lost, but anything may come late. */
  readonly said: Said[] = [];
  readonly logs: string[] = [];
  /** Every map there was. */
  readonly maps: PartitionMap[] = [];
  /** By partition, the nodes that have all rows. */
  #whole: Set<number>[] = [];

  constructor({
    replicas,
    partitionsLog2 = 3,
    sabotages,
    map,
    plan,
  }: {
    replicas: number;
    partitionsLog2?: number;
    sabotages?: Sabotages;
    /** Of an earlier coordinator. */
    map?: PartitionMap;
    plan?: SavedPlan;
  }) {
    this.chains = new Chains({
      replicas,
      partitionsLog2,
      partitionFunction: { kind: "hash" },
      map,
      plan,
      nodes: map?.nodes ?? [],
      log: (message) => this.logs.push(message),
      ...(sabotages ? { sabotages } : {}),
    });
  }

  get map(): PartitionMap {
    return this.maps.at(-1)!;
  }

  get moving(): number {
    return this.map.entries.filter(({ next }) => next).length;
  }

  chainsOf(node: number): number {
    return this.map.entries.filter(({ chain }) => chain.includes(node)).length;
  }

  /** Nodes `from` to `to`, while there are no rows. */
  start(count: number): void {
    this.rowsExist = false;
    for (let node = 1; node <= count; node++) this.join(node);
    this.rowsExist = true;
    this.update();
  }

  /** Takes the PS nodes over as they are. */
  resume(before: ClusterOfChains): void {
    this.maps.push(before.map);
    this.#whole = before.#whole.map((nodes) => new Set(nodes));
    this.update();
  }

  join(node: number): void {
    this.chains.addNode({ node, name: `ps-${node}`, address: `ws://ps-${node}:1` });
    this.update();
  }

  /** What no other node has is lost, and begins anew without rows. */
  lose(node: number): void {
    for (const whole of this.#whole) whole.delete(node);
    const had = this.map.entries.map(({ chain }) => chain);
    const lost = this.chains.loseNode(node);
    if (lost !== had.filter((chain) => chain.every((each) => each === node)).length)
      throw new Error(`${lost} partitions are lost`);
    if (lost > 0) {
      this.rowsExist = false;
      this.update();
      this.rowsExist = true;
    }
    this.update();
  }

  drain(node: number): void {
    this.chains.drain(node);
    this.update();
  }

  tick(ms: number): void {
    this.now += ms;
    this.chains.tick(this.now);
    this.update();
  }

  /** All nodes of `next` are up to date, and the tail says so, by its newest map. */
  finishCopy(partition: number): void {
    const { chain, next, generation } = this.map.entries[partition]!;
    if (!next || !this.#whole[partition]!.has(chain.at(-1)!)) return;
    for (const node of next) this.#whole[partition]!.add(node);
    this.said.push({ type: "ready", partition, generation, from: chain.at(-1)!, next });
  }

  /** All nodes of a chain that is held have the same, by its head's newest map. */
  becomeQuiet(partition: number): void {
    const { chain, held, generation } = this.map.entries[partition]!;
    if (held) this.said.push({ type: "quiet", partition, generation, from: chain[0]! });
  }

  /** One of the messages on their way arrives. */
  deliver(index = 0): void {
    const [said] = this.said.splice(index, 1);
    if (said?.type === "ready") this.chains.onReady(said, this.now);
    else if (said) this.chains.onQuiet(said);
    this.update();
  }

  /** All copies are made and all is said, until nothing more happens. */
  settle(): void {
    for (let round = 0; round < 1000; round++) {
      const { version } = this.map;
      for (const partition of this.map.entries.keys()) {
        this.finishCopy(partition);
        this.becomeQuiet(partition);
      }
      while (this.said.length > 0) this.deliver();
      this.tick(LIMITS.switchEveryMs);
      if (this.map.version === version && this.moving === 0) return;
    }
    throw new Error("the chains do not come to rest");
  }

  update(): void {
    const map = this.chains.update({ rowsExist: this.rowsExist }, this.now);
    if (!map) return;
    partitionMapSchema.parse(map);
    const before = this.maps.at(-1);
    this.maps.push(map);
    if (!this.rowsExist || !before) {
      this.#whole = map.entries.map(({ chain }) => new Set(chain));
      return;
    }
    this.#checkAfter(before);
    this.#whole = this.#whole.map((whole, partition) => {
      const { chain, next = [] } = map.entries[partition]!;
      return new Set([...chain, ...next].filter((node) => whole.has(node)));
    });
  }

  #checkAfter(before: PartitionMap): void {
    const { map } = this;
    must(map.version === before.version + 1, "versions rise by one");
    let headsChanged = false;
    for (const [partition, entry] of map.entries.entries()) {
      const old = before.entries[partition]!;
      const at = `partition ${partition}: ${JSON.stringify(old)} → ${JSON.stringify(entry)}`;
      const changed = entry.chain.join() !== old.chain.join();
      must(changed ? entry.generation > old.generation : entry.generation >= old.generation, `generation, ${at}`);
      must(changed || entry.generation > old.generation || !old.next || same(old.next, entry.next), `given up, ${at}`);
      must(entry.headSince <= entry.generation, `headSince, ${at}`);
      must((entry.chain[0] === old.chain[0]) === (entry.headSince === old.headSince), `headSince of heads, ${at}`);
      must(
        entry.chain.every((node) => this.#whole[partition]!.has(node)),
        `a node without all rows, ${at}`,
      );
      must(old.held === true || keepsOrder(old.chain, entry.chain), `order, ${at}`);
      must(!entry.held || entry.next !== undefined, `held, ${at}`);
      if (entry.chain[0] !== old.chain[0]) headsChanged = true;
    }
    must(map.heads === (headsChanged ? map.version : before.heads), "heads");
    const copied = map.entries.filter(({ chain, next = [] }) => next.some((node) => !chain.includes(node))).length;
    must(copied <= LIMITS.copiesMax, `${copied} partitions are copied at a time`);
  }
}

function same(a: readonly number[], b: readonly number[] | undefined): boolean {
  return a.join() === b?.join();
}

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(`broken: ${what}`);
}
