import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bsp, consistencyOf } from "../consistency/index.ts";
import { sgd } from "../optimizer/index.ts";
import type { AdmissionSpec, EvictionSpec, TableSpec } from "../table/table-spec.ts";
import { testShare } from "../table/test-rows.ts";
import { Partition, type PartitionOptions } from "./partition.ts";
import { keysOf, segmentOf, weightsOf } from "./test-segment.ts";

const PARTITION = 5;
const PARTITIONS = 8;

/** Tables 1, 2 … whose weight is 1000 minus the sum of the gradients that were applied. */
function tables(...cares: Pick<TableSpec, "admission" | "eviction">[]): TableSpec[] {
  const initializer = { kind: "constant", value: 1000 } as const;
  const optimizer = sgd({ learningRate: 1 });
  return cares.map((care, i) => ({ id: i + 1, name: `t${i + 1}`, dim: 1, initializer, optimizer, ...care }));
}

function open(specs: TableSpec[], options: Partial<PartitionOptions> = {}): Partition {
  const place = { partition: PARTITION, partitions: PARTITIONS, seed: 7 };
  const mode = consistencyOf(bsp());
  const p = new Partition({ ...place, tables: specs, mode, share: testShare(), ...options });
  p.start({ step: 1, attempt: 1, slots: 2, term: 1 });
  return p;
}

/** Gradients of one step: by table, then by key. */
type Push = ReadonlyMap<number, ReadonlyMap<number, number>>;

const pushOf = (table: number, ...keys: number[]): Push => new Map([[table, new Map(keys.map((key) => [key, 1]))]]);

/** Half of the keys of a push, as a slot sends them: every gradient in two parts, or in one. */
function slotOf(push: Push, slot: number) {
  return segmentOf(
    ...[...push].map(([table, grads]) => {
      const mine = [...grads].filter(([key]) => key % 3 === 2 || key % 3 === slot).toSorted(([a], [b]) => a - b);
      return { table, keys: mine.map(([key]) => key), values: mine.map(([key, g]) => (key % 3 === 2 ? g / 2 : g)) };
    }),
  );
}

function step(p: Partition, push: Push, { from, order = [0, 1] }: { from?: Partition; order?: number[] } = {}): void {
  const next = { step: p.committed.step + 1, attempt: 1 };
  for (const slot of order) p.receive({ ...next, slot, segment: slotOf(push, slot) });
  expect(p.commit({ ...next, term: 1, ...(from && { records: from.records }) })).toBe("committed");
}

/** Keys of a table with all that their rows are, by key. */
function rowsOf(p: Partition, table: number): [number, number, number, number][] {
  const rows: [number, number, number, number][] = [];
  for (let cursor: number | undefined = 0; cursor !== undefined;) {
    const { keys, weights, updates, lastSteps, next } = p.export({ table, cursor, rowsMax: 50 });
    keysOf(keys).forEach((key, i) => rows.push([Number(key), weights[i]!, updates[i]!, lastSteps[i]!]));
    cursor = next;
  }
  return rows.toSorted(([a], [b]) => a - b);
}

const keysIn = (p: Partition, table = 1): number[] => rowsOf(p, table).map(([key]) => key);

const afterTwo: AdmissionSpec = { kind: "count", updates: 2, counter: { kind: "exact", keysMax: 800 } };

