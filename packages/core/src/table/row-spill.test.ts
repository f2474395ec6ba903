import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ClusterError } from "../errors.ts";
import { ColdRows } from "./cold-rows.ts";
import { MemoryColdStore } from "./cold-store.ts";
import type { RowDtype } from "./row-layout.ts";
import { valueBytes } from "./row-layout.ts";
import type { ExportedRows } from "./exported-rows.ts";
import { Rows } from "./rows.ts";
import { TableMemory, type MemoryShare } from "./table-memory.ts";
import type { TableSpec } from "./table-spec.ts";

const memory = new TableMemory({ arenaBytes: 64 * 2 ** 20 });
const { arena } = memory.shareOf(0, { partitions: 1, places: 1 });
const INPUT = arena.allocate(65_536);
const OUTPUT = arena.allocate(65_536);

function spec(dim: number, dtype: RowDtype = "float32"): TableSpec {
  return {
    id: 1,
    name: "t",
    dim,
    dtype,
    initializer: { kind: "uniform", min: -1, max: 1 },
    optimizer: { kind: "adagrad", learningRate: 0.1, initialAccumulator: 0.1, epsilon: 1e-7 },
  };
}

function shareOf(open = (recordBytes: number) => new MemoryColdStore(recordBytes)): MemoryShare {
  return { arena, bytesMax: 2 ** 20, bytes: 0, pledged: 0, cold: { open, rows: 0, bytes: 0, rowsSpilled: 0 } };
}

function pair(table: TableSpec) {
  const share = shareOf();
  const plain: MemoryShare = { arena, bytesMax: 2 ** 20, bytes: 0, pledged: 0 };
  return {
    share,
    plain,
    spilling: new Rows(table, { seed: 5, share }),
    staying: new Rows(table, { seed: 5, share: plain }),
  };
}

/** Keys as words at INPUT, floats behind them. */
function give(keys: readonly number[], floats: readonly number[]): { keys: number; floats: number } {
  keys.forEach((key, i) => arena.words.set([key, key % 3], INPUT / 4 + 2 * i));
  arena.floats.set(floats, INPUT / 4 + 2 * keys.length);
  return { keys: INPUT, floats: INPUT + 8 * keys.length };
}

function update(rows: Rows, keys: readonly number[], step: number): void {
  const grads = Array.from({ length: keys.length * rows.dim }, (_, i) => Math.fround(Math.sin(i + step)));
  const at = give(keys, grads);
  rows.update(at.keys, keys.length, at.floats, step);
}

function read(rows: Rows, keys: readonly number[], dtype: RowDtype = "float32"): Uint8Array {
  const bytes = keys.length * valueBytes(dtype, rows.dim);
  rows.read(give(keys, []).keys, keys.length, { at: OUTPUT, dtype });
  return arena.bytes.slice(OUTPUT, OUTPUT + bytes);
}

