/** Nothing is answered before the tail of the chain has it, and all replicas have the same then. */
import { afterEach, describe, expect, it } from "vitest";
import type { TableSpec } from "@volary/core/table";
import { seededRandom } from "@volary/core/testing";
import { SUMS, TestChains } from "../testing/test-chains.ts";

let t: TestChains;

afterEach(() => t.dispose());

/** One partition on nodes 1 … n. */
const chainOf = (n: number) => new TestChains({ chains: [Array.from({ length: n }, (_, i) => i + 1)] });

/** Delivers towards the tail, then back, and says after which deliveries something was answered. */
function answeredAfter(n: number): { before: string[]; after: string[] } {
  for (let i = 1; i < n; i++) while (t.deliver(i, i + 1));
  for (let i = n - 1; i > 1; i--) while (t.deliverBack(i, i + 1));
  const before = t.answers();
  if (n > 1) while (t.deliverBack(1, 2));
  return { before, after: t.answers() };
}

describe("with one replica", () => {
  it("nothing waits, and nothing is sent", () => {
    t = chainOf(1);
    t.push(1, { 0: { 5: 1 } }, { sequence: 1 });
    t.set(1, { 0: { 6: 9 } });
    t.pull(1, { 0: [5, 6] });
    t.fence(1, { term: 1 });
    t.start(1, { step: 1, attempt: 1, slots: 1 });
    t.slot(1, { 0: { 5: 2 } }, { step: 1, attempt: 1, slot: 0 });
    t.commit(1, { step: 1, attempt: 1, term: 1 });
    expect(t.answers()).toEqual([
      "1: pushDirectReply #1",
      "1: setReply #2",
      "1: pullReply #3 = 1,9",
      "1: promise 1, 0/0",
      "1: staged 1/1",
      "1: committed 1/1",
    ]);
    expect(t.at(1).counters).toMatchObject({ chainRecords: 0, chainBytes: 0 });
  });
});

