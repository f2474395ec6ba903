import { describe, expect, test } from "vitest";
import { bsp, consistencyOf } from "../consistency/index.ts";
import { adagrad, sgd } from "../optimizer/index.ts";
import { Partition, type PartitionOptions } from "./partition.ts";
import type { RowDtype } from "../table/row-layout.ts";
import { TableMemory, type MemoryShare } from "../table/table-memory.ts";
import type { TableSpec } from "../table/table-spec.ts";
import { testShare } from "../table/test-rows.ts";
import { keysOf, segmentOf, weightsOf } from "./test-segment.ts";

const TABLES: TableSpec[] = [
  { id: 2, name: "route", dim: 1, initializer: { kind: "zeros" }, optimizer: sgd({ learningRate: 1 }) },
  { id: 5, name: "hour", dim: 2, initializer: { kind: "constant", value: 0.5 }, optimizer: adagrad() },
];

function partition(): Partition {
  return new Partition(options());
}

function options(): PartitionOptions {
  return {
    partition: 3,
    partitions: 256,

    seed: 7,
    tables: TABLES,
    mode: consistencyOf(bsp()),
    share: testShare(),
  };
}

/** A partition whose attempt 1 is open at step 1. */
function started({ slots = 2 } = {}): Partition {
  const p = partition();
  p.start({ step: 1, attempt: 1, slots, term: 1 });
  return p;
}

/** One gradient for key 9 of "route". */
const gradient = (value: number) => segmentOf({ table: 2, keys: [9], values: [value] });

/** The weight of key 9 of "route": minus the sum of all gradients applied. */
function weight(p: Partition): number {
  return weightsOf(p, segmentOf({ table: 2, keys: [9], values: [] }))[0]!;
}

/** Of a float32. */
function upperHalf(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]! >>> 16;
}

describe("a bad push", () => {
  test("is refused before anything changes, and its slot can send a good one", () => {
    const p = started();
    p.receive({ step: 1, attempt: 1, slot: 0, segment: gradient(1) });
    expect(() => p.receive({ step: 1, attempt: 1, slot: 1, segment: gradient(NaN) })).toThrow(
      /^NaN for key 9 of table "route", component 0/,
    );
    expect(p.staged).toBe(false);
    expect(p.receive({ step: 1, attempt: 1, slot: 1, segment: gradient(2) })).toBe("staged");
    p.commit({ step: 1, attempt: 1, term: 1 });
    expect(weight(p)).toBe(-3);
  });

  test("of a slot that the step does not have is refused", () => {
    expect(() => started().receive({ step: 1, attempt: 1, slot: 2, segment: null })).toThrow(
      new RangeError("slot 2 of a step that has slots 0 to 1"),
    );
  });
});

test("two tables of one id are refused", () => {
  const tables = [TABLES[0]!, { ...TABLES[1]!, id: 2 }];
  expect(() => new Partition({ ...options(), tables })).toThrow(
    new RangeError('tables "route" and "hour" have the same id 2: ids are unique in a job'),
  );
});

