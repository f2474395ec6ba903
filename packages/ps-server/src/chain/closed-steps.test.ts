/** Steps that close by their leader's word, over chains that lose their head at every point. */
import { afterEach, describe, expect, it } from "vitest";
import type { TableSpec } from "@volary/core/table";
import { JOB, LEADER, TestChains, type TestChainsOptions } from "../testing/test-chains.ts";

let t: TestChains;

afterEach(() => t.dispose());

const STEP = { step: 1, attempt: 1 };

const open = (options: TestChainsOptions) => {
  t = new TestChains({ consistency: { mode: "bsp", quorum: 0.5 }, ...options });
};

function begin(node: number, at = STEP): void {
  t.fence(node, { term: at.attempt });
  t.start(node, { ...at, slots: 3 });
}

function lose(node: number): void {
  t.kill(node);
  t.change(t.without(node));
  t.pump();
}

/** The weights of keys 5 and 6 of partition 0, as its head answers. */
function weights(): string {
  t.answers();
  t.pull(t.map.entries[0]!.chain[0]!, { 0: [5, 6] });
  t.pump();
  return t.answers().join().replace(/.*= /, "");
}

it("slots that are in are the head's alone; what is closed is told when all replicas have the sums", () => {
  open({ chains: [[1, 2, 3]] });
  begin(1);
  t.pump();
  t.answers();
  t.slot(1, { 0: { 5: 1 } }, { ...STEP, slot: 2 });
  t.slot(1, { 0: { 5: 2, 6: 8 } }, { ...STEP, slot: 0 });
  expect(t.answers()).toEqual(["1: slot 2 of 1/1 in", "1: slot 0 of 1/1 in"]);
  expect(t.lane(1, 2).down).toEqual([]);
  t.close(1, { ...STEP, slots: [0, 2], scale: 1.5 });
  expect(t.answers()).toEqual([]);
  t.pump();
  expect(t.answers()).toEqual(["1: staged 1/1"]);
  t.commit(1, { ...STEP, term: 1 });
  t.pump();
  expect(weights()).toBe("4.5,12");
  expect(t.digests(0).size).toBe(1);
});

/** How far the sums get before the head is lost, and what the coordinator was told. */
const POINTS: [string, number, () => void][] = [
  ["is passed on", 0, () => {}],
  ["reaches the second", 0, () => t.deliver(1, 2)],
  ["reaches the third", 0, () => (t.deliver(1, 2), t.deliver(2, 3))],
  ["is acknowledged by all, but not told", 0, () => (t.deliver(1, 2), t.deliver(2, 3), t.deliverBack(2, 3))],
  ["is told", 1, () => t.pump()],
];

describe.each(POINTS)("the head is lost before what it closed %s", (_, told, get) => {
  it("and the step is finished with the same sums where another head committed it, else begun anew", () => {
    open({ chains: [[1, 2, 3], [4]] });
    for (const node of [1, 4]) begin(node);
    t.pump();
    t.slot(1, { 0: { 5: 1, 6: 2 } }, { ...STEP, slot: 1 });
    t.slot(4, { 1: { 7: 1 } }, { ...STEP, slot: 1 });
    t.slot(1, { 0: { 5: 100 } }, { ...STEP, slot: 0 });
    t.answers();
    for (const node of [4, 1]) t.close(node, { ...STEP, slots: [1], scale: 3 });
    get();
    expect(t.answers().toSorted()).toEqual(["1: staged 1/1", "4: staged 1/1"].slice(1 - told));
    if (told > 0) t.commit(4, { ...STEP, term: 1 });
    lose(1);
    t.answers();
    for (const node of [2, 4]) t.fence(node, { term: 2 });
    t.pump();
    if (told > 0) {
      expect(t.answers().toSorted()).toEqual(["2: promise 2, 0/0", "4: promise 2, 1/1"]);
      t.commit(2, { ...STEP, term: 2 });
      t.pump();
      expect(t.answers()).toEqual(["2: committed 1/1"]);
      expect(weights()).toBe("3,6");
    } else {
      expect(t.answers().toSorted()).toEqual(["2: promise 2, 0/0", "4: promise 2, 0/0"]);
      const again = { step: 1, attempt: 2 };
      for (const node of [2, 4]) begin(node, again);
      t.answers();
      t.close(2, { ...again, slots: [1] });
      expect(t.at(2).counters.refusedSteps).toBe(1); // what was in is lost with the head
      t.slot(2, { 0: { 5: 1 } }, { ...again, slot: 2 });
      t.slot(4, { 1: {} }, { ...again, slot: 2 });
      for (const node of [2, 4]) t.close(node, { ...again, slots: [2], scale: 3 });
      t.pump();
      for (const node of [2, 4]) t.commit(node, { ...again, term: 2 });
      t.pump();
      expect(weights()).toBe("3,0");
    }
    expect(t.digests(0).size).toBe(1);
  });
});

