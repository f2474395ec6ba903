/** Words that come late, or never: of copies, of replicas that are lost, of maps. */
import { afterEach, describe, expect, it } from "vitest";
import { LIMITS } from "@volary/core/limits";
import { TableMemory } from "@volary/core/table";
import { TestChains, type TestChainsOptions } from "../testing/test-chains.ts";

let t: TestChains;

afterEach(() => t.dispose());

function open(options: TestChainsOptions): void {
  t = new TestChains({ bounds: { copyPartBytes: 400 }, ...options });
}

const range = (n: number, value: number) => Object.fromEntries(Array.from({ length: n }, (_, key) => [key, value]));

function toldOf(type: string): number {
  return t.told.filter(({ control }) => control.type === type).length;
}

describe("a copy", () => {
  it("is not ended by answers to parts of the one before it", () => {
    open({ chains: [[1]], others: [2] });
    t.push(1, { 0: { 5: 1 } }, { sequence: 1 });
    t.change({ 0: { next: [1, 2] } });
    t.tick(20);
    t.tick(20);
    t.deliver(1, 2); // all there is, but its answer is late
    for (let i = 0; i < 100 && t.at(1).counters.copies === 1; i++) {
      t.tick(LIMITS.chainResendMs);
      if (i === 3) t.push(1, { 0: { 7: 1 } }, { sequence: 2 });
    }
    expect(t.at(1).counters.copies).toBe(2);
    t.deliverBack(1, 2);
    t.cut(1, 2);
    t.connect(1, 2);
    t.run(2000);
    expect(toldOf("chain-ready")).toBeGreaterThan(0);
    t.change({ 0: { chain: [1, 2] } });
    t.pump();
    expect(t.digests(0).size).toBe(1);
  });

  it("takes no part of the one before it, which comes late over an old link", () => {
    open({ chains: [[1]], others: [2] });
    t.push(1, { 0: range(100, 1) }, { sequence: 1 });
    t.change({ 0: { next: [1, 2] } });
    t.tick(20);
    t.tick(20);
    const { link, down } = t.lane(1, 2);
    const late = down.splice(1, 1);
    t.deliver(1, 2);
    t.connect(1, 2); // the old link still has a part on its way
    t.push(1, { 0: { 200: 1 } }, { sequence: 2 });
    t.tick(20);
    const lane = t.lane(1, 2);
    const parts = lane.down.splice(0);
    lane.down.push(parts[0]!);
    t.deliver(1, 2);
    const replies = lane.back.length;
    lane.down.push(...late);
    t.deliver(1, 2);
    expect([link !== lane.link, lane.back.length]).toEqual([true, replies]);
  });
});

describe("a record that is lost between two parts of a copy", () => {
  it("has the copy begun anew: the parts after it have it already", () => {
    open({ chains: [[1]], others: [2] });
    t.push(1, { 0: range(100, 1) }, { sequence: 1 });
    t.change({ 0: { next: [1, 2] } });
    t.tick(20);
    t.tick(20);
    t.deliver(1, 2);
    t.deliver(1, 2);
    t.push(1, { 0: { 90: 1 } }, { sequence: 2 });
    t.lane(1, 2).down.length = 0;
    t.run(60_000);
    expect(t.at(1).counters.copies).toBe(2);
    t.change({ 0: { chain: [1, 2] } });
    expect(t.digests(0).size).toBe(1);
  });
});

describe("a record that comes with one of a newer map", () => {
  it("is applied in its turn: the parts of a copy that follow it have it already", () => {
    open({ chains: [[1], [1]], others: [2] });
    t.push(1, { 0: range(100, 1) }, { sequence: 1 });
    t.change({ 0: { next: [1, 2] } });
    t.tick(20);
    t.tick(20);
    t.pump();
    t.plan({ 1: { next: [1, 2] } });
    t.tell(1);
    t.tick(20);
    t.pump();
    t.push(1, { 0: { 90: 1 }, 1: { 200: 1 } }, { sequence: 2 });
    for (let i = 0; i < 20; i++) {
      t.tick(20);
      t.pump();
    }
    t.tell(2);
    t.run(12_000);
    t.change({ 0: { chain: [1, 2] }, 1: { chain: [1, 2] } });
    t.answers();
    t.pull(2, { 0: [90], 1: [200] }, { anyReplica: true });
    expect(t.answers().join()).toMatch(/= 2,1$/);
  });
});

