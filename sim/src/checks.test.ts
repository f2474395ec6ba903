/** Each checker of plain tables and replicas finds what it is there for, and nothing else. */
import { describe, expect, test } from "vitest";
import { faultsOfOwn } from "./check-own.ts";
import { faultsOfPushes, type PlainRows } from "./check-pushes.ts";
import { faultsOfReads } from "./check-reads.ts";
import { faultsOfReplicas, type ReplicasToCheck } from "./check-replicas.ts";
import { Ledger, type Operation } from "./ledger.ts";
import { PLAIN, type PlainName } from "./plain-tables.ts";

type Outcome = Operation["outcome"];

interface Told {
  kind?: Operation["kind"];
  table: PlainName;
  keys: bigint[];
  values: number[];
  at?: [number, number];
  outcome?: Outcome;
  relaxed?: boolean;
}

function ledgerOf(operations: readonly Told[]): Ledger {
  let now = 0;
  const ledger = new Ledger(() => now);
  for (const {
    kind = "push",
    table,
    keys,
    values,
    at: [from, to] = [0, 1],
    outcome = "done",
    relaxed = false,
  } of operations) {
    now = from;
    const operation = ledger.begin({ kind, client: "c", table, keys, values: Float32Array.from(values), relaxed });
    now = to;
    if (outcome !== "open") ledger.end(operation, outcome);
  }
  return ledger;
}

function rowsOf(given: Partial<Record<PlainName, Record<string, number[]>>>): PlainRows {
  return new Map(
    Object.keys(PLAIN).map((name) => [
      name,
      new Map(
        Object.entries(given[name as PlainName] ?? {}).map(([key, row]) => [BigInt(key), Float32Array.from(row)]),
      ),
    ]),
  );
}

describe("pushes", () => {
  const pushes = (table: PlainName, values: number[], outcomes: Outcome[]): Told[] =>
    values.map((value, i) => ({
      table,
      keys: [7n],
      values: Array.from({ length: PLAIN[table].dim }, () => value),
      outcome: outcomes[i]!,
    }));
  const done = (n: number): Outcome[] => Array.from({ length: n }, () => "done");

  test.each<[string, PlainName, number[], Outcome[], number[] | undefined, RegExp | undefined]>([
    ["one that is there once", "once", [1], ["done"], [1], undefined],
    ["one that is lost", "once", [1], ["done"], undefined, /is there 0 times/],
    ["one that is doubled", "once", [1], ["done"], [2], /is there 2 times/],
    ["an unknown one that is there", "once", [1], ["failed"], [1], undefined],
    ["an unknown one that is not", "once", [1], ["open"], undefined, undefined],
    ["an unknown one that is doubled", "once", [1], ["open"], [2], /is there 2 times/],
    ["a row that nobody pushed", "once", [], [], [1], /which nobody pushed/],
    ["counts", "counts", [1, 1, 1], ["done", "done", "open"], [2], undefined],
    ["a count that is too low", "counts", [1, 1], done(2), [1], /counted 1 times, not 2/],
    ["a count that is too high", "counts", [1, 1], ["done", "open"], [3], /counted 3 times, not 1 to 2/],
    ["a key that is counted from its third push on", "late", [1, 1, 1, 1], done(4), [2], undefined],
    ["a key that is counted too early", "late", [1, 1], done(2), [1], /counted 1 times, not 0/],
    ["a peak", "peaks", [3, 5, 4], done(3), [5, 5], undefined],
    ["a peak that is lost", "peaks", [3, 5], done(2), [5, 3], /component 1 .* is 3, where 5/],
    ["a peak that nobody pushed", "peaks", [3], done(1), [6, 3], /is 6/],
    ["gradients", "weights", [1, 2], done(2), [-1.25, -1.25, -1.25], undefined],
    ["gradients of which one is unknown", "weights", [1, 2], ["done", "open"], [-0.25, -0.25, -0.25], undefined],
    ["a gradient that is lost", "weights", [1, 2], done(2), [-0.75, -0.75, -0.75], /which 2 pushes/],
    ["half a gradient", "weights", [1, 2], ["done", "open"], [-0.25, -1.25, -0.25], /1 unknown/],
    ["a key that a small table kept", "few", [1, 1], done(2), [1], undefined],
    ["a key that it counted too often", "few", [1, 1], done(2), [3], /counted 3 times/],
  ])("%s", (_, table, values, outcomes, row, fault) => {
    const ledger = ledgerOf(pushes(table, values, outcomes));
    const faults = faultsOfPushes({ ledger, rows: rowsOf(row ? { [table]: { "7": row } } : {}) });
    if (fault) expect(faults.join()).toMatch(fault);
    else expect(faults).toEqual([]);
  });

  test("more rows than a table may have", () => {
    const keys = Array.from({ length: PLAIN.few.eviction.rowsMax + 1 }, (_, i) => BigInt(i));
    const ledger = ledgerOf([{ table: "few", keys, values: keys.map(() => 1) }]);
    const rows = rowsOf({ few: Object.fromEntries(keys.map((key) => [String(key), [1]])) });
    expect(faultsOfPushes({ ledger, rows }).join()).toMatch(/has 25 rows, and may have 24/);
  });
});

