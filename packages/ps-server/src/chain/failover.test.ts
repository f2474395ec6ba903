/** A node of a chain is lost, or cut off, at every point: what was acknowledged is there, and counts once. */
import { LIMITS } from "@volary/core/limits";
import { afterEach, describe, expect, it } from "vitest";
import { JOB, TestChains } from "../testing/test-chains.ts";

let t: TestChains;

afterEach(() => t.dispose());

const open = (...chains: number[][]) => {
  t = new TestChains({ chains });
};

/** The coordinator notices that a node is gone. */
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

/** How far a push gets before the head is lost. */
const POINTS: [string, number, () => void][] = [
  ["is passed on", 0, () => {}],
  ["reaches the second", 0, () => t.cut(1, 2)],
  ["reaches the third", 0, () => t.deliver(1, 2)],
  ["is acknowledged by the third", 0, () => (t.deliver(1, 2), t.deliver(2, 3))],
  ["is acknowledged by the second", 0, () => (t.deliver(1, 2), t.deliver(2, 3), t.deliverBack(2, 3))],
  ["is lost", 1, () => t.pump()],
];

describe.each(POINTS)("the head is lost before what it took %s", (_, answered, get) => {
  it("a push that is sent again counts once", () => {
    open([1, 2, 3]);
    t.push(1, { 0: { 5: 4 } }, { sequence: 1 });
    t.pump();
    t.answers();
    t.push(1, { 0: { 5: 1, 6: 2 } }, { sequence: 2 });
    get();
    expect(t.answers()).toHaveLength(answered);
    lose(1);
    t.push(2, { 0: { 5: 1, 6: 2 } }, { sequence: 2 });
    t.pump();
    expect(t.answers()).toEqual(["2: pushDirectReply #3"]);
    expect(weights()).toBe("5,2");
    expect(t.digests(0).size).toBe(1);
  });

  it("a step that was staged may be committed under a new term, and one that was not is started anew", () => {
    open([1, 2, 3]);
    t.fence(1, { term: 1 });
    t.start(1, { step: 1, attempt: 1, slots: 1 });
    t.pump();
    t.answers();
    t.slot(1, { 0: { 5: 1, 6: 2 } }, { step: 1, attempt: 1, slot: 0 });
    get();
    expect(t.answers()).toHaveLength(answered);
    lose(1);
    t.fence(2, { term: 2 });
    t.pump();
    expect(t.answers()).toEqual(["2: promise 2, 0/0"]);
    t.commit(2, { step: 1, attempt: 1, term: 2 });
    t.pump();
    const committed = t.answers();
    if (answered > 0) expect(committed).toEqual(["2: committed 1/1"]);
    if (committed.length === 0) {
      t.start(2, { step: 1, attempt: 2, slots: 1 });
      t.slot(2, { 0: { 5: 1, 6: 2 } }, { step: 1, attempt: 2, slot: 0 });
      t.commit(2, { step: 1, attempt: 2, term: 2 });
      t.pump();
      expect(t.answers()).toEqual(["2: staged 1/2", "2: committed 1/2"]);
    }
    expect(weights()).toBe("1,2");
    expect(t.digests(0).size).toBe(1);
  });

  it("a step that one of the heads has committed is committed by all, as that attempt", () => {
    open([1, 2, 3], [4]);
    for (const node of [1, 4]) {
      t.fence(node, { term: 1 });
      t.start(node, { step: 1, attempt: 1, slots: 1 });
    }
    t.slot(1, { 0: { 5: 1, 6: 2 } }, { step: 1, attempt: 1, slot: 0 });
    t.slot(4, { 1: { 7: 1 } }, { step: 1, attempt: 1, slot: 0 });
    t.pump();
    t.answers();
    t.commit(1, { step: 1, attempt: 1, term: 1 });
    t.commit(4, { step: 1, attempt: 1, term: 1 });
    t.answers();
    get();
    t.answers();
    lose(1);
    for (const node of [2, 4]) t.fence(node, { term: 2 });
    t.pump();
    expect(t.answers().toSorted()).toEqual([expect.stringMatching(/2: promise 2, (0\/0|1\/1)/), "4: promise 2, 1/1"]);
    t.commit(2, { step: 1, attempt: 1, term: 2 });
    t.pump();
    expect(t.answers()).toEqual(["2: committed 1/1"]);
    expect(weights()).toBe("1,2");
    expect(t.digests(0).size).toBe(1);
  });
});

it("a promise that was answered binds the next head", () => {
  open([1, 2]);
  t.fence(1, { term: 5 });
  t.pump();
  lose(1);
  t.answers();
  t.fence(2, { term: 4 });
  expect(t.answers()).toEqual(["2: stale-term"]);
});