describe("start()", () => {
  test("refuses a number of slots that no step has", () => {
    for (const slots of [0, 1.5, 5000]) {
      expect(() => partition().start({ step: 1, attempt: 1, slots, term: 1 })).toThrow(
        new RangeError(`start with ${slots} slots: a step has 1 to 4096`),
      );
    }
  });

  test("refuses a step that does not follow the committed one", () => {
    const refused = { kind: "refused", term: 0, committed: { step: 0, attempt: 0 } };
    expect(partition().start({ step: 2, attempt: 1, slots: 1, term: 1 })).toEqual(refused);
    expect(partition().start({ step: 0, attempt: 1, slots: 1, term: 1 })).toEqual(refused);
  });

  test("refuses a term below the promised one", () => {
    const p = partition();
    p.promise(5);
    expect(p.start({ step: 1, attempt: 4, slots: 1, term: 4 })).toEqual({
      kind: "refused",
      term: 5,
      committed: { step: 0, attempt: 0 },
    });
  });

  test("refuses an attempt older than the open one", () => {
    const p = partition();
    p.start({ step: 1, attempt: 3, slots: 1, term: 3 });
    expect(p.start({ step: 1, attempt: 2, slots: 1, term: 3 }).kind).toBe("refused");
    expect(p.attempt).toBe(3);
  });

  test("refuses to change the slots of an open attempt", () => {
    expect(() => started().start({ step: 1, attempt: 1, slots: 3, term: 1 })).toThrow(
      new RangeError("attempt 1 has 2 slots, not 3: start a new attempt"),
    );
  });

  test("of the open attempt again keeps the slots that are in", () => {
    const p = started();
    p.receive({ step: 1, attempt: 1, slot: 0, segment: gradient(1) });
    expect(p.start({ step: 1, attempt: 1, slots: 2, term: 1 })).toEqual({ kind: "accepted" });
    expect(p.receive({ step: 1, attempt: 1, slot: 1, segment: null })).toBe("staged");
  });

  test("of a new attempt drops what the old one collected, staged or not", () => {
    const p = started();
    p.receive({ step: 1, attempt: 1, slot: 0, segment: gradient(1) });
    p.receive({ step: 1, attempt: 1, slot: 1, segment: gradient(1) });
    expect(p.staged).toBe(true);
    expect(p.start({ step: 1, attempt: 2, slots: 1, term: 2 })).toEqual({ kind: "accepted" });
    expect(p.staged).toBe(false);
    expect(p.receive({ step: 1, attempt: 2, slot: 0, segment: gradient(10) })).toBe("staged");
    expect(p.commit({ step: 1, attempt: 2, term: 2 })).toBe("committed");
    expect(weight(p)).toBe(-10);
  });

  test("promises its term", () => {
    const p = partition();
    p.start({ step: 1, attempt: 4, slots: 1, term: 4 });
    expect(p.promise(3)).toEqual({ kind: "refused", term: 4 });
  });
});

describe("receive()", () => {
  test("is early before the first start, at a later step and in a later attempt", () => {
    expect(partition().receive({ step: 1, attempt: 1, slot: 0, segment: null })).toBe("early");
    expect(started().receive({ step: 2, attempt: 1, slot: 0, segment: null })).toBe("early");
    expect(started().receive({ step: 1, attempt: 2, slot: 0, segment: null })).toBe("early");
  });

  test("is late at a committed step and in an older attempt", () => {
    const p = started({ slots: 1 });
    p.receive({ step: 1, attempt: 1, slot: 0, segment: gradient(1) });
    p.commit({ step: 1, attempt: 1, term: 1 });
    expect(p.receive({ step: 1, attempt: 1, slot: 0, segment: gradient(1) })).toBe("late");
    p.start({ step: 2, attempt: 2, slots: 1, term: 2 });
    expect(p.receive({ step: 2, attempt: 1, slot: 0, segment: gradient(1) })).toBe("late");
  });

  test("takes a slot once, also when the step is staged", () => {
    const p = started();
    expect(p.receive({ step: 1, attempt: 1, slot: 0, segment: gradient(1) })).toBe("waiting");
    expect(p.receive({ step: 1, attempt: 1, slot: 0, segment: gradient(100) })).toBe("duplicate");
    expect(p.receive({ step: 1, attempt: 1, slot: 1, segment: gradient(2) })).toBe("staged");
    expect(p.receive({ step: 1, attempt: 1, slot: 1, segment: gradient(100) })).toBe("duplicate");
    p.commit({ step: 1, attempt: 1, term: 1 });
    expect(weight(p)).toBe(-3);
  });

  test("stages a step for which no slot had anything", () => {
    const p = started();
    p.receive({ step: 1, attempt: 1, slot: 0, segment: null });
    expect(p.receive({ step: 1, attempt: 1, slot: 1, segment: null })).toBe("staged");
    expect(p.commit({ step: 1, attempt: 1, term: 1 })).toBe("committed");
    expect([p.committed, p.rowCount()]).toEqual([{ step: 1, attempt: 1 }, 0]);
  });

  test("takes slots after a promise: they are still of the open attempt", () => {
    const p = started();
    p.promise(9);
    p.receive({ step: 1, attempt: 1, slot: 0, segment: null });
    expect(p.receive({ step: 1, attempt: 1, slot: 1, segment: null })).toBe("staged");
  });
});

