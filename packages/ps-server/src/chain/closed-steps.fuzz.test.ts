/**
 * Steps that close by their leader's word, over chains that lose nodes by chance, with messages that are late, lost and
 * repeated: every batch is summed into one step, once, with its step's factor, on all replicas alike.
 */
import { expect, test } from "vitest";
import { bsp, consistencyOf } from "@volary/core/consistency";
import type { Sabotage } from "@volary/core/sabotage";
import { seededRandom, type SeededRandom } from "@volary/core/testing";
import type { Control } from "@volary/core/wire";
import { StepLeader, type NodeAnswer } from "../coordinator/batches/step-leader.ts";
import { COORDINATOR, type LinkId } from "../effects.ts";
import { JOB, LEADER, TestChains, type Values } from "../testing/test-chains.ts";

const SLOTS = 3;
const BATCH_SIZE = 12;
const BATCHES = 24;
const KEYS = [5, 6, 7];
const PARTITIONS = [0, 1];
const MODE = consistencyOf(bsp({ quorum: 0.5 }));

/** A batch that a worker was given. */
interface Push {
  readonly batch: number;
  readonly at: { step: number; attempt: number; slot: number };
  /** Nodes that it was not sent to yet. */
  readonly left: Set<number>;
}

class World {
  readonly t: TestChains;
  readonly #random: SeededRandom;
  readonly #leader: StepLeader;
  #term = 0;
  /** Batches that are to be given out, and those that were. */
  readonly #pool = Array.from({ length: BATCHES }, (_, batch) => batch);
  readonly #pushes: Push[] = [];
  /** What is on its way to each node, and from it. */
  readonly #toNode = new Map<number, { link: LinkId; control: Control }[]>();
  readonly #toLeader = new Map<number, NodeAnswer[]>();
  readonly #values: Values[];
  readonly #samples: number[];
  /** By partition and key. */
  readonly #weights: Values = { 0: {}, 1: {} };
  readonly #trained: number[] = [];
  readonly counts = { steps: 0, dropped: 0, returned: 0, lost: 0, late: 0 };