describe("the tail is lost", () => {
  it("and what waited for it is answered once the map says so", () => {
    open([1, 2]);
    t.push(1, { 0: { 5: 1 } }, { sequence: 1 });
    t.pull(1, { 0: [5] });
    t.fence(1, { term: 1 });
    t.kill(2);
    t.run(1000);
    expect(t.answers()).toEqual([]);
    t.change(t.without(2));
    expect(t.answers().toSorted()).toEqual(["1: promise 1, 0/0", "1: pullReply #2 = 1", "1: pushDirectReply #1"]);
    expect(t.at(1).waitingAcks).toBe(0);
  });

  it("and a read is answered that waited for what had to be acknowledged before", () => {
    open([1, 2]);
    t.push(1, { 0: { 5: 1 } }, { sequence: 1 });
    t.pull(1, { 0: [5] });
    t.kill(2);
    t.change(t.without(2));
    expect(t.answers()).toEqual(["1: pushDirectReply #1", "1: pullReply #2 = 1"]);
  });

  it("and reads alone that waited for it are answered, too", () => {
    open([1, 2, 3]);
    t.pull(1, { 0: [5] });
    t.kill(3);
    t.pump();
    expect(t.answers()).toEqual([]);
    t.change(t.without(3));
    t.pump();
    expect(t.answers()).toEqual(["1: pullReply #1 = 0"]);
    t.pull(1, { 0: [6] });
    t.kill(2);
    t.change(t.without(2));
    expect(t.answers()).toEqual(["1: pullReply #2 = 0"]);
  });
});

describe("one in the middle is lost", () => {
  it.each([0, 1, 2])("and what it did not pass on is sent to the next, once, after %d deliveries", (deliveries) => {
    open([1, 2, 3]);
    for (let sequence = 1; sequence <= 3; sequence++) t.push(1, { 0: { 5: 1 } }, { sequence });
    for (let i = 0; i < deliveries; i++) t.deliver(1, 2);
    t.deliver(2, 3);
    lose(2);
    expect(t.answers()).toEqual(["1: pushDirectReply #1", "1: pushDirectReply #2", "1: pushDirectReply #3"]);
    expect(weights()).toBe("3,0");
    expect(t.digests(0).size).toBe(1);
    expect(t.lane(1, 3).down).toEqual([]);
    t.run(1000); // nothing more is sent again
    expect(t.at(3).counters.refusedRecords).toBe(0);
  });

  it("and the head hears of it before the tail does, or after", () => {
    for (const first of [1, 3]) {
      open([1, 2, 3]);
      t.push(1, { 0: { 5: 1 } }, { sequence: 1 });
      t.kill(2);
      t.plan(t.without(2));
      t.tell(first);
      t.pump();
      t.push(
        1,
        { 0: { 5: 1 } },
        { sequence: 2, map: { ...t.map, entries: [{ ...t.map.entries[0]!, generation: 1 }] } },
      );
      t.pump();
      t.tell();
      t.run(500);
      expect(t.answers()).toEqual(["1: pushDirectReply #1", "1: pushDirectReply #2"]);
      expect(t.digests(0).size).toBe(1);
      t.dispose();
    }
  });
});

describe("an old head, which was not told that it is none any more,", () => {
  it("acknowledges no push, answers no read, and promises nothing", () => {
    open([1, 2]);
    const old = t.map;
    t.plan({ 0: { chain: [2] } });
    t.tell(2);
    t.push(1, { 0: { 5: 1 } }, { sequence: 1, map: old });
    t.pull(1, { 0: [5] }, { map: old });
    t.fence(1, { term: 9, heads: old.heads });
    t.run(2000);
    expect(t.answers()).toEqual([]);
    expect(t.at(2).counters.refusedRecords).toBeGreaterThan(0);
    t.push(2, { 0: { 5: 1 } }, { sequence: 1 });
    expect(weights()).toBe("1,0");
    t.tell(1);
    expect(t.answers()).toEqual(["1: error STALE_GENERATION #1", "1: error STALE_GENERATION #2"]);
    expect(t.at(1).waitingAcks).toBe(0);
    expect(t.digest(1, 0)).toBe("");
  });

  it("says that a request failed, and not later that it did not, when another of its chains acknowledges", () => {
    open([1, 2], [1, 3]);
    t.push(1, { 0: { 5: 1 }, 1: { 6: 1 } }, { sequence: 1 });
    t.pull(1, { 0: [5], 1: [6] });
    t.change({ 0: { chain: [2] } });
    expect(t.answers()).toEqual(["1: error STALE_GENERATION #1", "1: error STALE_GENERATION #2"]);
    t.pump();
    expect(t.answers()).toEqual([]);
    expect(t.at(1).waitingAcks).toBe(0);
  });

  it("has records refused by one that is behind it still, in the newer chain", () => {
    open([1, 2, 3]);
    const old = t.map;
    t.plan({ 0: { chain: [2, 3] } });
    t.tell(2, 3);
    t.cut(1, 2);
    t.connect(1, 3);
    const of = { partitions: Uint32Array.of(0), generations: Uint32Array.of(1), sequences: Uint32Array.of(1) };
    t.sendRecord(3, { opcode: "promiseRecord", term: 3, ...of });
    expect(t.at(3).counters.refusedRecords).toBe(1);
    t.push(1, { 0: { 5: 1 } }, { sequence: 1, map: old });
    t.run(1000);
    expect(t.answers()).toEqual([]);
    t.push(2, { 0: { 5: 2 } }, { sequence: 1 });
    expect(weights()).toBe("2,0");
  });
});

