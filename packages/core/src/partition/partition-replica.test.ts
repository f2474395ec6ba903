import { describe, expect, test } from "vitest";
import { bsp, consistencyOf } from "../consistency/index.ts";
import { ClusterError, ProtocolError } from "../errors.ts";
import { adagrad, sgd } from "../optimizer/index.ts";
import type { Sabotage } from "../sabotage.ts";
import { MemoryColdStore } from "../table/cold-store.ts";
import type { TableSpec } from "../table/table-spec.ts";
import { testShare } from "../table/test-rows.ts";
import { seededRandom } from "../testing/seeded-random.ts";
import { Partition, type PartitionOptions } from "./partition.ts";
import { allRows, stagedOf, TestChain } from "./test-chain.ts";
import { segmentOf, weightsOf } from "./test-segment.ts";

const initializer = { kind: "zeros" } as const;
const TABLES: readonly TableSpec[] = [
  { id: 2, name: "route", dim: 1, initializer, optimizer: sgd({ learningRate: 1 }) },
  { id: 5, name: "hour", dim: 2, initializer, optimizer: adagrad(), eviction: { rowsMax: 4, order: "least-recent" } },
];
const mode = consistencyOf(bsp());
const OPTIONS: PartitionOptions = { partition: 3, partitions: 1, seed: 7, tables: TABLES, mode, share: testShare() };

const open = (options: Partial<PartitionOptions> = {}) => new Partition({ ...OPTIONS, share: testShare(), ...options });

/** One gradient for each key of "route", and for one of "hour". */
const gradients = (...keys: number[]) =>
  segmentOf({ table: 5, keys: [8], values: [1, 2] }, { table: 2, keys, values: keys.map((key) => key / 8) });
const routes = segmentOf({ table: 2, keys: [1, 2, 3, 4], values: [] });

/** A head and a replica, at step 1. */
function chainOfTwo(options: Partial<PartitionOptions> = {}): {
  chain: TestChain;
  head: Partition;
  replica: Partition;
} {
  const [head, replica] = [open(options), open({ ...options, role: "replica" })];
  const chain = new TestChain(head, TABLES);
  chain.replicas.push(replica);
  chain.start(1);
  return { chain, head, replica };
}