describe("commit()", () => {
  function staged(): Partition {
    const p = started({ slots: 1 });
    p.receive({ step: 1, attempt: 1, slot: 0, segment: gradient(1) });
    return p;
  }

  test("refuses what is not staged, another attempt and another step", () => {
    expect(started().commit({ step: 1, attempt: 1, term: 1 })).toBe("refused");
    expect(staged().commit({ step: 1, attempt: 2, term: 2 })).toBe("refused");
    expect(staged().commit({ step: 2, attempt: 1, term: 1 })).toBe("refused");
  });

  test("refuses a term below the promised one, and changes nothing", () => {
    const p = staged();
    p.promise(2);
    expect(p.commit({ step: 1, attempt: 1, term: 1 })).toBe("refused");
    expect([p.committed.step, p.staged, weight(p)]).toEqual([0, true, 0]);
  });

  test("applies once, however often it comes", () => {
    const p = staged();
    expect(p.commit({ step: 1, attempt: 1, term: 1 })).toBe("committed");
    expect(p.commit({ step: 1, attempt: 1, term: 1 })).toBe("already");
    expect(p.commit({ step: 1, attempt: 1, term: 7 })).toBe("already");
    expect(weight(p)).toBe(-1);
  });

  test("of a step before the last committed one was done already", () => {
    const p = staged();
    p.commit({ step: 1, attempt: 1, term: 1 });
    p.receive({ step: 2, attempt: 1, slot: 0, segment: gradient(1) });
    p.commit({ step: 2, attempt: 1, term: 1 });
    expect(p.commit({ step: 1, attempt: 1, term: 1 })).toBe("already");
    expect(weight(p)).toBe(-2);
  });

  test("refuses another attempt of the committed step", () => {
    const p = staged();
    p.commit({ step: 1, attempt: 1, term: 1 });
    expect(p.commit({ step: 1, attempt: 2, term: 2 })).toBe("refused");
  });

  test("opens the next step in the same attempt with as many slots", () => {
    const p = started({ slots: 2 });
    for (const slot of [0, 1]) p.receive({ step: 1, attempt: 1, slot, segment: gradient(1) });
    p.commit({ step: 1, attempt: 1, term: 1 });
    expect([p.attempt, p.staged]).toEqual([1, false]);
    expect(p.receive({ step: 2, attempt: 1, slot: 1, segment: gradient(4) })).toBe("waiting");
    expect(p.receive({ step: 2, attempt: 1, slot: 0, segment: gradient(8) })).toBe("staged");
    expect(p.commit({ step: 2, attempt: 1, term: 1 })).toBe("committed");
    expect(weight(p)).toBe(-14);
  });
});

