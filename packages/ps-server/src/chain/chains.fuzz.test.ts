/**
 * Chains that change by chance while clients push and read: nodes are lost and added, links break, maps come late.
 * Every push counts once, and a read shows all that was acknowledged before it was asked. Pushes are those of a client,
 * or of the batches of a job, which any worker may push.
 */
import { expect, test } from "vitest";
import { asp, bsp } from "@volary/core/consistency";
import { keepsOrder, sameChain, TRAINING_CLIENT, type PartitionMap } from "@volary/core/partition";
import { seededRandom, type SeededRandom } from "@volary/core/testing";
import type { Sabotage } from "@volary/core/sabotage";
import { decodeFrame, type Frame } from "@volary/core/wire";
import { COORDINATOR } from "../effects.ts";
import { TestChains, type Chain } from "../testing/test-chains.ts";

const NODES = [1, 2, 3, 4];
const PARTITIONS = [0, 1];
const KEYS = [5, 6, 7];
/** Rows enough for copies of many parts. */
const OTHERS = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [100 + i, 0]));

/** Adds 1 to one key of each partition. */
interface Push {
  readonly sequence: number;
  readonly keys: readonly number[];
  readonly partitions: readonly number[];
  /** Partitions that have not acknowledged it, and the request that is under way. */
  readonly left: Set<number>;
  asked: { request: number; node: number; partitions: readonly number[] } | undefined;
}

interface Read {
  readonly node: number;
  readonly partition: number;
  readonly key: number;
  /** Pushes of the key that were acknowledged when it was asked. */
  readonly atLeast: number;
}

class World {
  readonly t: TestChains;
  readonly #random: SeededRandom;
  readonly #pushes: Push[] = [];
  readonly #reads = new Map<number, Read>();
  /** Frames that are still on their way over links that have ended for who sent them. */
  #late: { node: number; frame: Frame }[] = [];
  /** Maps that each node has not been told yet, in their order. */
  readonly #maps = new Map<number, PartitionMap[]>(NODES.map((node) => [node, []]));
  readonly #history: PartitionMap[];
  /** The map that clients go by: not always the newest. */
  #known: PartitionMap;
  /** Batches that make a step; 0 where pushes are a client's. */
  readonly #slots: number;
  readonly counts = { acknowledged: 0, reads: 0, lost: 0, installed: 0, orders: 0 };

  constructor(seed: number, { sabotages = [], slots = 0 }: { sabotages?: Sabotage[]; slots?: number } = {}) {
    this.#slots = slots;
    this.#random = seededRandom(seed);
    const chains = [
      [1, 2],
      [2, 3, 1],
    ];
    const consistency = slots > 0 ? asp() : bsp();
    const bounds = { copyPartBytes: 120 };
    this.t = new TestChains({ chains, others: [4], consistency, bounds, sabotages: new Set(sabotages) });
    this.#known = this.t.map;
    this.#history = [this.t.map];
    for (const [partition, [head]] of chains.entries()) this.t.set(head!, { [partition]: OTHERS });
    this.t.pump();
    this.t.said();
  }

  #pick<T>(of: readonly T[]): T {
    return of[this.#random.below(of.length)]!;
  }