describe("a replica", () => {
  test("stages the sums of its head and commits them, whatever it has promised", () => {
    const { chain, head, replica } = chainOfTwo();
    chain.receive(1, gradients(1, 3));
    expect(replica.staged).toBe(false);
    chain.receive(0, gradients(2, 3));
    expect([replica.staged, replica.attempt, replica.slots]).toEqual([true, 1, 2]);
    expect(stagedOf(replica, TABLES)).toEqual(stagedOf(head, TABLES));
    expect(replica.stagedSize()).toEqual({ pairs: 4, floats: 5 });
    replica.promise(9);
    expect(replica.commit({ step: 1, attempt: 1, term: 1, records: [] })).toBe("committed");
    expect([...weightsOf(replica, routes)]).toEqual([-1 / 8, -2 / 8, -6 / 8, 0]);
    expect(replica.commit({ step: 1, attempt: 1, term: 1, records: [] })).toBe("already");
  });

  test("stages a step for which no slot had anything", () => {
    const replica = open({ role: "replica" });
    replica.stage({ step: 1, attempt: 1, slots: 3, segment: null });
    expect(replica.stagedSize()).toEqual({ pairs: 0, floats: 0 });
    expect(replica.commit({ step: 1, attempt: 1, term: 1, records: [] })).toBe("committed");
    expect([replica.committed, replica.rowCount()]).toEqual([{ step: 1, attempt: 1 }, 0]);
  });

  test("stages another attempt in place of the one before", () => {
    const replica = open({ role: "replica" });
    replica.stage({ step: 1, attempt: 1, slots: 2, segment: gradients(1) });
    replica.stage({ step: 1, attempt: 4, slots: 1, segment: gradients(2) });
    expect(replica.commit({ step: 1, attempt: 1, term: 4, records: [] })).toBe("refused");
    expect(replica.commit({ step: 1, attempt: 4, term: 4, records: [] })).toBe("committed");
    expect([...weightsOf(replica, routes)]).toEqual([0, -2 / 8, 0, 0]);
  });

  test("refuses a step out of order and bad sums, and keeps what it has", () => {
    const replica = open({ role: "replica" });
    replica.stage({ step: 1, attempt: 1, slots: 2, segment: gradients(1) });
    const again = { step: 1, attempt: 2, slots: 2, segment: gradients(2) };
    expect(() => replica.stage({ ...again, step: 3 })).toThrow(
      new RangeError("step 3 of partition 3 was staged by its head, where step 0 is committed"),
    );
    expect(() => replica.stage({ ...again, slots: 0 })).toThrow(/^start with 0 slots/);
    expect(() => replica.stage({ ...again, segment: gradients(NaN) })).toThrow();
    expect(() => replica.stage({ ...again, segment: segmentOf({ table: 2, keys: [1], values: [NaN] }) })).toThrow(
      /^NaN for key 1 of table "route"/,
    );
    expect(replica.commit({ step: 1, attempt: 1, term: 1, records: [] })).toBe("committed");
    expect([...weightsOf(replica, routes)]).toEqual([-1 / 8, 0, 0, 0]);
  });

  test("that has no room for a step says so, keeps what it has, and takes a little more than its share", () => {
    const share = testShare({ bytesMax: 4000 });
    const [replica, head] = [open({ role: "replica", share }), open({ share: testShare({ bytesMax: 4000 }) })];
    const many = (n: number) => gradients(...Array.from({ length: n }, (_, i) => 10 + i));
    const step = { step: 1, attempt: 1, slots: 2 };
    replica.stage({ ...step, segment: many(20) });
    const { pledged } = share;
    expect(pledged).toBeGreaterThan(0);
    expect(() => replica.stage({ ...step, segment: many(500) })).toThrow(/^no room for 500 new rows of table "route"/);
    expect([replica.staged, share.pledged, replica.stagedSize().pairs]).toEqual([true, pledged, 21]);
    const fits = (p: Partition, n: number): boolean => {
      try {
        p.check(many(n));
        return true;
      } catch (error) {
        expect(error).toBeInstanceOf(ClusterError);
        return false;
      }
    };
    replica.start({ step: 1, attempt: 2, slots: 1, term: 2 });
    const most = (p: Partition): number => Array.from({ length: 200 }, (_, n) => n).filter((n) => fits(p, n)).length;
    expect(most(replica)).toBeGreaterThan(most(head));
    expect(most(replica)).toBeLessThan(1.1 * most(head));
  });

  test("makes room on disk for what its head took beside a staged step", () => {
    const cold = { open: (bytes: number) => new MemoryColdStore(bytes), rows: 0, bytes: 0, rowsSpilled: 0 };
    const share = { ...testShare({ bytesMax: 6000 }), cold };
    const replica = open({ role: "replica", share });
    const from = (first: number, n = 60) => gradients(...Array.from({ length: n }, (_, i) => first + i));
    let sequence = 0;
    const push = (first: number): void => {
      sequence += 1;
      replica.check(from(first));
      replica.pushDirect({ client: 1, sequence, settled: 0 }, from(first), []);
    };
    for (const first of [0, 100, 200, 300]) push(first);
    replica.stage({ step: 1, attempt: 1, slots: 1, segment: from(0) });
    for (const first of [400, 500]) push(first);
    expect(cold.rows).toBeGreaterThan(0);
    expect(replica.commit({ step: 1, attempt: 1, term: 1, records: [] })).toBe("committed");
    expect(replica.rowCount(2)).toBe(360);
  });

  test("takes no slots and no step of its own", () => {
    const { head, replica } = chainOfTwo();
    expect(() => head.stage({ step: 1, attempt: 1, slots: 1, segment: null })).toThrow("a head stages by its slots");
    expect(() => head.takeCopy(new Uint8Array(16))).toThrow("a head takes no copy");
    expect(() => replica.stagedSize()).toThrow("the sums of a step are there once it is staged");
  });
});