/** All rows by key, whichever order they come in. */
function exported(rows: Rows, rowsMax = 7): Map<number, unknown> {
  const all = new Map<number, unknown>();
  for (let cursor: number | undefined = 0; cursor !== undefined;) {
    const part: ExportedRows = rows.export(cursor, rowsMax);
    for (let i = 0; i < part.updates.length; i++) {
      expect(all.has(part.keys[2 * i]!)).toBe(false);
      all.set(part.keys[2 * i]!, {
        weights: part.weights.slice(i * rows.dim, (i + 1) * rows.dim),
        state: part.states.slice(i * rows.stateWidth, (i + 1) * rows.stateWidth),
        updates: part.updates[i],
        lastStep: part.lastSteps[i],
      });
    }
    cursor = part.next;
  }
  return all;
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

/** Keys of the test that compares rows; its index of rows on disk is largest when all are there. */
const KEYS_MAX = 81;
const INDEX_BYTES_MAX = indexBytes(KEYS_MAX);

/** Memory that the index of so many rows on disk takes. */
function indexBytes(rows: number): number {
  const cold = new ColdRows(new MemoryColdStore(8), arena);
  const { keys } = give(range(0, rows), []);
  cold.put(
    Uint32Array.from(range(0, rows), (i) => keys + 8 * i),
    rows,
  );
  return cold.bytes();
}

describe("Rows that may go to disk", () => {
  it("a full disk leaves all rows in memory, as they were", () => {
    const store = new MemoryColdStore(8);
    store.write = () => {
      throw new ClusterError("LIMIT_EXCEEDED", "the disk is full");
    };
    const share = shareOf(() => store);
    const rows = new Rows(spec(4), { seed: 5, share });
    update(rows, range(0, 50), 1);
    const before = exported(rows);
    expect(() => rows.makeRoom(10)).toThrow("the disk is full");
    expect(exported(rows)).toEqual(before);
    expect(share.cold).toMatchObject({ rows: 0, rowsSpilled: 0 });
    rows.dispose();
  });

  it("those that were not changed for longest go first: by step, then updates, then key", () => {
    const { spilling: rows, share } = pair(spec(4));
    update(rows, [8, 9], 1);
    update(rows, [5, 6, 7, 8], 2);
    update(rows, [1, 2], 3);
    rows.makeRoom(4);
    expect(share.cold!.rows).toBe(4);
    const inMemory = [...exported(rows, 100).keys()].slice(0, 3); // those in memory come first
    expect(inMemory.toSorted((a, b) => a - b)).toEqual([1, 2, 8]);
    rows.dispose();
  });

  it("a pull leaves a row on disk, a push takes it back as it was", () => {
    const { spilling: rows, share } = pair(spec(4));
    update(rows, range(0, 20), 1);
    const before = exported(rows);
    const weights = read(rows, range(0, 20));
    rows.makeRoom(20);
    expect(share.cold!.rows).toBe(20);
    expect(read(rows, range(0, 20))).toEqual(weights);
    expect(exported(rows)).toEqual(before);
    expect(share.cold!.rows).toBe(20);
    update(rows, [3, 4, 100], 2);
    expect(share.cold!.rows).toBe(18);
    expect(rows.count).toBe(21);
    rows.dispose();
  });

  it("a disk that fails while rows are fetched loses none, and they can be fetched later", () => {
    const store = new MemoryColdStore(32);
    const share = shareOf(() => store);
    const rows = new Rows(spec(2), { seed: 5, share });
    update(rows, range(0, 50), 1);
    const before = exported(rows);
    rows.makeRoom(30);
    const readStore = store.read.bind(store);
    store.read = () => {
      throw new ClusterError("PARTITION_UNAVAILABLE", "the disk fails");
    };
    expect(() => rows.fetch(give(range(0, 50), []).keys, 50)).toThrow("the disk fails");
    store.read = readStore;
    expect(exported(rows)).toEqual(before);
    expect(rows.fetch(give(range(0, 50), []).keys, 50)).toBe(30);
    expect(exported(rows)).toEqual(before);
    expect(share.cold!.rows).toBe(0);
    rows.dispose();
  });

  it("disposing gives memory and disk back", () => {
    const { spilling: rows, share } = pair(spec(4));
    update(rows, range(0, 200), 1);
    rows.makeRoom(150);
    update(rows, range(0, 10), 2);
    expect(share.bytes).toBe(rows.bytes());
    rows.dispose();
    expect(share.bytes).toBe(0);
    expect(share.cold).toMatchObject({ rows: 0, bytes: 0 });
  });

  it("rows too wide to be read many at a time are read all the same", () => {
    const { spilling, staying } = pair(spec(3000));
    for (const rows of [spilling, staying]) update(rows, [1, 2, 3, 4, 5], 1);
    spilling.makeRoom(4);
    expect(exported(spilling)).toEqual(exported(staying));
    for (const rows of [spilling, staying]) update(rows, [2, 5], 2);
    expect(exported(spilling)).toEqual(exported(staying));
    spilling.dispose();
    staying.dispose();
  });

  it("have the same bits as rows that stay in memory, over any pushes, sets, deletes and pulls, in all dtypes", () => {
    const keys = fc.uniqueArray(fc.nat(KEYS_MAX - 1), { maxLength: 30 }).map((list) => list.toSorted((a, b) => a - b));
    const command = fc.oneof(
      { weight: 5, arbitrary: fc.record({ what: fc.constant("update" as const), keys }) },
      { weight: 1, arbitrary: fc.record({ what: fc.constantFrom("set" as const, "delete" as const), keys }) },
      { weight: 3, arbitrary: fc.record({ what: fc.constant("read" as const), keys, dtype: dtypes }) },
      { weight: 3, arbitrary: fc.record({ what: fc.constant("makeRoom" as const), n: fc.nat(40) }) },
      { weight: 2, arbitrary: fc.record({ what: fc.constant("giveBack" as const), bytes: fc.nat(3000) }) },
      { weight: 2, arbitrary: fc.record({ what: fc.constant("fetch" as const), keys }) },
    );
    fc.assert(
      fc.property(dtypes, fc.integer({ min: 1, max: 9 }), fc.array(command, { maxLength: 30 }), (dtype, dim, list) => {
        const { spilling, staying, share } = pair(spec(dim, dtype));
        for (const [step, c] of list.entries()) {
          if (c.what === "makeRoom") {
            spilling.makeRoom(c.n);
            continue;
          }
          if (c.what === "giveBack") {
            const before = share.bytes;
            const given = spilling.giveBack(c.bytes);
            expect(share.bytes).toBeLessThanOrEqual(before - given + INDEX_BYTES_MAX);
            continue;
          }
          if (c.what === "fetch") {
            const before = share.cold!.rows;
            expect(spilling.fetch(give(c.keys, []).keys, c.keys.length)).toBe(before - share.cold!.rows);
            expect(spilling.fetch(give(c.keys, []).keys, c.keys.length)).toBe(0);
            expect(share.bytes).toBe(spilling.bytes());
            continue;
          }
          if (c.what === "read") {
            expect(read(spilling, c.keys, c.dtype)).toEqual(read(staying, c.keys, c.dtype));
            continue;
          }
          for (const rows of [spilling, staying]) {
            if (c.what === "update") update(rows, c.keys, step);
            else if (c.what === "delete") rows.delete(give(c.keys, []).keys, c.keys.length);
            else {
              const at = give(c.keys, range(0, c.keys.length * dim));
              rows.set(at.keys, c.keys.length, at.floats, step);
            }
          }
          expect(spilling.count).toBe(staying.count);
          expect(share.bytes).toBe(spilling.bytes());
        }
        expect(exported(spilling)).toEqual(exported(staying));
        spilling.dispose();
        staying.dispose();
        expect(share).toMatchObject({ bytes: 0, cold: { rows: 0, bytes: 0 } });
      }),
    );
  });
});

const dtypes = fc.constantFrom<RowDtype>("float32", "bfloat16", "int8");