it("a replica is lost before it has the sums: the step is staged by the others", () => {
  open({ chains: [[1, 2]] });
  begin(1);
  t.slot(1, { 0: { 5: 1 } }, { ...STEP, slot: 0 });
  t.pump();
  t.answers();
  t.close(1, { ...STEP, slots: [0] });
  t.kill(2);
  expect(t.answers()).toEqual([]);
  t.change(t.without(2));
  expect(t.answers()).toEqual(["1: staged 1/1"]);
});

it("a new replica that is copied to between close and commit has the sums", () => {
  open({ chains: [[1]], others: [2] });
  begin(1);
  for (const slot of [0, 2]) t.slot(1, { 0: { 5: 1, 6: 2 } }, { ...STEP, slot });
  t.close(1, { ...STEP, slots: [0, 2], scale: 1.5 });
  t.change({ 0: { next: [1, 2] } });
  t.run(1000);
  t.change({ 0: { chain: [1, 2] } });
  t.pump();
  t.commit(1, { ...STEP, term: 1 });
  t.pump();
  expect(t.digests(0).size).toBe(1);
  lose(1);
  expect(weights()).toBe("3,6");
});

it("dense rows of the reserved table follow their optimizer on every replica", () => {
  const dense: TableSpec = {
    id: 0,
    name: "~dense",
    dim: 8,
    initializer: { kind: "zeros" },
    optimizer: { kind: "adam", learningRate: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-7 },
  };
  open({ chains: [[1, 2, 3]], tables: [dense] });
  begin(1);
  const sections = (keys: number[]) => ({
    tables: Uint32Array.of(0),
    partitions: Uint32Array.of(0),
    generations: Uint32Array.of(t.map.entries[0]!.generation),
    counts: Uint32Array.of(keys.length),
    keys: Uint32Array.from(keys.flatMap((key) => [key, 0])),
  });
  const weightsOf = (node: number): number[] => {
    t.said();
    t.send(node, { opcode: "pull", requestId: 99, slots: 1, ...sections([0, 1]) });
    return t.said().flatMap(({ effect }) => (effect.kind === "frame" ? [...effect.frame.values] : []));
  };
  for (const step of [1, 2, 3]) {
    for (const slot of [0, 1, 2]) {
      const values = Float32Array.from({ length: 16 }, (_, i) => step + i - 4 * slot);
      const at = { generation: t.map.heads, step, attempt: 1, term: 1, slot };
      t.send(1, { opcode: "push", ...at, ...sections([0, 1]), values });
    }
    t.close(1, { step, attempt: 1, slots: [0, 2], scale: 1.5 });
    t.pump();
    t.commit(1, { step, attempt: 1, term: 1 });
    t.pump();
  }
  expect(t.digests(0).size).toBe(1);
  expect(
    weightsOf(1)
      .map(Math.abs)
      .every((weight) => weight > 0.1),
  ).toBe(true);
  for (const node of [2, 3]) expect(weightsOf(node)).toEqual(weightsOf(1));
});

it("slots are told to whoever fenced last", () => {
  open({ chains: [[1]] });
  begin(1);
  t.slot(1, { 0: { 5: 1 } }, { ...STEP, slot: 0 });
  t.at(1).handleClose(LEADER);
  t.answers();
  t.slot(1, { 0: { 5: 1 } }, { ...STEP, slot: 1 });
  expect(t.answers()).toEqual([]);
  const { heads } = t.map;
  t.say(1, LEADER + 1, { type: "fence", job: JOB, term: 1, heads });
  expect(t.answers()).toEqual(["1: promise 1, 0/0", "1: slot 0 of 1/1 in", "1: slot 1 of 1/1 in"]);
});