describe("a replica that becomes the head", () => {
  test("commits what its head had staged, knows its slots, and opens the next step", () => {
    const { chain, replica } = chainOfTwo();
    for (const slot of [0, 1]) chain.receive(slot, gradients(1 + slot));
    replica.lead();
    expect(replica.role).toBe("head");
    expect(replica.promise(2)).toEqual({ kind: "promised", term: 2, committed: { step: 0, attempt: 0 } });
    const at = { step: 1, attempt: 1 };
    expect(replica.receive({ ...at, slot: 1, segment: gradients(4) })).toBe("duplicate");
    replica.withdraw({ ...at, slot: 1 });
    expect(replica.staged).toBe(true);
    expect(replica.commit({ ...at, term: 1 })).toBe("refused");
    expect(replica.commit({ ...at, term: 2 })).toBe("committed");
    expect([...weightsOf(replica, routes)]).toEqual([-1 / 8, -2 / 8, 0, 0]);
    for (const slot of [0, 1]) replica.receive({ step: 2, attempt: 1, slot, segment: gradients(4) });
    expect(replica.commit({ step: 2, attempt: 1, term: 2 })).toBe("committed");
    expect(weightsOf(replica, routes)[3]).toBe(-1);
  });

  test("drops the staged step when a new attempt starts", () => {
    const { chain, replica } = chainOfTwo();
    for (const slot of [0, 1]) chain.receive(slot, gradients(1));
    replica.lead();
    expect(replica.start({ step: 1, attempt: 1, slots: 2, term: 1 })).toEqual({ kind: "accepted" });
    expect(replica.staged).toBe(true); // the same attempt again changes nothing
    expect(replica.start({ step: 1, attempt: 2, slots: 1, term: 2 })).toEqual({ kind: "accepted" });
    expect([replica.staged, replica.slots]).toEqual([false, 1]);
    expect(replica.receive({ step: 1, attempt: 2, slot: 0, segment: gradients(2) })).toBe("staged");
    replica.commit({ step: 1, attempt: 2, term: 2 });
    expect([...weightsOf(replica, routes)]).toEqual([0, -2 / 8, 0, 0]);
  });

  test("refuses terms below the one that its head promised", () => {
    const { chain, replica } = chainOfTwo();
    chain.start(6);
    replica.lead();
    expect(replica.start({ step: 1, attempt: 5, slots: 1, term: 5 })).toMatchObject({ kind: "refused", term: 6 });
  });

  test("counts no direct push twice", () => {
    const { chain, replica } = chainOfTwo();
    const identity = { client: 5, sequence: 1, settled: 0 };
    chain.pushDirect(identity, gradients(2));
    replica.lead();
    expect(replica.pushDirect(identity, gradients(2))).toBe("duplicate");
    expect(weightsOf(replica, routes)[1]).toBe(-2 / 8);
  });
});

test("a head that gives way drops slots of a step that is not staged, and follows", () => {
  const [old, next] = [open(), open({ role: "replica" })];
  old.start({ step: 1, attempt: 1, slots: 2, term: 1 });
  old.receive({ step: 1, attempt: 1, slot: 0, segment: gradients(1) });
  old.follow();
  next.lead();
  const chain = new TestChain(next, TABLES);
  chain.replicas.push(old);
  chain.start(2);
  for (const slot of [0, 1]) chain.receive(slot, gradients(4));
  chain.commit();
  expect([...weightsOf(old, routes)]).toEqual([0, 0, 0, -1]);
  expect(old.digest()).toBe(next.digest());
});

describe("the digest of a partition", () => {
  const after = (change: (p: Partition) => void): string => {
    const p = open();
    p.pushDirect({ client: 1, sequence: 1, settled: 0 }, gradients(1, 2));
    change(p);
    return p.digest();
  };

  test("is that of another one with the same rows in another order", () => {
    const [a, b] = [open(), open()];
    a.set(segmentOf({ table: 2, keys: [1, 7], values: [3, 4] }));
    for (const [key, value] of [
      [7, 4],
      [1, 3],
    ] as const)
      b.set(segmentOf({ table: 2, keys: [key], values: [value] }));
    expect(b.digest()).toBe(a.digest());
    expect(a.digest()).toMatch(
      /^step 0 attempt 0; pushes [0-9a-f]{8}; "route" 2 rows [0-9a-f]{16}; "hour" 0 rows 0{16}$/,
    );
  });

  test("differs with a weight, a state, a row, a push, a step, and not with a promise", () => {
    const changes: ((p: Partition) => void)[] = [
      () => {},
      (p) => p.set(segmentOf({ table: 2, keys: [1], values: [1] })),
      (p) =>
        p.set(
          segmentOf({ table: 5, keys: [8], values: [...weightsOf(p, segmentOf({ table: 5, keys: [8], values: [] }))] }),
        ),
      (p) => p.set(segmentOf({ table: 5, keys: [9], values: [0, 0] })),
      (p) => p.pushDirect({ client: 1, sequence: 2, settled: 0 }, segmentOf({ table: 2, keys: [], values: [] })),
      (p) => {
        p.start({ step: 1, attempt: 1, slots: 1, term: 1 });
        p.receive({ step: 1, attempt: 1, slot: 0, segment: null });
        p.commit({ step: 1, attempt: 1, term: 1 });
      },
    ];
    expect(new Set(changes.map(after)).size).toBe(changes.length);
    expect(after((p) => p.promise(4))).toBe(after(() => {}));
  });
});

