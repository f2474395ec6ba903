/** A chain grows, moves or changes its order while it is written to: nothing is lost, and no one is told too early. */
import { afterEach, describe, expect, it } from "vitest";
import { LIMITS } from "@volary/core/limits";
import { TableMemory } from "@volary/core/table";
import { decodeFrame, type ControlOf } from "@volary/core/wire";
import { TestChains, type TestChainsOptions } from "../testing/test-chains.ts";

let t: TestChains;

afterEach(() => t.dispose());

/** Parts of a copy are some rows long. */
function open(options: TestChainsOptions): void {
  t = new TestChains({ bounds: { copyPartBytes: 400 }, ...options });
}

const range = (n: number, value: number) => Object.fromEntries(Array.from({ length: n }, (_, key) => [key, value]));

function ready(): { node: number; control: ControlOf<"chain-ready"> }[] {
  return t.told.flatMap(({ node, control }) => (control.type === "chain-ready" ? [{ node, control }] : []));
}

/** Makes a partition's next chain its chain, as the coordinator does when it is told so. */
function install(partition = 0): void {
  t.change({ [partition]: { chain: t.map.entries[partition]!.next! } });
  t.pump();
}

let sequence = 0;

/** Adds 1 to some keys, at the head. */
function write(keys: number[], partition = 0): void {
  const head = t.map.entries[partition]!.chain[0]!;
  t.push(head, { [partition]: Object.fromEntries(keys.map((key) => [key, 1])) }, { sequence: ++sequence });
}

function sumOf(node: number, keys: number[]): string {
  t.answers();
  t.pull(node, { 0: keys }, { anyReplica: true });
  return t.answers().join().replace(/.*= /, "");
}