describe("reads", () => {
  const push: Told = { table: "counts", keys: [7n], values: [1], at: [10, 20] };
  const read = (value: number, at: [number, number], relaxed = false): Told => ({
    kind: "get",
    table: "counts",
    keys: [7n],
    values: [value],
    at,
    relaxed,
  });

  test.each<[string, Told[], RegExp | undefined]>([
    ["one that sees what was acknowledged", [push, read(1, [21, 22])], undefined],
    ["one that does not", [push, read(0, [21, 22])], /saw 0 .* where 1 was acknowledged/],
    ["one at the same time, before", [push, read(0, [19, 30])], undefined],
    ["one at the same time, after", [push, read(1, [9, 11])], undefined],
    ["one that sees what was not begun", [push, read(1, [1, 9])], /at most 0 was pushed/],
    ["two at the same time as the push, in order", [push, read(0, [11, 12]), read(1, [13, 14])], undefined],
    ["two that go back", [push, read(1, [11, 12]), read(0, [13, 14])], /saw 0 .* seen before/],
    ["one of any replica", [push, read(0, [21, 22], true)], undefined],
    ["one of any replica that sees too much", [push, read(2, [21, 22], true)], /at most 1/],
  ])("%s", (_, operations, fault) => {
    const faults = faultsOfReads(ledgerOf(operations));
    if (fault) expect(faults.join()).toMatch(fault);
    else expect(faults).toEqual([]);
  });
});

describe("rows of one client", () => {
  const set: Told = { kind: "set", table: "own", keys: [7n], values: [1, 2] };
  const push: Told = { table: "own", keys: [7n], values: [1, -1] };
  const faults = (operations: Told[], row: number[] | undefined) =>
    faultsOfOwn({ ledger: ledgerOf(operations), rows: rowsOf(row ? { own: { "7": row } } : {}), seed: 3 });
  const get = (values: number[]): Told => ({ kind: "get", table: "own", keys: [7n], values });
  // One step of Adam moves a weight by its learning rate.
  const after = [Math.fround(1 - 0.01), Math.fround(2 + 0.01)];

  test("that are what one thread computes", () => {
    expect(faults([set, get([1, 2])], [1, 2])).toEqual([]);
    const moved = faults([set, push], [1, 2]).join();
    expect(moved).toMatch(/row 7 of table "own" is \[1, 2\], not/);
    for (const weight of after) expect(moved).toMatch(String(weight).slice(0, 5));
    expect(faults([get([0, 0])], undefined).join()).toMatch(/saw \[0, 0\]/); // they begin at random
  });

  test("of which one read, or the end, is another", () => {
    expect(faults([set, get([1, 3])], [1, 2]).join()).toMatch(/saw \[1, 3\] at key 7, not \[1, 2\]/);
    expect(faults([set], undefined).join()).toMatch(/is \[undefined\]/);
  });

  test("whose last change is unknown are not judged", () => {
    expect(faults([set, { ...push, outcome: "failed" }], [5, 5])).toEqual([]);
  });
});

describe("replicas", () => {
  const check: ReplicasToCheck = {
    map: {
      version: 4,
      heads: 1,
      partitionsLog2: 1,
      function: { kind: "hash" },
      nodes: [1, 2, 3].map((node) => ({ node, name: `n${node}`, address: `a${node}` })),
      entries: [
        { generation: 1, headSince: 1, chain: [1, 2] },
        { generation: 1, headSince: 1, chain: [2, 3] },
      ],
    },
    nodes: [
      { node: 1, mapVersion: 4, digests: () => ["x", ""] },
      { node: 2, mapVersion: 4, digests: () => ["x", "y"] },
      { node: 3, mapVersion: 4, digests: () => ["", "y"] },
    ],
    jobs: [1],
    replicas: 2,
  };
  const [entry] = check.map.entries;
  const withNode = (at: number, node: Partial<ReplicasToCheck["nodes"][number]>): ReplicasToCheck => ({
    ...check,
    nodes: check.nodes.with(at, { ...check.nodes[at]!, ...node }),
  });
  const withEntry = (of: Partial<NonNullable<typeof entry>>): ReplicasToCheck => ({
    ...check,
    map: { ...check.map, entries: check.map.entries.with(0, { ...entry!, ...of }) },
  });

  test.each<[string, ReplicasToCheck, RegExp | undefined]>([
    ["that are equal", check, undefined],
    ["that differ", withNode(1, { digests: () => ["z", "y"] }), /partition 0 of job 1 on nodes 1, 2 differ/],
    ["one of which is missing", withNode(2, { digests: () => ["", ""] }), /has no replica of partition 1/],
    ["one too many", withNode(0, { digests: () => ["x", "y"] }), /node 1 still has partition 1/],
    ["of an old map", withNode(0, { mapVersion: 3 }), /node 1 goes by map 3/],
    ["too few", { ...check, replicas: 3 }, /partition 0 is on nodes 1, 2, and should be on 3/],
    ["that are still copied", withEntry({ next: [1, 3] }), /partition 0/],
    ["that are held", withEntry({ held: true }), /partition 0/],
  ])("%s", (_, given, fault) => {
    const faults = faultsOfReplicas(given);
    if (fault) expect(faults.join()).toMatch(fault);
    else expect(faults).toEqual([]);
  });
});