describe("a link breaks", () => {
  it("and what was lost on it is sent again when it is up: records, and acknowledgements", () => {
    open([1, 2]);
    t.push(1, { 0: { 5: 1 } }, { sequence: 1 });
    t.cut(1, 2);
    t.push(1, { 0: { 5: 1 } }, { sequence: 2 });
    t.connect(1, 2);
    t.deliver(1, 2);
    t.deliver(1, 2);
    t.cut(1, 2); // the acknowledgement is lost
    t.pump();
    expect(t.answers()).toEqual([]);
    t.connect(1, 2);
    t.pump();
    expect(t.answers()).toEqual(["1: pushDirectReply #1", "1: pushDirectReply #2"]);
    expect(weights()).toBe("2,0");
    expect(t.digests(0).size).toBe(1);
  });

  it("and between the last two, too", () => {
    open([1, 2, 3]);
    t.push(1, { 0: { 5: 1 } }, { sequence: 1 });
    t.deliver(1, 2);
    t.cut(2, 3);
    t.connect(2, 3);
    t.pump();
    expect(t.answers()).toEqual(["1: pushDirectReply #1"]);
    t.push(1, { 0: { 5: 1 } }, { sequence: 2 });
    t.pump();
    t.cut(1, 2);
    t.connect(1, 2);
    t.pump();
    expect(weights()).toBe("2,0");
  });
});

it("what is not acknowledged for a while is sent again, and applied once", () => {
  open([1, 2]);
  t.push(1, { 0: { 5: 1 } }, { sequence: 1 });
  t.lane(1, 2).down.length = 0;
  t.run(2 * LIMITS.chainResendMs);
  expect(t.answers()).toEqual(["1: pushDirectReply #1"]);
  t.push(1, { 0: { 5: 1 } }, { sequence: 2 });
  for (let i = 0; i < 5; i++) t.tick(LIMITS.chainResendMs); // and again while it is on its way
  expect(t.lane(1, 2).down.length).toBeGreaterThan(1);
  t.pump();
  expect(t.answers()).toEqual(["1: pushDirectReply #2"]);
  expect(weights()).toBe("2,0");
  expect(t.digests(0).size).toBe(1);
});

it("records that come before one that is missing are refused, and come again", () => {
  open([1, 2]);
  for (let sequence = 1; sequence <= 3; sequence++) t.push(1, { 0: { 5: 1 } }, { sequence });
  t.lane(1, 2).down.splice(1, 1);
  t.pump();
  expect(t.answers()).toEqual(["1: pushDirectReply #1"]);
  expect(t.at(2).counters.refusedRecords).toBe(1);
  t.run(2 * LIMITS.chainResendMs);
  expect(t.answers()).toEqual(["1: pushDirectReply #2", "1: pushDirectReply #3"]);
  expect(weights()).toBe("3,0");
});

it("a job that is closed while answers wait leaves nothing behind", () => {
  open([1, 2]);
  t.push(1, { 0: { 5: 1 } }, { sequence: 1 });
  t.pull(1, { 0: [5] });
  for (const node of [1, 2]) t.say(node, 0, { type: "close-job", job: JOB });
  t.pump();
  expect(t.answers()).toEqual(["1: error STALE_GENERATION #1", "1: error STALE_GENERATION #2"]);
  expect([t.at(1).usage().rows, t.at(2).usage().rows, t.at(1).waitingAcks]).toEqual([0, 0, 0]);
});