describe("a node is added", () => {
  it("it has all when the coordinator is told so, also what was pushed while it was copied", () => {
    open({ chains: [[1]], others: [2] });
    t.push(1, { 0: range(200, 1) }, { sequence: 1, client: 8 });
    t.change({ 0: { next: [1, 2] } });
    t.tick(20);
    let rounds = 0;
    for (; ready().length === 0; rounds++) {
      write([rounds, 300 + rounds]);
      t.deliver(1, 2);
      t.deliverBack(1, 2);
      t.tick(20);
    }
    expect(rounds).toBeGreaterThan(10); // so many parts
    expect(ready()).toEqual([{ node: 1, control: { type: "chain-ready", partition: 0, generation: 2, next: [1, 2] } }]);
    expect(t.at(1).counters.copies).toBe(1);
    t.answers();
    write([7]);
    expect(t.answers()).toEqual([]); // what is answered from now on it has, too
    t.pump();
    expect(t.answers().length).toBeGreaterThan(0);
    expect(t.at(1).waitingAcks).toBe(0);
    install();
    expect(t.digests(0).size).toBe(1);
    expect(sumOf(2, [0, 199, 300 + rounds - 1])).toBe("2,1,1");
  });

  it("it keeps what it has where the first part of an earlier copy comes late, over a link that has ended", () => {
    open({ chains: [[1]], others: [2] });
    t.push(1, { 0: range(50, 1) }, { sequence: 1, client: 8 });
    t.change({ 0: { next: [1, 2] } });
    t.tick(20);
    t.tick(20);
    const late = decodeFrame(t.lane(1, 2).down[0]!.slice());
    expect(late).toMatchObject({ opcode: "copyPart", cursor: 0 });
    t.cut(1, 2);
    t.connect(1, 2);
    t.run();
    expect(ready().length).toBeGreaterThan(0);
    t.sendRecord(2, late);
    t.run();
    install();
    expect(t.digests(0).size).toBe(1);
    expect(sumOf(2, [0, 49])).toBe("1,1");
  });

  it("nothing waits for it before it has all", () => {
    open({ chains: [[1]], others: [2] });
    t.push(1, { 0: range(200, 1) }, { sequence: 1, client: 8 });
    t.change({ 0: { next: [1, 2] } });
    t.answers();
    t.tick(20);
    t.tick(20);
    t.deliver(1, 2);
    write([7]);
    t.pull(1, { 0: [7] });
    expect(t.answers()).toEqual([expect.stringMatching(/^1: pushDirectReply/), expect.stringMatching(/= 2$/)]);
  });

  it("steps go on while it is copied: what is staged then can be committed there", () => {
    open({ chains: [[1]], others: [2] });
    t.push(1, { 0: range(100, 1) }, { sequence: 1, client: 8 });
    t.fence(1, { term: 1 });
    t.start(1, { step: 1, attempt: 1, slots: 1 });
    t.slot(1, { 0: { 3: 10 } }, { step: 1, attempt: 1, slot: 0 });
    t.change({ 0: { next: [1, 2] } });
    for (let step = 1; step <= 6; step++) {
      t.tick(20);
      t.deliver(1, 2);
      t.commit(1, { step, attempt: 1, term: 1 });
      t.deliver(1, 2);
      t.deliverBack(1, 2);
      t.slot(1, { 0: { 3: 10, [500 + step]: 1 } }, { step: step + 1, attempt: 1, slot: 0 });
    }
    t.run(500);
    expect(ready()).toHaveLength(1);
    install();
    expect(t.digests(0).size).toBe(1);
    t.kill(1);
    t.change(t.without(1));
    t.answers();
    t.fence(2, { term: 2 });
    t.commit(2, { step: 7, attempt: 1, term: 2 });
    expect(t.answers()).toEqual(["2: promise 2, 6/1", "2: committed 7/1"]);
    expect(sumOf(2, [3, 506])).toBe("71,1");
  });

  it("its copy begins anew when the link breaks, and is told no sooner", () => {
    open({ chains: [[1]], others: [2] });
    t.push(1, { 0: range(200, 1) }, { sequence: 1, client: 8 });
    t.change({ 0: { next: [1, 2] } });
    for (let i = 0; i < 5; i++) {
      t.tick(20);
      t.deliver(1, 2);
      t.deliverBack(1, 2);
    }
    t.cut(1, 2);
    write([7]);
    t.run(1000);
    expect(ready()).toEqual([]);
    t.connect(1, 2);
    t.run(1000);
    expect(ready()).toHaveLength(1);
    expect(t.at(1).counters.copies).toBe(2);
    install();
    expect(t.digests(0).size).toBe(1);
    expect(t.at(2).usage().rows).toBe(200);
  });

  it("its copy begins anew when a part, or its answer, is lost", () => {
    for (const lose of ["down", "back"] as const) {
      open({ chains: [[1]], others: [2] });
      t.push(1, { 0: range(200, 1) }, { sequence: 1, client: 8 });
      t.change({ 0: { next: [1, 2] } });
      t.tick(20);
      if (lose === "back") while (t.deliver(1, 2));
      t.lane(1, 2)[lose].length = 0;
      write([7]);
      t.run(30_000);
      expect(ready().length).toBeGreaterThan(0);
      install();
      expect(t.digests(0).size).toBe(1);
      t.dispose();
    }
  });

  it("it may take long over each part", () => {
    open({ chains: [[1]], others: [2] });
    t.push(1, { 0: range(60, 1) }, { sequence: 1, client: 8 });
    t.change({ 0: { next: [1, 2] } });
    for (let i = 0; i < 60 && ready().length === 0; i++) {
      for (let passed = 0; passed < 800; passed += 20) t.tick(20);
      t.deliver(1, 2);
      t.deliverBack(1, 2);
    }
    expect(ready()).toHaveLength(1);
    expect(t.at(1).counters.copies).toBe(1);
  });

  it("the coordinator is told again while nothing becomes of it, and no more once it has", () => {
    open({ chains: [[1]], others: [2] });
    t.change({ 0: { next: [1, 2] } });
    t.run(3 * LIMITS.chainReportMs);
    const before = ready().length;
    expect(before).toBeGreaterThan(1);
    install();
    t.run(3 * LIMITS.chainReportMs);
    expect(ready()).toHaveLength(before);
  });

  it("another one takes its place when it is lost", () => {
    open({ chains: [[1, 2]], others: [3, 4] });
    t.push(1, { 0: range(200, 1) }, { sequence: 1, client: 8 });
    t.pump();
    t.change({ 0: { next: [1, 2, 3] } });
    t.tick(20);
    t.pump();
    t.kill(3);
    t.change({ 0: { next: [1, 2, 4] } });
    write([7]);
    t.run(1000);
    expect(ready().map(({ control }) => control.next)).toEqual([[1, 2, 4]]);
    install();
    expect(t.digests(0).size).toBe(1);
  });

  it("the one that copies is lost: who is before it goes on, and what it answered is there", () => {
    open({ chains: [[1, 2]], others: [3] });
    t.push(1, { 0: range(200, 1) }, { sequence: 1, client: 8 });
    t.pump();
    t.change({ 0: { next: [1, 2, 3] } });
    for (let i = 0; i < 5; i++) {
      t.tick(20);
      write([i]);
      t.pump();
    }
    t.kill(2);
    t.change(t.without(2));
    t.run(1000);
    expect(ready().at(-1)).toMatchObject({ node: 1, control: { generation: 3, next: [1, 3] } });
    install();
    expect(t.digests(0).size).toBe(1);
    expect(sumOf(3, [0, 4, 199])).toBe("2,2,1");
  });

  it("the head is lost while its tail copies", () => {
    open({ chains: [[1, 2]], others: [3] });
    t.push(1, { 0: range(200, 1) }, { sequence: 1, client: 8 });
    t.pump();
    t.change({ 0: { next: [1, 2, 3] } });
    for (let i = 0; i < 3; i++) {
      t.tick(20);
      t.deliver(2, 3);
      t.deliverBack(2, 3);
    }
    t.kill(1);
    t.change(t.without(1));
    write([7]);
    t.run(1000);
    expect(ready().at(-1)).toMatchObject({ node: 2, control: { generation: 3, next: [2, 3] } });
    install();
    expect(t.digests(0).size).toBe(1);
    expect(sumOf(3, [7, 199])).toBe("2,1");
  });
});