describe("a table that admits keys by their number of pushes", () => {
  test("drops the gradients of keys that are not admitted, and applies the one that admits", () => {
    const p = open(tables({ admission: afterTwo }, {}));
    step(p, new Map([...pushOf(1, 1, 2, 3), ...pushOf(2, 9)]));
    expect([keysIn(p, 1), keysIn(p, 2)]).toEqual([[], [9]]);
    step(p, pushOf(1, 2, 4));
    expect(rowsOf(p, 1)).toEqual([[2, 999, 1, 2]]);
    expect(p.records.map((each) => [each.step, each.table, keysOf(each.admitted), each.evicted.length])).toEqual([
      [2, 1, [2n], 0],
    ]);
    step(p, pushOf(1, 1, 2, 3, 4, 5));
    expect(rowsOf(p, 1)).toEqual([
      [1, 999, 1, 3],
      [2, 998, 2, 3],
      [3, 999, 1, 3],
      [4, 999, 1, 3],
    ]);
  });

  test("counts no pull, and answers it with the initial value", () => {
    const p = open(tables({ admission: afterTwo }));
    const wanted = segmentOf({ table: 1, keys: [7], values: [] });
    step(p, pushOf(1, 7));
    for (let i = 0; i < 5; i++) expect([...weightsOf(p, wanted)]).toEqual([1000]);
    step(p, pushOf(1, 8));
    expect(keysIn(p)).toEqual([]);
    step(p, pushOf(1, 7));
    expect([...weightsOf(p, wanted)]).toEqual([999]);
  });

  test("takes thousands of keys, refused ones among admitted ones", () => {
    const p = open(tables({ admission: afterTwo }));
    const wide = { kind: "count", updates: 2, counter: { kind: "exact", keysMax: 1e6 } } as const;
    const q = open(tables({ admission: wide }));
    const all = Array.from({ length: 5000 }, (_, i) => i);
    const some = all.filter((i) => (i * i) % 7 === 2);
    for (const keys of [some, all, some]) for (const each of [p, q]) step(each, pushOf(1, ...keys));
    expect(rowsOf(q, 1)).toEqual(some.map((key) => [key, 998, 2, 3]));
    expect(p.rowCount()).toBeLessThan(some.length);
  });

  test("counts a push once in an attempt that commits, and not in one that is given up", () => {
    const p = open(tables({ admission: afterTwo }));
    for (const attempt of [2, 3, 4]) {
      p.start({ step: 1, attempt, slots: 1, term: attempt });
      p.receive({ step: 1, attempt, slot: 0, segment: segmentOf({ table: 1, keys: [7], values: [1] }) });
    }
    p.commit({ step: 1, attempt: 4, term: 4 });
    p.commit({ step: 1, attempt: 4, term: 4 });
    expect(keysIn(p)).toEqual([]);
  });

  test("asks no memory for keys that it does not admit", () => {
    const share = testShare({ bytesMax: 4096 });
    const p = open(tables({ admission: afterTwo }), { share });
    for (let at = 0; at < 20; at++) step(p, pushOf(1, ...Array.from({ length: 500 }, (_, i) => 500 * at + i)));
    expect([p.rowCount(), share.bytes]).toEqual([0, 0]);
    const known = Array.from({ length: 20 }, (_, i) => 9980 + i);
    const again = pushOf(1, ...known, ...Array.from({ length: 500 }, (_, i) => 20_000 + i));
    step(p, again);
    expect(keysIn(p)).toEqual(known);
    expect(share.bytes).toBeLessThanOrEqual(4096);
  });

  test("makes a row by a set, whatever was counted", () => {
    const p = open(tables({ admission: afterTwo }));
    p.set(segmentOf({ table: 1, keys: [4], values: [5] }));
    step(p, pushOf(1, 4));
    expect(rowsOf(p, 1)).toEqual([[4, 4, 1, 1]]);
  });

  test("counts direct pushes, each once", () => {
    const p = open(tables({ admission: afterTwo, eviction: { rowsMax: 8, order: "least-recent" } }));
    const push = (sequence: number, ...keys: number[]) =>
      p.pushDirect({ client: 1, sequence, settled: 0 }, segmentOf({ table: 1, keys, values: keys.map(() => 1) }));
    expect([push(1, 7), push(1, 7)]).toEqual(["applied", "duplicate"]);
    expect(keysIn(p)).toEqual([]);
    push(2, 7, 8);
    expect(keysIn(p)).toEqual([7]);
    push(3, 8);
    expect(keysOf(p.records[0]!.admitted)).toEqual([8n]);
    expect(keysOf(p.records[0]!.evicted)).toEqual([7n]); // a share of one row; equal ages go by key
  });
});