describe("recovery", () => {
  test("a promise tells what was committed and keeps what is staged, so the new leader commits it", () => {
    const p = started({ slots: 1 });
    p.receive({ step: 1, attempt: 1, slot: 0, segment: gradient(1) });
    expect(p.promise(2)).toEqual({ kind: "promised", term: 2, committed: { step: 0, attempt: 0 } });
    expect(p.promise(2)).toEqual({ kind: "promised", term: 2, committed: { step: 0, attempt: 0 } });
    expect(p.commit({ step: 1, attempt: 1, term: 2 })).toBe("committed");
    expect([p.committed, weight(p)]).toEqual([{ step: 1, attempt: 1 }, -1]);
  });

  test("when one partition has committed, all commit that attempt and end alike", () => {
    const all = [started({ slots: 1 }), started({ slots: 1 })];
    for (const p of all) p.receive({ step: 1, attempt: 1, slot: 0, segment: gradient(1) });
    all[0]!.commit({ step: 1, attempt: 1, term: 1 }); // the leader dies here
    const newest = all
      .map((p) => p.promise(2))
      .map((answer) => (answer.kind === "promised" ? answer.committed.step : -1));
    expect(newest).toEqual([1, 0]);
    expect(all.map((p) => p.commit({ step: 1, attempt: 1, term: 2 }))).toEqual(["already", "committed"]);
    expect(all[1]!.commit({ step: 1, attempt: 1, term: 1 })).toBe("refused"); // the dead leader's own, late
    expect(all.map((p) => p.start({ step: 2, attempt: 2, slots: 3, term: 2 }).kind)).toEqual(["accepted", "accepted"]);
    expect(all.map(weight)).toEqual([-1, -1]);
  });
});

test("a pull may be answered once the step before it is committed", () => {
  const p = started({ slots: 1 });
  expect([p.mayPull(1), p.mayPull(2)]).toEqual([true, false]);
  p.receive({ step: 1, attempt: 1, slot: 0, segment: null });
  expect(p.mayPull(2)).toBe(false);
  p.commit({ step: 1, attempt: 1, term: 1 });
  expect(p.mayPull(2)).toBe(true);
});

describe("read()", () => {
  test("refuses an unknown table and counts beyond the keys", () => {
    const p = partition();
    const unknown = segmentOf({ table: 4, keys: [1], values: [] });
    for (const read of [() => p.read(unknown, { at: 1024, dtype: "float32" }), () => p.readBytes(unknown, "float32")]) {
      expect(read).toThrow(new RangeError('no table 4: this job has 2 "route", 5 "hour"'));
    }
    const short = { ...segmentOf({ table: 2, keys: [1], values: [] }), counts: Uint32Array.of(9, 2) };
    for (const read of [() => p.read(short, { at: 1024, dtype: "float32" }), () => p.readBytes(short, "float32")]) {
      expect(read).toThrow(/segment needs 8 keys of a frame that has 6/);
    }
  });

  test("gives rows in the order asked for and creates none", () => {
    const p = started({ slots: 1 });
    p.receive({ step: 1, attempt: 1, slot: 0, segment: gradient(3) });
    p.commit({ step: 1, attempt: 1, term: 1 });
    const wanted = segmentOf({ table: 5, keys: [8], values: [] }, { table: 2, keys: [9, 10], values: [] });
    expect([...weightsOf(p, wanted)]).toEqual([0.5, 0.5, -3, 0]);
    expect([p.rowCount(), p.rowCount(2), p.rowCount(5)]).toEqual([1, 1, 0]);
  });

  test("writes nothing beside its target, and takes keys that lie in the arena", () => {
    const p = partition();
    const { arena } = p;
    const at = arena.allocate(256);
    arena.floats.fill(77, at / 4, at / 4 + 64);
    const outside = segmentOf({ table: 5, keys: [8, 9], values: [] });
    const keys = arena.words.subarray(at / 4, at / 4 + outside.keys.length);
    keys.set(outside.keys);
    const target = at + 128;
    expect(p.read({ ...outside, keys }, { at: target, dtype: "float32" })).toBe(16);
    expect([...arena.floats.subarray(target / 4 - 1, target / 4 + 5)]).toEqual([77, 0.5, 0.5, 0.5, 0.5, 77]);
    arena.free(at, 256);
  });

  test("gives weights in fewer bytes", () => {
    const p = partition();
    p.set(segmentOf({ table: 5, keys: [1, 2], values: [1, -2, 3, 4.5] }));
    const wanted = segmentOf({ table: 5, keys: [1, 2, 3], values: [] });
    expect(p.readBytes(wanted, "bfloat16")).toBe(12);
    const at = p.arena.allocate(64);
    p.read(wanted, { at, dtype: "bfloat16" });
    const halves = new Uint16Array(p.arena.words.buffer, at, 6);
    expect(Array.from(halves, (half) => new Float32Array(Uint32Array.of(half << 16).buffer)[0])).toEqual([
      1, -2, 3, 4.5, 0.5, 0.5,
    ]);
    expect(p.readBytes(wanted, "int8")).toBe(36);
    p.read(wanted, { at, dtype: "int8" });
    const { floats, bytes } = p.arena;
    expect([floats[at / 4], floats[at / 4 + 1]]).toEqual([Math.fround(3 / 255), -2]);
    expect([...bytes.subarray(at + 8, at + 12)]).toEqual([255, 0, 0, 0]);
    p.arena.free(at, 64);
  });

  test.each<RowDtype>(["float32", "bfloat16", "int8"])(
    "of bfloat16 rows of odd width writes from any even address on, and nothing beside, out of rows of %s",
    (dtype) => {
      const tables: TableSpec[] = [1, 3].map((dim) => ({ ...TABLES[0]!, id: dim, name: `t${dim}`, dim, dtype }));
      const p = new Partition({ ...options(), tables });
      p.set(segmentOf({ table: 3, keys: [1, 3], values: [1, 3, 1, 4, 4, 4] }, { table: 1, keys: [5], values: [-6] }));
      // Of each table one key that has no row, too.
      const wanted = segmentOf({ table: 3, keys: [1, 2, 3], values: [] }, { table: 1, keys: [4, 5], values: [] });
      const bytes = 2 * 11;
      expect(p.readBytes(wanted, "bfloat16")).toBe(bytes);
      const at = p.arena.allocate(64);
      const halves = new Uint16Array(p.arena.words.buffer, at, 32);
      for (const from of [2, 4, 6, 14]) {
        halves.fill(7);
        expect(p.read(wanted, { at: at + from, dtype: "bfloat16" })).toBe(bytes);
        const expected = [1, 3, 1, 0, 0, 0, 4, 4, 4, 0, -6].map((value) => upperHalf(value));
        expect([...halves]).toEqual(Array.from({ length: 32 }, (_, i) => expected[i - from / 2] ?? 7));
      }
      p.arena.free(at, 64);
      p.dispose();
    },
  );
});