it("two nodes are added at once: each is brought up to date by the one before it", () => {
  open({ chains: [[1]], others: [2, 3] });
  t.push(1, { 0: range(100, 1) }, { sequence: 1, client: 8 });
  t.change({ 0: { next: [1, 2, 3] } });
  for (let i = 0; i < 20; i++) {
    write([i]);
    t.tick(20);
    t.deliver(1, 2);
    t.deliverBack(1, 2);
  }
  expect(ready()).toEqual([]);
  t.run(1000);
  expect(ready()).toMatchObject([{ node: 2, control: { next: [1, 2, 3] } }]);
  expect([t.at(1).counters.copies, t.at(2).counters.copies]).toEqual([1, 1]);
  install();
  expect(t.digests(0).size).toBe(1);
  expect(sumOf(3, [0, 99])).toBe("2,1");
});

it("a node that knows of the new chain before the one that copies to it takes its copy", () => {
  for (const first of [1, 2, 3]) {
    open({ chains: [[1]], others: [2, 3] });
    t.push(1, { 0: range(50, 1) }, { sequence: 1, client: 8 });
    t.plan({ 0: { next: [1, 2, 3] } });
    t.tell(first);
    t.run(500);
    t.tell();
    t.run(2000);
    expect([first, ready().length > 0]).toEqual([first, true]);
    install();
    expect([first, t.digests(0).size]).toEqual([first, 1]);
    t.dispose();
  }
});