describe("a table that evicts rows", () => {
  test("keeps its share of rows, and makes a row that comes back anew", () => {
    const p = open(tables({ eviction: { rowsMax: 3 * PARTITIONS, order: "least-recent" } }));
    step(p, pushOf(1, 1, 2, 3));
    step(p, pushOf(1, 1, 2));
    step(p, pushOf(1, 4));
    expect(rowsOf(p, 1)).toEqual([
      [1, 998, 2, 2],
      [2, 998, 2, 2],
      [4, 999, 1, 3],
    ]);
    expect([...weightsOf(p, segmentOf({ table: 1, keys: [3], values: [] }))]).toEqual([1000]);
    step(p, pushOf(1, 3));
    expect(rowsOf(p, 1)).toEqual([
      [2, 998, 2, 2],
      [3, 999, 1, 4],
      [4, 999, 1, 3],
    ]);
  });

  test("lets rows expire in steps that push nothing to it", () => {
    const p = open(tables({ eviction: { expireSteps: 3, order: "least-recent" } }));
    step(p, pushOf(1, 1, 2));
    step(p, pushOf(1, 2));
    step(p, new Map());
    expect(keysIn(p)).toEqual([1, 2]);
    step(p, new Map());
    expect(keysIn(p)).toEqual([2]);
    step(p, new Map());
    expect(keysIn(p)).toEqual([]);
  });

  test("stays within its memory however many keys come by", () => {
    const share = testShare();
    const p = open(tables({ eviction: { rowsMax: 200 * PARTITIONS, order: "least-frequent" } }), { share });
    let most = 0;
    for (let at = 0; at < 300; at++) {
      step(p, pushOf(1, ...Array.from({ length: 50 }, (_, i) => 50 * at + i)));
      expect(p.rowCount()).toBeLessThanOrEqual(200);
      if (at === 20) most = share.bytes;
    }
    expect(share.bytes).toBe(most);
    p.dispose();
    expect(share.bytes).toBe(0);
  });

  test("tells which rows went after a step, and that it no longer knows", () => {
    const p = open(tables({ eviction: { expireSteps: 1, order: "least-recent" } }));
    for (let key = 1; key <= 5; key++) step(p, pushOf(1, key));
    const since = (at: number) => {
      const answer = p.tombstonesSince(at);
      return answer.kind === "complete" ? answer.tables.flatMap(({ keys }) => keysOf(keys)) : answer;
    };
    expect(since(0)).toEqual([1n, 2n, 3n, 4n]);
    expect(since(3)).toEqual([3n, 4n]);
    p.forgetTombstones(3);
    expect(since(2)).toEqual({ kind: "incomplete", completeSince: 3 });
  });
});

test("a replica that is given no records stops", () => {
  const p = open(tables({ admission: afterTwo }), { role: "replica" });
  expect(() => step(p, pushOf(1, 1))).toThrow("invariant broken: a replica is given the records of each step");
});

/** The rules once more, on Maps. */
class TableModel {
  rows = new Map<number, { weight: number; updates: number; lastStep: number }>();
  readonly counts = new Map<number, number>();
  admitted: number[] = [];
  evicted: number[] = [];
  readonly spec: TableSpec;

  constructor(spec: TableSpec) {
    this.spec = spec;
  }

  step(at: number, grads: ReadonlyMap<number, number>): void {
    const { admission, eviction } = this.spec;
    this.admitted = [];
    for (const [key, gradient] of [...grads].toSorted(([a], [b]) => a - b)) {
      let row = this.rows.get(key);
      if (!row) {
        const seen = (this.counts.get(key) ?? 0) + 1;
        this.counts.set(key, seen);
        if (admission && seen < admission.updates) continue;
        this.counts.delete(key);
        if (admission) this.admitted.push(key);
        row = { weight: 1000, updates: 0, lastStep: 0 };
        this.rows.set(key, row);
      }
      Object.assign(row, { weight: row.weight - gradient, updates: row.updates + 1, lastStep: at });
    }
    this.evicted = eviction ? this.#evict(at, eviction).toSorted((a, b) => a - b) : [];
    for (const key of this.evicted) this.rows.delete(key);
  }

  #evict(at: number, { expireSteps, rowsMax, order }: EvictionSpec): number[] {
    const every = Math.max(1, Math.floor((expireSteps ?? 0) / 16));
    const isDue = expireSteps !== undefined && (at + PARTITION) % every === 0;
    const expired = [...this.rows].filter(([, row]) => isDue && at - row.lastStep >= expireSteps).map(([key]) => key);
    const share = Math.ceil((rowsMax ?? Infinity) / PARTITIONS);
    const rest = [...this.rows].filter(([key]) => !expired.includes(key));
    if (rest.length <= share) return expired;
    const by = (order === "least-recent" ? ["lastStep", "updates"] : ["updates", "lastStep"]) as [
      "updates",
      "lastStep",
    ];
    rest.sort(([a, x], [b, y]) => x[by[0]] - y[by[0]] || x[by[1]] - y[by[1]] || a - b);
    return [...expired, ...rest.slice(0, rest.length - Math.ceil((15 * share) / 16)).map(([key]) => key)];
  }

  all(): [number, number, number, number][] {
    const rows = [...this.rows].map(
      ([key, { weight, updates, lastStep }]) => [key, weight, updates, lastStep] as const,
    );
    return rows.map((row): [number, number, number, number] => [...row]).toSorted(([a], [b]) => a - b);
  }
}