describe("a replica that was lost on one node", () => {
  it("is said to be lost again, where the coordinator did not hear of it", () => {
    open({ chains: [[1, 2]], memories: { 2: new TableMemory({ arenaBytes: 2 ** 22, bytesMax: 4096 }) } });
    t.push(1, { 0: range(500, 1) }, { sequence: 1 });
    t.pump();
    expect(toldOf("chain-broken")).toBe(1);
    t.told.length = 0; // the coordinator is not there
    t.tell(2); // and is back, with the map of before
    expect(toldOf("chain-broken")).toBe(1);
  });

  it("is not relied on, where the node missed that a copy of it was given up before it was begun again", () => {
    open({ chains: [[1]], others: [2, 3] });
    t.push(1, { 0: { 5: 1 } }, { sequence: 1 });
    t.change({ 0: { next: [1, 2] } });
    t.run(1000);
    t.plan({ 0: {} });
    t.tell(1, 3);
    t.push(1, { 0: { 7: 1 } }, { sequence: 2 });
    t.told.length = 0;
    t.change({ 0: { next: [1, 2, 3] } });
    for (let i = 0; i < 20; i++) {
      t.tick(20);
      t.deliver(2, 3);
      t.deliverBack(2, 3);
    }
    expect(toldOf("chain-ready")).toBe(0);
    t.run(1000);
    expect(toldOf("chain-ready")).toBeGreaterThan(0);
    t.change({ 0: { chain: [1, 2, 3] } });
    t.pump();
    expect(t.digests(0).size).toBe(1);
  });

  it("is copied again, where who copied it missed that the copy was given up", () => {
    open({ chains: [[1]], others: [2] });
    t.change({ 0: { next: [1, 2] } });
    t.run(1000);
    t.plan({ 0: {} });
    t.tell(2);
    t.change({ 0: { next: [1, 2] } });
    t.told.length = 0;
    t.push(1, { 0: { 7: 1 } }, { sequence: 1 });
    t.run(1000);
    expect(t.answers()).toEqual([expect.stringMatching(/pushDirectReply/)]);
    expect(toldOf("chain-ready")).toBeGreaterThan(0);
    t.change({ 0: { chain: [1, 2] } });
    expect(t.digests(0).size).toBe(1);
  });

  it("is not relied on before it has what went before, where a record was lost on its way", () => {
    open({ chains: [[1]], others: [2, 3] });
    t.change({ 0: { next: [1, 2, 3] } });
    t.tick(20);
    t.tick(20);
    t.deliver(1, 2);
    t.push(1, { 0: { 7: 1 } }, { sequence: 1 });
    t.lane(1, 2).down.length = 0;
    t.deliverBack(1, 2);
    t.deliver(1, 2);
    for (let i = 0; i < 5; i++) {
      t.tick(20);
      while (t.deliver(2, 3) || t.deliverBack(2, 3));
    }
    expect(toldOf("chain-ready")).toBe(0);
    t.run(2000);
    expect(toldOf("chain-ready")).toBeGreaterThan(0);
    t.change({ 0: { chain: [1, 2, 3] } });
    expect(t.digests(0).size).toBe(1);
  });

  it("is relied on again, where only its chain has changed", () => {
    for (const first of [1, 2]) {
      open({ chains: [[4, 1]], others: [2, 3] });
      t.push(4, { 0: { 5: 1 } }, { sequence: 1 });
      t.change({ 0: { next: [4, 1, 2, 3] } });
      t.run(100);
      t.cut(2, 3);
      t.kill(4);
      t.plan({ 0: { chain: [1], next: [1, 2, 3] } });
      t.tell(first);
      t.run(200);
      t.tell();
      t.connect(2, 3);
      t.told.length = 0;
      t.push(1, { 0: { 7: 1 } }, { sequence: 2 });
      t.run(2000);
      expect([first, toldOf("chain-ready") > 0]).toEqual([first, true]);
      t.change({ 0: { chain: [1, 2, 3] } });
      t.pump();
      expect(t.digests(0).size).toBe(1);
      t.dispose();
    }
  });

  it("is not relied on, where the node missed that it had left the chain before it was asked back", () => {
    open({ chains: [[1, 2]], others: [3] });
    t.push(1, { 0: { 5: 1 } }, { sequence: 1 });
    t.pump();
    t.plan({ 0: { chain: [1] } });
    t.tell(1, 3);
    t.push(1, { 0: { 7: 1 } }, { sequence: 2 });
    t.change({ 0: { next: [1, 2, 3] } });
    for (let i = 0; i < 20; i++) {
      t.tick(20);
      t.deliver(2, 3);
      t.deliverBack(2, 3);
    }
    expect(toldOf("chain-ready")).toBe(0);
    t.run(1000);
    expect(toldOf("chain-ready")).toBeGreaterThan(0);
    t.change({ 0: { chain: [1, 2, 3] } });
    t.pump();
    expect(t.digests(0).size).toBe(1);
  });
});