describe("a copy", () => {
  const keys = Array.from({ length: 50 }, (_, i) => i);
  const full = (): Partition => {
    const p = open();
    p.pushDirect({ client: 2 ** 52 + 3, sequence: 4, settled: 2 }, gradients(...keys));
    return p;
  };
  const partsOf = (p: Partition, bytesMax: number): Uint8Array[] => {
    const copy = p.copyOut();
    const parts = [];
    for (let part = copy.next(bytesMax); ; part = copy.next(bytesMax)) {
      parts.push(part.bytes);
      if (part.last) return parts;
    }
  };

  test("is one part where it fits, and of parts about as long as asked for", () => {
    const p = full();
    expect(partsOf(p, 100_000).length).toBe(1);
    const parts = partsOf(p, 500);
    expect(parts.length).toBeGreaterThan(2);
    expect(Math.max(...parts.map(({ length }) => length))).toBeLessThanOrEqual(500);
    expect(partsOf(p, 1).length).toBe(2 + p.rowCount()); // a row each, after the state and before the end
  });

  test("that has ended has no part more", () => {
    const copy = full().copyOut();
    expect(copy.next(100_000).last).toBe(true);
    expect(() => copy.next(100_000)).toThrow("a copy has no part after its last");
    const other = full().copyOut();
    other.next(1);
    other.stop();
    other.stop();
    expect(() => other.next(1)).toThrow("a copy has no part after its last");
  });

  test("is taken from bytes at any address, twice at a time, and has the step that is staged", () => {
    const p = full();
    p.start({ step: 1, attempt: 3, slots: 2, term: 3 });
    for (const slot of [0, 1]) p.receive({ step: 1, attempt: 3, slot, segment: gradients(1 + slot) });
    const copies = [p.copyOut(), p.copyOut()];
    const targets = copies.map(() => open({ role: "replica" }));
    for (let last = false; !last;) {
      for (const [i, copy] of copies.entries()) {
        const part = copy.next(300);
        const shifted = new Uint8Array(part.bytes.length + 3);
        shifted.set(part.bytes, 3);
        last = targets[i]!.takeCopy(shifted.subarray(3));
      }
    }
    for (const target of targets) {
      expect(target.digest()).toBe(p.digest());
      expect([target.staged, target.attempt, target.slots, target.promised]).toEqual([true, 3, 2, 3]);
      expect(stagedOf(target, TABLES)).toEqual(stagedOf(p, TABLES));
      target.lead();
      expect(target.commit({ step: 1, attempt: 3, term: 3 })).toBe("committed");
    }
    p.commit({ step: 1, attempt: 3, term: 3 });
    expect(allRows(targets[1]!, TABLES)).toEqual(allRows(p, TABLES));
  });

  test("pledges the room of the step that is staged", () => {
    const p = open();
    p.start({ step: 1, attempt: 1, slots: 1, term: 1 });
    p.receive({ step: 1, attempt: 1, slot: 0, segment: gradients(1, 2, 3) });
    const share = testShare();
    const target = open({ role: "replica", share });
    target.takeCopy(partsOf(p, 10_000)[0]!);
    expect(share.pledged).toBeGreaterThan(0);
    target.dispose();
    expect([share.pledged, share.bytes]).toEqual([0, 0]);
  });

  test("that does not fit is refused, naming the table", () => {
    const target = open({ role: "replica", share: testShare({ bytesMax: 1000 }) });
    expect(() => partsOf(full(), 100_000).map((part) => target.takeCopy(part))).toThrow(
      /^no room for 50 new rows of table "route" in partition 3/,
    );
  });

  test("of rows that cannot be read from disk ends, and nothing watches any more", () => {
    let broken = false;
    const store = (bytes: number) => {
      const all = new MemoryColdStore(bytes);
      const read = all.read.bind(all);
      all.read = (...args) => {
        if (broken) throw new ClusterError("PARTITION_UNAVAILABLE", "the disk fails");
        read(...args);
      };
      return all;
    };
    const cold = { open: store, rows: 0, bytes: 0, rowsSpilled: 0 };
    const p = open({ share: { ...testShare({ bytesMax: 6000 }), cold } });
    for (let sequence = 1; sequence < 6; sequence++) {
      const segment = gradients(...keys.map((key) => key + 100 * sequence));
      p.check(segment);
      p.pushDirect({ client: 1, sequence, settled: 0 }, segment);
    }
    const copy = p.copyOut();
    broken = true;
    expect(() => {
      while (!copy.next(1000).last);
    }).toThrow("the disk fails");
    broken = false;
    expect(() => copy.next(1000)).toThrow("a copy has no part after its last");
    const target = open({ role: "replica" });
    for (const part of partsOf(p, 1000)) target.takeCopy(part);
    expect(target.digest()).toBe(p.digest());
  });

  test("that is truncated, of another partition, job or place is refused, naming what is wrong", () => {
    const parts = partsOf(full(), 300);
    const [first, second] = parts as [Uint8Array, Uint8Array];
    const refused = (
      bytes: Uint8Array,
      message: RegExp | string,
      before: Uint8Array[] = [],
      target = open({ role: "replica" }),
    ) => {
      for (const each of before) target.takeCopy(each);
      expect(() => target.takeCopy(bytes)).toThrow(message);
      expect(() => target.takeCopy(bytes)).toThrow(ProtocolError);
    };
    refused(first.subarray(0, 7), "part 0 of the copy of partition 3 has 7 bytes: whole words, and a header of 16");
    refused(
      first.subarray(0, first.length - 4),
      /^part 0 of the copy of partition 3 ends after \d+ words, within \d+ words of/,
    );
    refused(new Uint8Array(64), "part 0 of the copy of partition 3 is no part of a copy: it begins with 0");
    refused(second, "part 1 of the copy of partition 3 came in place of part 0 of the copy of partition 3");
    refused(first, "part 0 of the copy of partition 3 came in place of part 1 of the copy of partition 3", [first]);
    refused(first, "in place of part 0 of the copy of partition 4", [], open({ role: "replica", partition: 4 }));
    refused(new Uint8Array(), /has 0 bytes/, parts.slice(0, 0));
    const other = open({ role: "replica", tables: [TABLES[0]!] });
    refused(first, "with tables (id, bytes of a row) 2, 24, 5, 32 came for one with 2, 24", [], other);
    const whole = open({ role: "replica" });
    for (const part of parts) whole.takeCopy(part);
    expect(() => whole.takeCopy(second)).toThrow(new ProtocolError("partition 3 was copied; no part follows the last"));
  });

  test("with any words changed gives an error or rows, and never anything else", () => {
    const random = seededRandom(5);
    const share = testShare({ bytesMax: 100_000 });
    const [bytes] = partsOf(full(), 100_000) as [Uint8Array<ArrayBuffer>];
    let refused = 0;
    for (let run = 0; run < 300; run++) {
      const words = new Uint32Array(bytes.slice().buffer);
      for (let n = 0; n < 3; n++) {
        const at = Math.floor(random.next() ** 3 * words.length);
        words[at] = random.next() < 0.5 ? Math.floor(random.next() * 8) : Math.floor(random.next() * 2 ** 32);
      }
      const target = open({ role: "replica", share });
      try {
        target.takeCopy(new Uint8Array(words.buffer));
      } catch (error) {
        refused += 1;
        const known = [ProtocolError, RangeError, ClusterError].some((kind) => error instanceof kind);
        if (!known) throw error;
      }
      target.dispose();
      expect(share).toMatchObject({ bytes: 0, pledged: 0 });
    }
    expect(refused).toBeGreaterThan(50);
    expect(refused).toBeLessThan(300);
  });
});

describe("sabotaged", () => {
  const sabotaged = (sabotage: Sabotage) => ({ sabotages: new Set([sabotage]) });

  test("a replica that decides alone which rows go is another one than its head", () => {
    for (const options of [{}, sabotaged("evict-on-replica-alone")]) {
      const { chain, head, replica } = chainOfTwo(options);
      for (let key = 1; key <= 6; key++) {
        const segment = segmentOf({ table: 5, keys: [key], values: [1, 1] });
        chain.pushDirect({ client: 1, sequence: key, settled: 0 }, segment);
      }
      expect(head.rowCount(5)).toBeLessThanOrEqual(4);
      expect(replica.digest() === head.digest()).toBe(!("sabotages" in options));
    }
  });

  test("a replica that forgets direct pushes as it becomes the head counts one twice", () => {
    const { chain, replica } = chainOfTwo(sabotaged("forget-identities-on-failover"));
    const identity = { client: 5, sequence: 1, settled: 0 };
    chain.pushDirect(identity, gradients(2));
    replica.lead();
    expect(replica.pushDirect(identity, gradients(2))).toBe("applied");
  });
});