  constructor(seed: number, ...sabotages: Sabotage[]) {
    const random = (this.#random = seededRandom(seed));
    const chains = [
      [1, 2, 3],
      [2, 3, 1],
    ];
    this.t = new TestChains({ chains, consistency: bsp({ quorum: 0.5 }), sabotages: new Set(sabotages) });
    const some = () =>
      Object.fromEntries(KEYS.filter(() => random.below(2) === 0).map((key) => [key, random.below(9) - 4]));
    this.#values = Array.from({ length: BATCHES }, () => ({ 0: some(), 1: some() }));
    this.#samples = Array.from({ length: BATCHES }, () => 2 + 2 * random.below(2));
    this.#leader = new StepLeader({
      job: JOB,
      slots: SLOTS,
      batchSize: BATCH_SIZE,
      mode: MODE,
      toNode: (node, control) => this.#queue(node, LEADER, control),
      onCommitted: (batches) => this.#apply(batches),
      onDropped: (batches) => this.#giveBack(batches, "dropped"),
      onReturned: (batches) => this.#giveBack(batches, "returned"),
    });
    this.#beginTerm();
  }

  #pick<T>(of: readonly T[]): T {
    return of[this.#random.below(of.length)]!;
  }

  get #alive(): number[] {
    return [...this.t.nodes.keys()];
  }

  get isDone(): boolean {
    return this.#trained.length === BATCHES;
  }

  act(): void {
    const chance = this.#random.below(100);
    if (chance < 12) this.#give();
    else if (chance < 30) this.#send();
    else if (chance < 33) this.#sendAgain();
    else if (chance < 55) this.#deliver();
    else if (chance < 75) this.#handControl(this.#pick(this.#alive));
    else if (chance < 93) this.#handAnswer(this.#pick(this.#alive));
    else if (chance < 96) this.#breakLink(this.#pick(this.#alive));
    else if (chance < 97) this.#leader.resend();
    else if (chance < 98) this.#leader.closeLate();
    else if (chance < 99) this.t.tick(250);
    else if (this.#random.below(8) === 0) this.#loseNode();
    else this.#beginTerm();
    this.#listen();
  }

  // -- workers ------------------------------------------------------------------------------------------------

  #give(): void {
    if (!this.#leader.hasRoom || this.#pool.length === 0) return;
    const [batch] = this.#pool.splice(this.#random.below(this.#pool.length), 1);
    const at = this.#leader.add({ worker: this.#pushes.length, batch: batch!, samples: this.#samples[batch!]! });
    this.#pushes.push({ batch: batch!, at, left: new Set(this.#heads) });
  }

  /** Sends what a worker has computed to one of the nodes; it is done when all have been sent it. */
  #send(): void {
    const open = this.#pushes.filter(({ left }) => left.size > 0);
    if (open.length === 0) return;
    const push = this.#pick(open);
    const node = this.#pick([...push.left]);
    push.left.delete(node);
    this.#sendTo(node, push);
    if (push.left.size === 0) this.#leader.onDone(push.batch);
  }

  #sendAgain(): void {
    const sent = this.#pushes.filter(({ left }) => left.size === 0);
    if (sent.length > 0) this.#sendTo(this.#pick(this.#heads), this.#pick(sent.slice(-6)));
  }

  #sendTo(node: number, { batch, at }: Push): void {
    if (!this.t.nodes.has(node)) return;
    const mine = PARTITIONS.filter((p) => this.t.map.entries[p]!.chain[0] === node);
    this.t.slot(node, Object.fromEntries(mine.map((p) => [p, this.#values[batch]![p]!])), at);
  }

  // -- the coordinator ----------------------------------------------------------------------------------------

  get #heads(): number[] {
    return [...new Set(this.t.map.entries.map(({ chain }) => chain[0]!))];
  }

  #beginTerm(): void {
    const { heads } = this.t.map;
    for (const { left } of this.#pushes) left.clear(); // nobody goes on with what it was given
    this.#leader.beginTerm({ term: ++this.#term, heads, nodes: this.#heads, members: [0, 1, 2] });
  }

  #giveBack(batches: readonly number[], why: "dropped" | "returned"): void {
    this.#pool.push(...batches);
    this.counts[why] += batches.length;
  }

  #apply(batches: readonly number[]): void {
    this.counts.steps++;
    this.#trained.push(...batches);
    const samples = batches.reduce((sum, batch) => sum + this.#samples[batch]!, 0);
    const scale = Math.fround(BATCH_SIZE / samples);
    for (const p of PARTITIONS) {
      for (const key of KEYS) {
        const sum = batches.reduce((total, batch) => total + (this.#values[batch]![p]![key] ?? 0), 0);
        const before = this.#weights[p]![key] ?? 0;
        this.#weights[p]![key] = Math.fround(before + Math.fround(sum * scale));
      }
    }
  }

  // -- links and nodes ------------------------------------------------------------------------------------------

  #queue(node: number, link: LinkId, control: Control): void {
    const queue = this.#toNode.get(node);
    if (queue) queue.push({ link, control });
    else this.#toNode.set(node, [{ link, control }]);
  }

  #handControl(node: number): boolean {
    const next = this.#toNode.get(node)?.shift();
    if (next) this.t.say(node, next.link, next.control);
    return next !== undefined;
  }

  #handAnswer(node: number): boolean {
    const answer = this.#toLeader.get(node)?.shift();
    if (answer) this.#leader.onAnswer(node, answer);
    return answer !== undefined;
  }

  #deliver(): void {
    const [a, b] = [this.#pick(this.#alive), this.#pick(this.#alive)];
    if (a === b) return;
    for (let n = this.#random.below(4); n >= 0; n--) {
      if (this.#random.below(2) === 0) this.t.deliver(a, b);
      else this.t.deliverBack(a, b);
    }
  }

  /** What the leader and a node said is lost, but maps: a node that joins again is told the newest. */
  #breakLink(node: number): void {
    const queue = this.#toNode.get(node) ?? [];
    this.#toNode.set(
      node,
      queue.filter(({ control }) => control.type === "map"),
    );
    this.#toLeader.set(node, []);
    this.#leader.resend(node);
  }

  #loseNode(): void {
    if (this.t.nodes.size === 1) return;
    const node = this.#pick(this.#alive);
    this.t.kill(node);
    this.counts.lost++;
    this.t.plan(this.t.without(node));
    for (const each of this.#alive) this.#queue(each, COORDINATOR, { type: "map", map: this.t.map });
    this.#beginTerm();
  }

  #listen(): void {
    for (const { node, effect } of this.t.said()) {
      if (effect.kind !== "control") continue;
      const { control } = effect;
      const isAnswer =
        control.type === "promise" ||
        control.type === "slot-in" ||
        control.type === "staged" ||
        control.type === "committed";
      if (!isAnswer) {
        expect(["stale-heads", "stale-term"], JSON.stringify(control)).toContain(control.type);
        continue;
      }
      const queue = this.#toLeader.get(node);
      if (queue) queue.push(control);
      else this.#toLeader.set(node, [control]);
    }
  }

  // -- the end --------------------------------------------------------------------------------------------------

  settle(): void {
    for (let round = 0; round < 200 && !this.isDone; round++) {
      this.#give();
      while (this.#pushes.some(({ left }) => left.size > 0)) this.#send();
      for (const node of this.#alive) while (this.#handControl(node));
      this.t.run(40);
      this.#listen();
      for (const node of this.#alive) while (this.#handAnswer(node));
      if (round % 10 === 9) this.#leader.resend();
    }
    for (const node of this.#alive) while (this.#handControl(node));
    this.t.run(500);
    this.counts.late = [...this.t.nodes.values()].reduce((sum, { counters }) => sum + counters.latePushes, 0);
  }

  check(): void {
    expect(this.#trained.toSorted((a, b) => a - b)).toEqual(Array.from({ length: BATCHES }, (_, batch) => batch));
    for (const p of PARTITIONS) {
      expect(this.t.digests(p).size).toBe(1);
      for (const node of this.t.map.entries[p]!.chain) {
        this.t.said();
        this.t.pull(node, { [p]: KEYS }, { anyReplica: true });
        const expected = KEYS.map((key) => (this.#weights[p]![key] ?? 0) + 0);
        expect(this.t.answers().join()).toMatch(new RegExp(`= ${expected.join()}$`));
      }
    }
  }
}

function run(world: World): void {
  try {
    for (let i = 0; i < 3000 && !world.isDone; i++) world.act();
    world.settle();
    world.check();
  } finally {
    world.t.dispose();
  }
}

const SEEDS = Array.from({ length: 60 }, (_, i) => i + 1);
const total = { steps: 0, dropped: 0, returned: 0, lost: 0, late: 0 };

test.each(SEEDS)("steps of half a quorum, seed %d", (seed) => {
  const world = new World(seed);
  run(world);
  for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += world.counts[key];
});

test("enough happened in them", () => {
  expect(total.steps).toBeGreaterThan(500);
  expect(total.dropped).toBeGreaterThan(50);
  expect(total.returned).toBeGreaterThan(50);
  expect(total.lost).toBeGreaterThan(20);
  expect(total.late).toBeGreaterThan(20);
});

test("a node that is made to ack-before-tail is noticed", () => {
  const isNoticed = (seed: number): boolean => {
    try {
      run(new World(seed, "ack-before-tail"));
      return false;
    } catch {
      return true;
    }
  };
  expect(SEEDS.some(isNoticed)).toBe(true);
});