const admission = fc.option(
  fc.record({
    kind: fc.constant("count" as const),
    updates: fc.integer({ min: 2, max: 4 }),
    counter: fc.constantFrom<AdmissionSpec["counter"]>(
      { kind: "exact", keysMax: 8000 },
      { kind: "exact", keysMax: 80 },
      { kind: "bloom", keys: 160, falsePositives: 0.1 },
    ),
  }),
  { nil: undefined, freq: 3 },
);
const eviction = fc.option(
  fc.record({
    rowsMax: fc.integer({ min: 1, max: 60 * PARTITIONS }),
    expireSteps: fc.integer({ min: 1, max: 60 }),
    order: fc.constantFrom("least-recent", "least-frequent"),
  }) as fc.Arbitrary<EvictionSpec>,
  { nil: undefined, freq: 5 },
);
/** Does the counter forget nothing here? Those that do are held to their own models. */
const forgetsNothing = ({ admission: spec }: TableSpec): boolean =>
  spec === undefined || (spec.counter.kind === "exact" && spec.counter.keysMax === 8000);
/** Keys of one step, more of them small. */
const grads = fc.array(fc.tuple(fc.nat(30), fc.nat(9), fc.integer({ min: 1, max: 3 })), { maxLength: 40, size: "max" });

test("over any steps the head decides as the rules on Maps do, and a replica that follows, then leads, and another order of arrival are equal to it", () => {
  const seen = { admitted: 0, evicted: 0, steps: 0 };
  const share = testShare();
  fc.assert(
    fc.property(
      fc.array(fc.record({ admission, eviction }), { minLength: 2, maxLength: 2 }),
      fc.array(fc.array(grads, { minLength: 2, maxLength: 2 }), { minLength: 5, maxLength: 60, size: "max" }),
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 0, max: 60 }),
      (cares, steps, checkpointAt, leadAt) => {
        const specs = tables(...(cares as Pick<TableSpec, "admission" | "eviction">[]));
        const [head, other] = [open(specs, { share }), open(specs, { share })];
        const replica = open(specs, { share, role: "replica" });
        const models = specs.map((spec) => new TableModel(spec));
        let copy: [number, number, number, number][][] = specs.map(() => []);
        for (const [i, tableGrads] of steps.entries()) {
          const push = new Map(
            tableGrads.map((each, t) => [t + 1, new Map(each.map(([a, b, g]) => [a * b, g] as const))] as const),
          );
          step(head, push);
          step(other, push, { order: [1, 0] });
          if (i === leadAt) replica.lead();
          step(replica, push, i < leadAt ? { from: head } : {});
          expect(other.records).toEqual(head.records);
          expect(replica.records).toEqual(head.records);
          for (const [t, model] of models.entries()) {
            if (!forgetsNothing(model.spec)) continue;
            model.step(i + 1, push.get(t + 1)!);
            expect(rowsOf(head, t + 1)).toEqual(model.all());
            const record = head.records.find(({ table }) => table === t + 1);
            expect(record ? keysOf(record.admitted).map(Number) : []).toEqual(model.admitted);
            expect(record ? keysOf(record.evicted).map(Number) : []).toEqual(model.evicted);
            seen.admitted += model.admitted.length;
            seen.evicted += model.evicted.length;
          }
          if (i + 1 === checkpointAt) copy = specs.map(({ id }) => rowsOf(head, id));
        }
        seen.steps += steps.length;
        for (const { id } of specs) {
          expect(rowsOf(other, id)).toEqual(rowsOf(head, id));
          expect(rowsOf(replica, id)).toEqual(rowsOf(head, id));
          expect(replica.digest()).toBe(head.digest());
          // What a checkpoint of the rows that changed, and of those that went, makes of an older one.
          const gone = head.tombstonesSince(checkpointAt);
          const tombstones = gone.kind === "complete" ? gone.tables.find(({ table }) => table === id) : undefined;
          const rows = new Map(copy[id - 1]!.map((row) => [row[0], row]));
          for (const key of keysOf(tombstones?.keys ?? new Uint32Array(0))) rows.delete(Number(key));
          for (const row of rowsOf(head, id)) if (row[3] > checkpointAt) rows.set(row[0], row);
          if (steps.length >= checkpointAt)
            expect([...rows.values()].toSorted((a, b) => a[0] - b[0])).toEqual(rowsOf(head, id));
        }
        for (const p of [head, other, replica]) p.dispose();
      },
    ),
    { numRuns: 25, interruptAfterTimeLimit: 20_000 },
  );
  expect(seen.admitted).toBeGreaterThan(100);
  expect(seen.evicted).toBeGreaterThan(100);
  expect(share.bytes).toBe(0);
});