  get #alive(): number[] {
    return [...this.t.nodes.keys()];
  }

  act(): void {
    const chance = this.#random.below(100);
    if (chance < 20) this.#push();
    else if (chance < 28) this.#read();
    else if (chance < 70) this.#deliver();
    else if (chance < 80) this.t.tick(this.#pick([1, 20, 20, 250]));
    else if (chance < 88) this.#tellNext(this.#pick(this.#alive));
    else if (chance < 91) this.#breakLink();
    else if (chance < 94) this.#changeChain();
    else if (chance < 95) this.#lose();
    else if (chance < 97) this.#known = this.#pick(this.#history.slice(-4));
    else if (chance < 98) this.#deliverLate();
    else this.#askAgain();
    this.#listen();
  }

  // -- clients ------------------------------------------------------------------------------------------------

  #push(): void {
    const partitions = this.#pick([[0], [1], [0, 1]]);
    const keys = PARTITIONS.map(() => this.#pick(KEYS));
    const push = { sequence: this.#pushes.length + 1, keys, partitions, left: new Set(partitions), asked: undefined };
    this.#pushes.push(push);
    this.#ask(push);
  }

  /** Asks one of the heads that the client knows for what is left of a push. */
  #ask(push: Push): void {
    const first = this.#pick([...push.left]);
    const node = this.#known.entries[first]!.chain[0]!;
    if (!this.t.nodes.has(node)) return;
    const partitions = [...push.left].filter((p) => this.#known.entries[p]!.chain[0] === node);
    const values = Object.fromEntries(partitions.map((p) => [p, { [push.keys[p]!]: 1 }]));
    push.asked = { request: this.t.nextRequest, node, partitions };
    const training = this.#slots > 0 ? { client: TRAINING_CLIENT, slots: this.#slots } : {};
    this.t.push(node, values, { sequence: push.sequence, ...training, map: this.#known });
  }

  #askAgain(): void {
    for (const push of this.#pushes) if (!push.asked && push.left.size > 0) this.#ask(push);
  }

  #read(): void {
    const partition = this.#pick(PARTITIONS);
    const node = this.#known.entries[partition]!.chain[0]!;
    if (!this.t.nodes.has(node)) return;
    const key = this.#pick(KEYS);
    const atLeast = this.#pushesOf(partition, key).filter(({ left }) => !left.has(partition)).length;
    this.#reads.set(this.t.nextRequest, { node, partition, key, atLeast });
    this.t.pull(node, { [partition]: [key] }, { map: this.#known });
  }

  /** The newest step that a push of a partition was of. */
  #stepOf(partition: number): number {
    const of = this.#pushes.filter(({ partitions }) => partitions.includes(partition));
    return this.#slots === 0 ? 0 : Math.ceil(Math.max(0, ...of.map(({ sequence }) => sequence)) / this.#slots);
  }

  #pushesOf(partition: number, key: number): Push[] {
    return this.#pushes.filter(({ keys, partitions }) => keys[partition] === key && partitions.includes(partition));
  }

  #listen(): void {
    for (const { effect } of this.t.said()) {
      if (effect.kind === "peer") continue;
      const request = effect.kind === "frame" ? effect.frame.requestId : (this.#requestOf(effect.control) ?? -1);
      const push = this.#pushes.find(({ asked }) => asked?.request === request);
      const read = this.#reads.get(request);
      this.#reads.delete(request);
      if (push) {
        const { partitions } = push.asked!;
        push.asked = undefined;
        const refused = effect.kind === "frame" ? effect.frame.partitions : partitions;
        for (const p of partitions) {
          if (refused.includes(p)) continue;
          push.left.delete(p);
          this.counts.acknowledged++;
        }
      } else if (read && effect.kind === "frame" && effect.frame.values.length > 0) {
        const [value] = effect.frame.values;
        expect(value).toBeGreaterThanOrEqual(read.atLeast);
        expect(value).toBeLessThanOrEqual(this.#pushesOf(read.partition, read.key).length);
        this.counts.reads++;
      }
    }
    this.#coordinate();
  }

  #requestOf(control: object): number | undefined {
    return "requestId" in control && typeof control.requestId === "number" ? control.requestId : undefined;
  }

  // -- links and nodes ----------------------------------------------------------------------------------------

  #deliver(): void {
    const a = this.#pick(this.#alive);
    const b = this.#pick(this.#alive);
    if (a === b) return;
    for (let n = this.#random.below(4); n >= 0; n--) {
      if (this.#random.below(2) === 0) this.t.deliver(a, b);
      else this.t.deliverBack(a, b);
    }
  }

  #breakLink(): void {
    const a = this.#pick(this.#alive);
    const b = this.#pick(this.#alive);
    if (a === b) return;
    const frames = this.t.lane(a, b).down.map((bytes) => decodeFrame(bytes));
    this.t.cut(a, b);
    if (this.#random.below(3) > 0) this.t.connect(a, b);
    if (this.#random.below(2) === 0) this.#late.push(...frames.map((frame) => ({ node: b, frame })));
  }

  #deliverLate(): void {
    for (let n = this.#random.below(8); n >= 0; n--) {
      const late = this.#late.shift();
      if (late && this.t.nodes.has(late.node)) this.t.sendRecord(late.node, late.frame);
    }
  }

  #lose(): void {
    const node = this.#pick(this.#alive);
    const isNeeded = this.t.map.entries.some(({ chain }) => chain.every((each) => each === node));
    if (isNeeded || this.t.nodes.size <= 2) return;
    this.t.kill(node);
    this.counts.lost++;
    this.#plan(this.t.without(node));
    this.#forget(node);
  }

  /** What was asked of a node that is lost has no answer. */
  #forget(node: number): void {
    for (const push of this.#pushes) if (push.asked?.node === node) push.asked = undefined;
    for (const [request, read] of this.#reads) if (read.node === node) this.#reads.delete(request);
  }

  // -- the coordinator ----------------------------------------------------------------------------------------

  #plan(changes: Record<number, Chain>): void {
    this.t.plan(changes);
    this.#history.push(this.t.map);
    for (const maps of this.#maps.values()) maps.push(this.t.map);
  }

  /** A node whose link to the coordinator was lost is told the newest map alone. */
  #tellNext(node: number): void {
    const maps = this.#maps.get(node)!;
    if (this.#random.below(8) === 0) maps.splice(0, maps.length - 1);
    const map = maps.shift();
    if (map) this.t.say(node, COORDINATOR, { type: "map", map });
  }

  #changeChain(): void {
    const partition = this.#pick(PARTITIONS);
    const { chain, next } = this.t.map.entries[partition]!;
    if (next) return;
    const stay = chain.filter(() => this.#random.below(4) > 0);
    const come = this.#alive.filter((node) => !chain.includes(node) && this.#random.below(2) === 0);
    const wanted = [...stay, ...come].slice(0, 3);
    if (this.#random.below(3) === 0) wanted.reverse();
    if (wanted.length === 0 || sameChain(wanted, chain)) return;
    this.#plan({ [partition]: { next: wanted } });
  }

  #coordinate(): void {
    for (const { control } of this.t.told.splice(0)) {
      if (control.type !== "chain-ready" && control.type !== "chain-quiet") {
        expect(control.type).toBe("never told");
        continue;
      }
      const { partition, generation } = control;
      const { next, held, chain, generation: current } = this.t.map.entries[partition]!;
      if (!next || generation !== current) continue;
      if (control.type === "chain-ready" ? held || !sameChain(control.next, next) : !held) continue;
      if (control.type === "chain-quiet") this.counts.orders++;
      if (held || keepsOrder(chain, next)) {
        this.counts.installed++;
        this.#plan({ [partition]: { chain: next } });
      } else this.#plan({ [partition]: { next, held: true } });
    }
  }

  // -- the end ------------------------------------------------------------------------------------------------

  /** All links are up, all maps told, all pushes sent until they are acknowledged. */
  settle(): void {
    for (const a of this.#alive)
      for (const b of this.#alive) if (a !== b && !this.t.lane(a, b).isUp) this.t.connect(a, b);
    for (let round = 0; round < 60; round++) {
      for (const node of this.#alive) while (this.#maps.get(node)!.length > 0) this.#tellNext(node);
      this.#known = this.t.map;
      this.#askAgain();
      this.t.run(200);
      this.#listen();
      const isDone = this.#pushes.every(({ left }) => left.size === 0) && this.t.map.entries.every(({ next }) => !next);
      if (isDone && this.#alive.every((node) => this.#maps.get(node)!.length === 0)) break;
    }
    this.t.run(500);
  }

  check(): void {
    expect(this.#pushes.flatMap(({ sequence, left }) => (left.size > 0 ? [sequence] : []))).toEqual([]);
    for (const partition of PARTITIONS) {
      const { chain, next } = this.t.map.entries[partition]!;
      expect([partition, next, this.t.digests(partition).size]).toEqual([partition, undefined, 1]);
      for (const node of chain) {
        this.t.said();
        this.t.pull(node, { [partition]: KEYS }, { anyReplica: true });
        const [answer] = this.t.answers();
        const sums = KEYS.map((key) => this.#pushesOf(partition, key).length);
        expect(answer).toMatch(new RegExp(`= ${sums.join()}$`));
        expect(this.t.digest(node, partition)).toMatch(new RegExp(`^step ${this.#stepOf(partition)} attempt 0;`));
      }
    }
    for (const node of this.#alive) {
      expect(this.t.at(node).waitingAcks).toBe(0);
      const held = this.t.at(node).digests(1).filter(Boolean).length;
      expect(held).toBe(this.t.map.entries.filter(({ chain }) => chain.includes(node)).length);
    }
  }
}

function run(world: World): void {
  try {
    for (let i = 0; i < 500; i++) world.act();
    world.settle();
    world.check();
  } finally {
    world.t.dispose();
  }
}

const SEEDS = Array.from({ length: 80 }, (_, i) => i + 1);
const total = { acknowledged: 0, reads: 0, lost: 0, installed: 0, orders: 0 };

test.each(SEEDS)("chains that change by chance, seed %d", (seed) => {
  const world = new World(seed);
  run(world);
  for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += world.counts[key];
});

test.each(SEEDS.slice(0, 30))("chains that change by chance while batches are pushed, seed %d", (seed) => {
  run(new World(seed, { slots: 3 }));
});

test("enough happened in them", () => {
  expect(total.acknowledged).toBeGreaterThan(3000);
  expect(total.reads).toBeGreaterThan(300);
  expect(total.lost).toBeGreaterThan(20);
  expect(total.installed).toBeGreaterThan(50);
  expect(total.orders).toBeGreaterThan(5);
});

test.each<Sabotage>([
  "ack-before-tail",
  "forget-identities-on-failover",
  "serve-stale-generation",
  "drop-one-forwarded-push",
  "copy-without-forwarding",
])("a node that is made to %s is noticed", (sabotage) => {
  const isNoticed = (seed: number): boolean => {
    try {
      run(new World(seed, { sabotages: [sabotage] }));
      return false;
    } catch {
      return true;
    }
  };
  expect(SEEDS.some(isNoticed)).toBe(true);
});
