import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { rowwiseAdagrad, sgd, type OptimizerSpec } from "../optimizer/index.ts";
import { Arena } from "./arena.ts";
import { rowLayout } from "./row-layout.ts";
import { RowTable } from "./row-table.ts";
import type { TableSpec } from "./table-spec.ts";
import { ArrayRows, testShare } from "./test-rows.ts";

const LAYOUT = rowLayout({ dtype: "float32", dim: 3, stateWidth: 1 });

/** Inserts keys and gives the addresses of their rows. */
function insert(table: RowTable, keys: readonly number[]): number[] {
  const { arena } = table;
  const at = arena.scratch(12 * keys.length);
  keys.forEach((key, i) => arena.words.set([key, key % 5], at / 4 + 2 * i));
  const out = at + 8 * keys.length;
  table.insert(at, keys.length, out);
  return [...arena.words.subarray(out / 4, out / 4 + keys.length)];
}

const range = (n: number) => Array.from({ length: n }, (_, i) => i);

describe("a row table", () => {
  test("that never had a row holds no memory, and finds nothing", () => {
    const table = new RowTable(LAYOUT, testShare());
    const at = table.arena.scratch(64);
    table.arena.words.fill(7, at / 4, at / 4 + 16);
    expect(table.find(at, 3, at + 32)).toBe(3);
    expect([...table.arena.words.subarray(at / 4 + 8, at / 4 + 12)]).toEqual([0, 0, 0, 7]);
    expect([table.count, table.bytes, table.list(0, 9, new Uint32Array(9))]).toEqual([0, 0, { n: 0, next: undefined }]);
  });

  test("marks rows that are new, and never moves one", () => {
    const table = new RowTable(LAYOUT, testShare());
    const first = insert(table, [1, 2, 3]);
    expect(first.every((row) => (row & 1) === 1)).toBe(true);
    insert(table, range(5000));
    expect(insert(table, [1, 2, 3])).toEqual(first.map((row) => row - 1));
  });

  test("lists its rows in the order of their places, in parts, without those that were taken out", () => {
    const table = new RowTable(LAYOUT, testShare());
    const { arena } = table;
    const rows = insert(table, range(1000)).map((row) => row - 1);
    const gone = rows.filter((_, i) => i % 3 === 0);
    const list = arena.scratch(4 * gone.length);
    arena.words.set(gone, list / 4);
    table.delete(list, gone.length);
    const found: number[] = [];
    const out = new Uint32Array(64);
    for (let cursor: number | undefined = 0; cursor !== undefined;) {
      const { n, next } = table.list(cursor, 64, out);
      found.push(...out.subarray(0, n));
      cursor = next;
    }
    expect(found).toEqual(rows.filter((_, i) => i % 3 !== 0));
    expect(table.count).toBe(found.length);
  });

  test("where rows come and go stops growing", () => {
    const table = new RowTable(LAYOUT, testShare());
    const { arena } = table;
    insert(table, range(1000));
    const sizes: number[] = [];
    for (let first = 0; first < 30_000; first += 300) {
      const oldest = insert(
        table,
        range(300).map((i) => first + i),
      );
      const list = arena.scratch(4 * oldest.length);
      arena.words.set(oldest, list / 4);
      table.delete(list, oldest.length);
      insert(
        table,
        range(300).map((i) => first + 1000 + i),
      );
      sizes.push(table.bytes);
    }
    expect(table.count).toBe(1000);
    expect(new Set(sizes.slice(10)).size).toBe(1);
  });

  test("never grows by more than it says", () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 900 }), { minLength: 1, maxLength: 12 });
    const layouts = fc.integer({ min: 1, max: 5000 }).map((dim) => rowLayout({ dtype: "float32", dim, stateWidth: 0 }));
    fc.assert(
      fc.property(sizes, layouts, (list, layout) => {
        const share = testShare();
        const table = new RowTable(layout, share);
        let key = 0;
        for (const n of list) {
          const said = table.growthBytes(n);
          const before = table.bytes;
          insert(
            table,
            range(n).map(() => key++),
          );
          expect(table.bytes - before).toBeLessThanOrEqual(said);
          expect(share.bytes).toBe(table.bytes);
        }
        table.dispose();
        expect(share.bytes).toBe(0);
      }),
      { numRuns: 40 },
    );
  });
});

test("what a table says it may take in one piece is enough, where there is no other memory", () => {
  const small = new Arena(2 ** 25);
  small.scratch(65_536);
  const sizes = fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 10 });
  const layouts = fc.integer({ min: 1, max: 700 }).map((dim) => rowLayout({ dtype: "float32", dim, stateWidth: 0 }));
  fc.assert(
    fc.property(sizes, layouts, (list, layout) => {
      const table = new RowTable(layout, { arena: small, bytesMax: 2 ** 25, bytes: 0, pledged: 0 });
      let key = 0;
      for (const n of list) {
        const span = table.growthSpan(n);
        const held = span === 0 ? 0 : small.hold(span);
        if (span > 0 && held === 0) break;
        const others: { at: number; bytes: number }[] = [];
        for (let bytes = 2 ** 24; bytes >= 32; bytes /= 2) {
          for (let at = small.hold(bytes); at !== 0; at = small.hold(bytes)) others.push({ at, bytes });
        }
        if (span > 0) small.free(held, span);
        insert(
          table,
          range(n).map(() => key++),
        );
        for (const { at, bytes } of others) small.free(at, bytes);
      }
      table.dispose();
    }),
    { numRuns: 30 },
  );
  expect(small.bytesUsed).toBe(65_536);
});

function spec(dim: number, optimizer: OptimizerSpec): TableSpec {
  return { id: 1, name: "t", dim, initializer: { kind: "zeros" }, optimizer };
}

/** Bytes of bookkeeping a row at each of many fills of a table that grows. */
function bookkeeping(table: TableSpec, fills: readonly number[]): number[] {
  const rows = new ArrayRows(table, 1);
  const found: number[] = [];
  for (const fill of fills) {
    const n = fill - rows.count;
    const pairs = Uint32Array.from({ length: 2 * n }, (_, i) => (i % 2 === 0 ? rows.count + i / 2 : 0));
    rows.updateArrays(pairs, 0, n, new Float32Array(n * table.dim), 0, 1);
    found.push(rows.bookkeepingBytes() / rows.count);
  }
  rows.dispose();
  return found;
}

test("beside 64 weights and a float of state a row takes at most 32 bytes, from 256 rows on, at every fill", () => {
  const every = Array.from({ length: 2000 }, (_, i) => 256 + i);
  expect(Math.max(...bookkeeping(spec(64, rowwiseAdagrad()), every))).toBeLessThanOrEqual(32);
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 256, max: 40_000 }), { minLength: 1, maxLength: 60 }), (fills) => {
      const found = bookkeeping(
        spec(64, rowwiseAdagrad()),
        fills.toSorted((a, b) => a - b),
      );
      expect(Math.max(...found)).toBeLessThanOrEqual(32);
    }),
    { numRuns: 15 },
  );
});

test("a table of one small row takes less than 1 KB", () => {
  expect(bookkeeping(spec(16, sgd()), [1])[0]).toBeLessThan(1024 - 64);
});
