/** Steps that close by their leader's word: the sum of the slots it names, times a factor, and of no other slot. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bsp, consistencyOf } from "../consistency/index.ts";
import { ClusterError } from "../errors.ts";
import { sgd } from "../optimizer/index.ts";
import type { TableSpec } from "../table/table-spec.ts";
import { testShare } from "../table/test-rows.ts";
import { Partition, type PartitionOptions } from "./partition.ts";
import { stagedOf } from "./test-chain.ts";
import { keysOf, segmentOf, weightsOf } from "./test-segment.ts";

const initializer = { kind: "zeros" } as const;
const TABLES: readonly TableSpec[] = [
  { id: 2, name: "route", dim: 1, initializer, optimizer: sgd({ learningRate: 1 }) },
  { id: 5, name: "hour", dim: 2, initializer, optimizer: sgd({ learningRate: 1 }) },
];
const mode = consistencyOf(bsp({ quorum: 0.5 }));
const STEP = { step: 1, attempt: 1 };

function open({ slots = 3, ...options }: Partial<PartitionOptions> & { slots?: number } = {}): Partition {
  const p = new Partition({
    partition: 3,
    partitions: 4,
    seed: 7,
    tables: TABLES,
    mode,
    share: testShare(),
    ...options,
  });
  p.start({ ...STEP, slots, term: 1 });
  return p;
}

const routes = (...keys: number[]) => segmentOf({ table: 2, keys, values: keys.map(() => 0) });
/** Gradients of "route" by key. */
const gradients = (byKey: Record<number, number>) =>
  segmentOf({ table: 2, keys: Object.keys(byKey).map(Number), values: Object.values(byKey) });

describe("slots", () => {
  test("that are in do not close a step: its leader does", () => {
    const p = open({ slots: 2 });
    for (const slot of [0, 1]) expect(p.receive({ ...STEP, slot, segment: gradients({ 9: 1 }) })).toBe("waiting");
    expect(p.staged).toBe(false);
    expect(p.close({ ...STEP, slots: [0, 1], scale: 1 })).toBe("staged");
    expect(p.commit({ ...STEP, term: 1 })).toBe("committed");
    expect([...weightsOf(p, routes(9))]).toEqual([-2]);
  });

  test("that are not named leave nothing, in this step and in the next", () => {
    const p = open();
    for (const slot of [0, 1, 2]) p.receive({ ...STEP, slot, segment: gradients({ 9: 1, [20 + slot]: 1 }) });
    expect(p.close({ ...STEP, slots: [2, 0], scale: 1 })).toBe("staged");
    expect(p.hasSlot({ ...STEP, slot: 1 })).toBe(false);
    expect(p.receive({ ...STEP, slot: 1, segment: gradients({ 9: 1 }) })).toBe("late");
    expect(p.receive({ ...STEP, slot: 2, segment: gradients({ 9: 1 }) })).toBe("duplicate");
    p.commit({ ...STEP, term: 1 });
    expect([...weightsOf(p, routes(9, 20, 21, 22))]).toEqual([-2, -1, 0, -1]);
    expect(p.rowCount()).toBe(3);
    expect(p.close({ step: 2, attempt: 1, slots: [], scale: 2 })).toBe("staged");
    p.commit({ step: 2, attempt: 1, term: 1 });
    expect([...weightsOf(p, routes(9))]).toEqual([-2]);
  });

  test("are asked for by step and attempt", () => {
    const p = open();
    p.receive({ ...STEP, slot: 1, segment: null });
    const asked = [
      { ...STEP, slot: 1 },
      { ...STEP, slot: 0 },
      { ...STEP, slot: 7 },
      { step: 2, attempt: 1, slot: 1 },
    ];
    expect(asked.map((at) => p.hasSlot(at))).toEqual([true, false, false, false]);
    expect(p.hasSlot({ step: 1, attempt: 2, slot: 1 })).toBe(false);
  });
});