describe("check()", () => {
  test("refuses a bad segment and changes nothing", () => {
    const p = partition();
    const bad = segmentOf({ table: 2, keys: [9], values: [1] }, { table: 5, keys: [1], values: [1, Infinity] });
    expect(() => p.check(bad)).toThrow(/^Infinity for key 1 of table "hour", component 1/);
    expect(p.rowCount()).toBe(0);
  });
});

describe("set()", () => {
  test("overwrites weights, as often as it comes", () => {
    const p = partition();
    const segment = segmentOf({ table: 2, keys: [9], values: [4] });
    p.set(segment);
    p.set(segment);
    expect([weight(p), p.rowCount()]).toEqual([4, 1]);
  });
});

test("an export gives the rows of one table in parts", () => {
  const p = partition();
  p.set(segmentOf({ table: 5, keys: [1, 2, 3], values: [1, 1, 2, 2, 3, 3] }));
  const first = p.export({ table: 5, cursor: 0, rowsMax: 2 });
  const second = p.export({ table: 5, cursor: first.next!, rowsMax: 2 });
  expect([...keysOf(first.keys), ...keysOf(second.keys)]).toEqual([1n, 2n, 3n]);
  expect([...first.weights, ...second.weights]).toEqual([1, 1, 2, 2, 3, 3]);
  expect(second.next).toBeUndefined();
  expect(p.export({ table: 5, cursor: 0, rowsMax: 0 }).next).toBe(1);
  expect(() => p.export({ table: 1, cursor: 0, rowsMax: 1 })).toThrow(/^no table 1: this job has/);
});

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
