/** What a partition holds, what it does where that is no more, and that nothing is left of it. */
import { describe, expect, test } from "vitest";
import { sgd } from "../optimizer/index.ts";
import { TableMemory, type MemoryShare } from "../table/table-memory.ts";
import type { TableSpec } from "../table/table-spec.ts";
import { testShare } from "../table/test-rows.ts";
import { Partition } from "./partition.ts";
import { gradient, options, started, TABLES } from "./test-partition.ts";
import { segmentOf, weightsOf } from "./test-segment.ts";

test("a partition without rows holds no memory", () => {
  expect(started().bytes()).toBe(0);
});

describe("a partition whose memory is full", () => {
  const DIM = 64;
  const WIDE: TableSpec = {
    id: 9,
    name: "wide",
    dim: DIM,
    initializer: { kind: "zeros" },
    optimizer: sgd({ learningRate: 1 }),
  };

  /** Ascending keys, and a gradient of ones for each. */
  const ones = (from: number, n: number) =>
    segmentOf({
      table: 9,
      keys: Array.from({ length: n }, (_, i) => from + i),
      values: Array.from({ length: n * DIM }, () => 1),
    });

  function full(): { p: Partition; share: MemoryShare } {
    const share = testShare({ bytesMax: 100_000 });
    const p = new Partition({ ...options(), tables: [TABLES[0]!, WIDE], share });
    p.set(ones(0, 300));
    p.start({ step: 1, attempt: 1, slots: 2, term: 1 });
    return { p, share };
  }

  const refusal =
    /^no room for 100 new rows of table "wide" in partition 3: its rows take \d+ of 100000 bytes, and would need \d+ more; give the PS node more memory \(--memory-max\), let the table drop rows \(eviction\), or keep cold ones on disk \(--spill\)$/;

  test("refuses a push of new rows before anything is applied, and takes it without them", () => {
    const { p, share } = full();
    const before = { bytes: share.bytes, rows: p.rowCount(), export: p.export({ table: 9, cursor: 0, rowsMax: 999 }) };
    const identity = { client: 1, sequence: 1, settled: 0 };
    expect(() => p.check(ones(290, 110))).toThrow(refusal);
    expect(p.hasApplied(identity)).toBe(false);
    const after = { bytes: share.bytes, rows: p.rowCount(), export: p.export({ table: 9, cursor: 0, rowsMax: 999 }) };
    expect(after).toEqual(before);
    expect(share.pledged).toBe(0);
    p.check(ones(200, 100));
    expect(p.pushDirect(identity, ones(200, 100))).toBe("applied");
    expect(p.rowCount()).toBe(300);
  });

  test("refuses a step when its last slot comes; the slot is not in then, and may come with less", () => {
    const { p, share } = full();
    const bytes = share.bytes;
    expect(p.receive({ step: 1, attempt: 1, slot: 0, segment: ones(250, 50) })).toBe("waiting");
    expect(() => p.receive({ step: 1, attempt: 1, slot: 1, segment: ones(300, 100) })).toThrow(refusal);
    expect([p.staged, share.bytes, share.pledged]).toEqual([false, bytes, 0]);
    expect(p.receive({ step: 1, attempt: 1, slot: 1, segment: ones(299, 10) })).toBe("staged");
    expect(p.commit({ step: 1, attempt: 1, term: 1 })).toBe("committed");
    expect(p.rowCount()).toBe(309);
  });

  test("pledges what a staged step needs, until it is committed or dropped", () => {
    const { p, share } = full();
    const other = new Partition({ ...options(), tables: [WIDE], share });
    p.receive({ step: 1, attempt: 1, slot: 0, segment: ones(300, 30) });
    p.receive({ step: 1, attempt: 1, slot: 1, segment: null });
    expect(share.pledged).toBeGreaterThan(0);
    expect(() => other.check(ones(0, 40))).toThrow(/^no room for 40 new rows of table "wide"/);
    p.start({ step: 1, attempt: 2, slots: 1, term: 2 });
    expect(share.pledged).toBe(0);
    other.check(ones(0, 40));
    p.receive({ step: 1, attempt: 2, slot: 0, segment: ones(300, 30) });
    p.commit({ step: 1, attempt: 2, term: 2 });
    expect([p.rowCount(), share.pledged]).toEqual([330, 0]);
    expect(share.bytes).toBeLessThanOrEqual(share.bytesMax);
  });
});

test("a partition that is disposed of gives all its memory back", () => {
  const share = testShare();
  const used = share.arena.bytesUsed;
  const p = new Partition({ ...options(), share });
  p.start({ step: 1, attempt: 1, slots: 2, term: 1 });
  for (const slot of [0, 1]) p.receive({ step: 1, attempt: 1, slot, segment: gradient(1) });
  p.commit({ step: 1, attempt: 1, term: 1 });
  for (const slot of [0, 1]) p.receive({ step: 2, attempt: 1, slot, segment: gradient(1) });
  expect([p.bytes() > 0, share.arena.bytesUsed > used]).toEqual([true, true]);
  p.dispose();
  expect([p.bytes(), share.bytes, share.pledged, share.arena.bytesUsed]).toEqual([0, 0, 0, used]);
});

test("partitions in several memories give the same bits", () => {
  const memory = new TableMemory({ bytesMax: 12 * 2 ** 20, arenaBytes: 4 * 2 ** 20 });
  const shares = [0, 1, 2].map((place) => memory.shareOf(place, { partitions: 3, places: 3 }));
  expect(new Set(shares.map(({ arena }) => arena)).size).toBe(3);
  const all = shares.map((share) => new Partition({ ...options(), share }));
  const { arena } = shares[0]!;
  const outside = segmentOf(
    { table: 5, keys: [8, 9], values: [1, 2, 3, 4] },
    { table: 2, keys: [9, 10], values: [5, 6] },
  );
  const at = arena.allocate(4 * (outside.keys.length + outside.values.length));
  const keys = arena.words.subarray(at / 4, at / 4 + outside.keys.length);
  keys.set(outside.keys);
  const values = arena.floats.subarray(at / 4 + keys.length, at / 4 + keys.length + outside.values.length);
  values.set(outside.values);
  const inFirst = { ...outside, keys, values };
  const weights = all.map((p, i) => {
    const segment = i === 0 ? outside : inFirst;
    p.start({ step: 1, attempt: 1, slots: 1, term: 1 });
    p.receive({ step: 1, attempt: 1, slot: 0, segment });
    p.commit({ step: 1, attempt: 1, term: 1 });
    p.check(segment);
    p.pushDirect({ client: 1, sequence: 1, settled: 0 }, segment);
    return [...weightsOf(p, segment)];
  });
  expect(weights[1]).toEqual(weights[0]);
  expect(weights[2]).toEqual(weights[0]);
  expect(weights[0]!.slice(4)).toEqual([-10, -12]);
});
