/** What is read of a partition and written to it outside of steps. */
import { describe, expect, test } from "vitest";
import type { RowDtype } from "../table/row-layout.ts";
import type { TableSpec } from "../table/table-spec.ts";
import { Partition } from "./partition.ts";
import { gradient, options, partition, started, TABLES, weight } from "./test-partition.ts";
import { keysOf, segmentOf, weightsOf } from "./test-segment.ts";

/** Of a float32. */
function upperHalf(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]! >>> 16;
}

test("two tables of one id are refused", () => {
  const tables = [TABLES[0]!, { ...TABLES[1]!, id: 2 }];
  expect(() => new Partition({ ...options(), tables })).toThrow(
    new RangeError('tables "route" and "hour" have the same id 2: ids are unique in a job'),
  );
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