describe.each([2, 3])("with %d replicas", (n) => {
  it("a direct push is answered once the tail has it", () => {
    t = chainOf(n);
    t.push(1, { 0: { 5: 1 } }, { sequence: 1 });
    expect(answeredAfter(n)).toEqual({ before: [], after: ["1: pushDirectReply #1"] });
    expect(t.digests(0).size).toBe(1);
    expect(t.digest(n, 0)).toContain("1 rows");
  });

  it("a set is answered once the tail has it", () => {
    t = chainOf(n);
    t.set(1, { 0: { 5: 1 } });
    expect(answeredAfter(n)).toEqual({ before: [], after: ["1: setReply #1"] });
    expect(t.digests(0).size).toBe(1);
  });

  it("a promise is answered once the tail has it", () => {
    t = chainOf(n);
    t.fence(1, { term: 3 });
    expect(answeredAfter(n)).toEqual({ before: [], after: ["1: promise 3, 0/0"] });
  });

  it("a step is staged, and committed, once the tail has it", () => {
    t = chainOf(n);
    t.fence(1, { term: 1 });
    t.start(1, { step: 1, attempt: 1, slots: 2 });
    answeredAfter(n);
    t.slot(1, { 0: { 5: 1, 6: 2 } }, { step: 1, attempt: 1, slot: 0 });
    expect(t.lane(1, 2).down).toEqual([]); // the sums are passed on, not the slots
    t.slot(1, { 0: { 6: 3 } }, { step: 1, attempt: 1, slot: 1 });
    expect(answeredAfter(n)).toEqual({ before: [], after: ["1: staged 1/1"] });
    t.commit(1, { step: 1, attempt: 1, term: 1 });
    expect(answeredAfter(n)).toEqual({ before: [], after: ["1: committed 1/1"] });
    expect(t.digests(0).size).toBe(1);
    t.pull(n, { 0: [5, 6] }, { anyReplica: true });
    expect(t.answers()).toEqual([expect.stringMatching(/pullReply #\d+ = 1,5$/)]);
  });

  it("a read is answered once a record that was made after it is acknowledged", () => {
    t = chainOf(n);
    t.push(1, { 0: { 5: 1 } }, { sequence: 1 });
    t.pull(1, { 0: [5] });
    expect(answeredAfter(n)).toEqual({ before: [], after: ["1: pushDirectReply #1"] }); // its record is older
    expect(answeredAfter(n)).toEqual({ before: [], after: ["1: pullReply #2 = 1"] });
  });

  it("reads that wait share a confirmation", () => {
    t = chainOf(n);
    const before = t.at(1).counters.chainRecords;
    for (let i = 0; i < 50; i++) t.pull(1, { 0: [5] });
    expect(answeredAfter(n).after).toHaveLength(1);
    expect(answeredAfter(n).after).toHaveLength(49);
    expect(t.at(1).counters.chainRecords - before).toBe(2);
    expect(t.at(1).waitingAcks).toBe(0);
  });

  it("an export is answered once it is confirmed", () => {
    t = chainOf(n);
    t.push(1, { 0: { 5: 1 } }, { sequence: 1 });
    t.pump();
    t.answers();
    const of = { partitions: Uint32Array.of(0), generations: Uint32Array.of(1) };
    t.send(1, { opcode: "export", requestId: 9, table: SUMS.id, ...of });
    expect(answeredAfter(n)).toEqual({ before: [], after: ["1: exportReply #9 = 1 stale 0"] });
  });
});

it("an answer waits for the chains of all partitions that it is about, and for no other", () => {
  t = new TestChains({
    chains: [[1, 2], [1, 3], [1, 4], [1]],
  });
  t.push(1, { 0: { 5: 1 }, 1: { 6: 1 }, 3: { 8: 1 } }, { sequence: 1 });
  t.push(1, { 2: { 7: 1 } }, { sequence: 2 });
  t.deliver(1, 2);
  t.deliverBack(1, 2);
  expect(t.answers()).toEqual([]);
  t.deliver(1, 3);
  t.deliverBack(1, 3);
  expect(t.answers()).toEqual(["1: pushDirectReply #1"]);
  t.pump();
  expect(t.answers()).toEqual(["1: pushDirectReply #2"]);
});

it("frames of several partitions go on as one record frame each", () => {
  t = new TestChains({ chains: Array.from({ length: 8 }, () => [1, 2]) });
  t.push(1, Object.fromEntries(Array.from({ length: 8 }, (_, p) => [p, { [p]: p, [p + 10]: 1 }])), { sequence: 1 });
  expect(t.lane(1, 2).down).toHaveLength(1);
  t.pump();
  expect(t.answers()).toEqual(["1: pushDirectReply #1"]);
  for (let p = 0; p < 8; p++) expect([p, t.digests(p).size]).toEqual([p, 1]);
});

const admission = { kind: "count", updates: 2, counter: { kind: "exact", keysMax: 800 } } as const;

it.each<[string, Pick<TableSpec, "admission" | "eviction">]>([
  ["admits some", { admission }],
  ["keeps the newest", { eviction: { rowsMax: 40, order: "least-recent" } }],
  ["does both", { admission, eviction: { expireSteps: 3, order: "least-frequent" } }],
  ["keeps all", {}],
])("a table that %s is the same on all replicas, after pushes and steps by chance", (_, care) => {
  const random = seededRandom(5);
  const below = (n: number) => random.below(n);
  const tables = [{ ...SUMS, ...care }];
  t = new TestChains({ chains: [[1, 2, 3], [2, 3, 1], [3], [1, 3]], tables });
  let sequence = 0;
  const heads = t.map.entries.map(({ chain }) => chain[0]!);
  const some = (partitions: number[]) =>
    Object.fromEntries(
      partitions.map((p) => [p, Object.fromEntries(Array.from({ length: below(6) }, () => [below(30), below(9)]))]),
    );
  for (let step = 1; step <= 25; step++) {
    for (const node of [1, 2, 3]) t.fence(node, { term: step });
    for (const node of [1, 2, 3]) t.start(node, { step, attempt: step, slots: 2 });
    for (let slot = 0; slot < 2; slot++) {
      for (const node of [1, 2, 3]) {
        const own = [0, 1, 2, 3].filter((p) => heads[p] === node);
        t.slot(node, some(own), { step, attempt: step, slot });
        t.push(node, some(own), { sequence: ++sequence, settled: Math.max(0, sequence - 50) });
        if (below(3) === 0) t.pump();
      }
    }
    t.pump();
    for (const node of [1, 2, 3]) t.commit(node, { step, attempt: step, term: step });
    if (below(2) === 0) t.pump();
  }
  t.pump();
  expect(t.answers().filter((text) => text.includes("committed 25/25"))).toHaveLength(3);
  for (let p = 0; p < 4; p++) expect([p, t.digests(p).size]).toEqual([p, 1]);
  expect(t.digest(1, 0)).toMatch(/^step 25 attempt 25/);
  expect(t.digest(1, 0)).not.toContain(" 0 rows");
  expect(t.told).toEqual([]);
});