it("a partition moves: the new node is its head, and the old one gives its memory back", () => {
  open({ chains: [[1], [1]], others: [2] });
  t.push(1, { 0: range(100, 1), 1: { 5: 1 } }, { sequence: 1, client: 8 });
  t.change({ 0: { next: [2] } });
  t.run(1000);
  expect(ready()).toMatchObject([{ node: 1, control: { next: [2] } }]);
  const old = t.map;
  install();
  t.answers();
  t.push(1, { 0: { 7: 1 }, 1: { 5: 1 } }, { sequence: 2, client: 8, map: old });
  expect(t.answers()).toEqual([expect.stringMatching(/^1: pushDirectReply #\d+ stale 0$/)]);
  t.push(2, { 0: { 7: 1 } }, { sequence: 2, client: 8 });
  expect(sumOf(2, [7])).toBe("2");
  expect([t.at(1).usage().rows, t.at(2).usage().rows]).toEqual([1, 100]);
});

it("a push that was answered before its partition moved is known there: sent again, it counts once", () => {
  open({ chains: [[1]], others: [2] });
  t.push(1, { 0: { 5: 1 } }, { sequence: 1, client: 8 });
  t.change({ 0: { next: [2] } });
  t.run(1000);
  install();
  t.push(2, { 0: { 5: 1 } }, { sequence: 1, client: 8 });
  expect(sumOf(2, [5])).toBe("1");
});

describe("the order of a chain changes", () => {
  it("while it is held nothing is taken; then the coordinator is told that it is quiet", () => {
    open({ chains: [[1, 2]] });
    t.push(1, { 0: { 5: 1 } }, { sequence: 1, client: 8 });
    t.pull(1, { 0: [5] });
    t.change({ 0: { next: [2, 1] } });
    t.tick(20);
    t.change({ 0: { next: [2, 1], held: true } });
    t.tick(20);
    expect(t.told.filter(({ control }) => control.type === "chain-quiet")).toEqual([]); // not yet: it waits for acks
    const old = t.map;
    t.push(1, { 0: { 5: 1 } }, { sequence: 2, client: 8 });
    t.pull(1, { 0: [5] });
    t.run(100);
    expect(t.told.at(-1)).toEqual({ node: 1, control: { type: "chain-quiet", partition: 0, generation: 2 } });
    expect(t.answers()).toEqual(["1: pushDirectReply #1", "1: pullReply #2 = 1"]);
    t.plan({ 0: { chain: [2, 1] } });
    t.tell(1);
    t.pump();
    expect(t.answers()).toEqual(["1: pushDirectReply #3 stale 0", "1: pullReply #4 stale 0"]);
    t.tell(2);
    t.push(2, { 0: { 5: 1 } }, { sequence: 2, client: 8 });
    t.push(2, { 0: { 6: 1 } }, { sequence: 3, client: 8, map: old });
    t.pump();
    expect(t.answers()).toEqual(["2: pushDirectReply #6 stale 0", "2: pushDirectReply #5"]);
    expect(sumOf(1, [5])).toBe("2");
    expect(t.digests(0).size).toBe(1);
  });

  it("messages of a step wait, too, and are then told that their map is old", () => {
    open({ chains: [[1, 2]] });
    t.change({ 0: { next: [2, 1], held: true } });
    const { heads } = t.map;
    t.fence(1, { term: 1 });
    t.slot(1, { 0: { 5: 1 } }, { step: 1, attempt: 1, slot: 0 });
    t.run(100);
    expect(t.answers()).toEqual([]);
    install();
    expect(t.answers()).toEqual(["1: stale-heads", "1: stale-heads"]);
    expect(t.map.heads).toBeGreaterThan(heads);
  });

  it("may be given up: what waited is served", () => {
    open({ chains: [[1, 2]] });
    t.change({ 0: { next: [2, 1], held: true } });
    t.push(1, { 0: { 5: 1 } }, { sequence: 1, client: 8 });
    t.run(100);
    t.change({ 0: {} });
    t.pump();
    expect(t.answers()).toEqual(["1: pushDirectReply #1"]);
  });
});

describe("a replica has no memory for a record", () => {
  const open2 = () =>
    open({ chains: [[1, 2]], memories: { 2: new TableMemory({ arenaBytes: 2 ** 22, bytesMax: 4096 }) } });

  it("the coordinator is told, and the others go on once they hear of it", () => {
    open2();
    t.push(1, { 0: { 5: 1 } }, { sequence: 1, client: 8 });
    t.pump();
    t.answers();
    t.push(1, { 0: range(500, 1) }, { sequence: 2, client: 8 });
    t.run(1000);
    const [broken] = t.told;
    expect(broken).toMatchObject({ node: 2, control: { type: "chain-broken", partition: 0, generation: 1, node: 2 } });
    expect(t.told).toHaveLength(1);
    expect(t.answers()).toEqual([]);
    expect(t.at(2).usage().rows).toBe(0);
    t.change({ 0: { chain: [1] } });
    expect(t.answers()).toEqual(["1: pushDirectReply #2"]);
  });

  it("one that is copied has none: the coordinator is told, and nothing waits", () => {
    open({ chains: [[1]], others: [2], memories: { 2: new TableMemory({ arenaBytes: 2 ** 22, bytesMax: 4096 }) } });
    t.push(1, { 0: range(500, 1) }, { sequence: 1, client: 8 });
    t.change({ 0: { next: [1, 2] } });
    t.run(300);
    expect(t.told.map(({ control }) => control.type)).toContain("chain-broken");
    expect(ready()).toEqual([]);
    t.answers();
    write([7]);
    expect(t.answers()).toHaveLength(1);
  });
});