describe("a close", () => {
  test("of another step or attempt, or of a slot that is not in, is refused and changes nothing", () => {
    const p = open();
    p.receive({ ...STEP, slot: 0, segment: gradients({ 9: 1 }) });
    for (const at of [
      { step: 2, attempt: 1 },
      { step: 0, attempt: 1 },
      { step: 1, attempt: 2 },
    ])
      expect(p.close({ ...at, slots: [0], scale: 1 })).toBe("refused");
    expect(p.close({ ...STEP, slots: [0, 1], scale: 1 })).toBe("refused");
    expect(p.close({ ...STEP, slots: [0, 99], scale: 1 })).toBe("refused");
    expect([p.staged, p.hasSlot({ ...STEP, slot: 0 })]).toEqual([false, true]);
  });

  test("that comes again changes nothing", () => {
    const p = open();
    for (const slot of [0, 1]) p.receive({ ...STEP, slot, segment: gradients({ 9: 1 }) });
    p.close({ ...STEP, slots: [0, 1], scale: 3 });
    expect(p.close({ ...STEP, slots: [0, 1], scale: 3 })).toBe("already");
    expect(p.close({ ...STEP, slots: [0], scale: 5 })).toBe("already");
    p.commit({ ...STEP, term: 1 });
    expect([...weightsOf(p, routes(9))]).toEqual([-6]);
    expect(p.close({ ...STEP, slots: [0, 1], scale: 3 })).toBe("refused");
  });

  test("that is refused elsewhere opens the step again: the same close later gives the same sums", () => {
    const share = testShare();
    const p = open({ share });
    p.receive({ ...STEP, slot: 0, segment: gradients({ 9: 0.1, 10: 0.3 }) });
    p.receive({ ...STEP, slot: 1, segment: null });
    const close = { ...STEP, slots: [0, 1], scale: 1.1 };
    p.close(close);
    const sums = stagedOf(p, TABLES);
    p.reopen();
    expect([p.staged, share.pledged]).toEqual([false, 0]);
    expect(p.close(close)).toBe("staged");
    expect(stagedOf(p, TABLES)).toEqual(sums);
    expect([...sums.values.subarray(sums.valuesAt)]).toEqual(
      [0.1, 0.3].map((x) => Math.fround(Math.fround(x) * Math.fround(1.1))),
    );
  });

  test("for which there is no room fails and can be asked for again", () => {
    const share = testShare({ bytesMax: 2000 });
    const p = open({ share });
    const many = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [i, 1]));
    p.receive({ ...STEP, slot: 0, segment: gradients(many) });
    p.receive({ ...STEP, slot: 1, segment: gradients({ 9: 1 }) });
    const failed = (): unknown => p.close({ ...STEP, slots: [0, 1], scale: 2 });
    expect(failed).toThrow(ClusterError);
    expect(failed).toThrow(/^no room for 300 new rows of table "route" in partition 3/);
    expect([p.staged, share.pledged]).toEqual([false, 0]);
    expect(p.close({ ...STEP, slots: [1], scale: 2 })).toBe("staged");
    p.commit({ ...STEP, term: 1 });
    expect([...weightsOf(p, routes(9))]).toEqual([-2]);
  });

  test("whose sums are not finite fails, naming the key", () => {
    const p = open();
    p.receive({ ...STEP, slot: 0, segment: gradients({ 9: 3e38 }) });
    expect(() => p.close({ ...STEP, slots: [0], scale: 2 })).toThrow(
      /^Infinity for key 9 of table "route", component 0/,
    );
    expect(p.staged).toBe(false);
  });
});

test("sums are those of the named slots in their order, times the factor, to the bit", () => {
  const value = fc.float({ noNaN: true, min: -1000, max: 1000 });
  const rows = fc.dictionary(fc.integer({ min: 0, max: 9 }).map(String), fc.tuple(value, value), {
    noNullPrototype: true,
  });
  const slot = fc.record({ rows: fc.option(rows), named: fc.boolean() });
  const run = fc.property(
    fc.array(slot, { minLength: 1, maxLength: 5 }),
    fc.constantFrom(1, 2, 4 / 3, 1.1),
    (slots, scale) => {
      const p = open({ slots: slots.length });
      const sums = new Map<number, number[]>();
      for (const [number, { rows: of, named }] of slots.entries()) {
        const keys = Object.keys(of ?? {}).map(Number);
        const values = keys.flatMap((key) => of![key]!.map(Math.fround));
        p.receive({ ...STEP, slot: number, segment: of ? segmentOf({ table: 5, keys, values }) : null });
        if (!named) continue;
        for (const [k, key] of keys.entries()) {
          const own = values.slice(2 * k, 2 * k + 2);
          const before = sums.get(key);
          sums.set(key, before ? before.map((x, i) => Math.fround(x + own[i]!)) : own);
        }
      }
      const named = slots.flatMap((each, number) => (each.named ? [number] : []));
      expect(p.close({ ...STEP, slots: named, scale })).toBe("staged");
      const keys = [...sums.keys()].toSorted((a, b) => a - b);
      const expected = keys.flatMap((key) => sums.get(key)!.map((x) => Math.fround(x * Math.fround(scale))));
      const staged = stagedOf(p, TABLES);
      expect([...staged.values.subarray(staged.valuesAt)]).toEqual(expected);
      expect(keysOf(staged.keys.subarray(2 * staged.keysAt)).map(Number)).toEqual(keys);
      p.dispose();
    },
  );
  fc.assert(run, { numRuns: 200 });
});
