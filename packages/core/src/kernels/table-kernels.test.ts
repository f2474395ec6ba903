import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { slotHash } from "../hash.ts";
import { FREE, LAST_STEP_AT, UPDATES_AT } from "../table/row-layout.ts";
import { DESCRIPTOR, KernelTable, wordsOf } from "./oracle/kernel-table.ts";
import { RowMemory } from "./oracle/row-memory.ts";

const memory = new RowMemory(512);
const { kernels } = memory;
beforeEach(() => memory.clear());

const open = (o: Partial<ConstructorParameters<typeof KernelTable>[1]> = {}): KernelTable =>
  new KernelTable(memory, { stride: 24, slotsMax: 16_384, keysMax: 1024, rowsPerBlock: 5, ...o });

const rowWord = (row: number, at: number): number => memory.words[((row & ~7) + at) / 4]!;

/** xorshift32: the same operations at each run. */
function random(seed: number): (below: number) => number {
  let x = seed;
  return (below) => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return (x >>> 0) % below;
  };
}

/** Keys whose slots are the same in every table of fewer than 2¹⁶ slots. */
function colliding(count: number): bigint[] {
  const keys: bigint[] = [];
  for (let lo = 0; keys.length < count; lo++) if (slotHash(lo, 9) >>> 21 === 5) keys.push((9n << 32n) | BigInt(lo));
  return keys;
}

/** Every live row is found by its key, and nothing else is in the slots. */
function expectRows(table: KernelTable, model: ReadonlyMap<bigint, number>): void {
  const count = table.descriptor[DESCRIPTOR.slotCount]!;
  const out = memory.take(4 * (count + 1));
  const n = kernels.tableRows(table.at, 0, out, count + 7);
  const rows = [...memory.wordsAt(out, n)];
  expect(new Map(rows.map((row) => [table.keyOf(row), row]))).toEqual(new Map(model));
  expect(table.descriptor[DESCRIPTOR.live]).toBe(model.size);
}

describe("a table without slots", () => {
  test("has no key", () => {
    const { rows, absent } = open().find([0n, 1n, 1n << 63n]);
    expect([...rows, absent]).toEqual([0, 0, 0, 3]);
  });

  test("takes none", () => {
    const table = open();
    expect(kernels.tableInsert(table.at, memory.takeWords([1, 2]), 1, memory.take(4))).toBe(0);
    expect(kernels.tableRows(table.at, 0, memory.take(4), 1)).toBe(0);
  });
});

describe("tableInsert() stops", () => {
  test("where rows are used up, and leaves no trace of the next key", () => {
    const table = open();
    table.rehash(50);
    const out = memory.take(400);
    table.descriptor[DESCRIPTOR.bump] = memory.take(3 * 24 + 23);
    table.descriptor[DESCRIPTOR.bumpEnd] = table.descriptor[DESCRIPTOR.bump]! + 3 * 24 + 23;
    const keys = [5n, 6n, 7n, 8n];
    expect(kernels.tableInsert(table.at, memory.takeWords(wordsOf(keys)), 4, out)).toBe(3);
    expect(table.find(keys).absent).toBe(1);
    expect([...table.descriptor.subarray(3, 5)]).toEqual([3, 3]);
  });

  test("where slots are used up, but still finds what is there", () => {
    const table = open();
    table.rehash(5);
    table.insert([1n, 2n, 3n, 4n]);
    expect(table.descriptor[DESCRIPTOR.slotCount]).toBe(5);
    const out = memory.take(400);
    const keys = memory.takeWords(wordsOf([4n, 2n, 9n, 1n]));
    expect(kernels.tableInsert(table.at, keys, 4, out)).toBe(2);
    expect([...memory.wordsAt(out, 2)].map((row) => table.keyOf(row))).toEqual([4n, 2n]);
  });
});

test("a new row has its key, no updates and its mark, an old one no mark", () => {
  const table = open();
  const [first] = table.insert([0xfedcba98_76543210n]);
  expect(first! & 7).toBe(1);
  expect([0, 4, UPDATES_AT, LAST_STEP_AT].map((at) => rowWord(first!, at))).toEqual([0x76543210, 0xfedcba98, 0, 0]);
  expect(table.insert([0xfedcba98_76543210n])[0]).toBe(first! - 1);
});

test("a key twice in one call has one row, which is new once", () => {
  const [first, second] = open().insert([7n, 7n]);
  expect(second).toBe(first! - 1);
});

test("keys that begin at the same slot are told apart, round the end of the slots too", () => {
  const keys = colliding(300);
  const table = open();
  const rows = [...table.insert(keys)].map((row) => row & ~7);
  expect(new Set(rows).size).toBe(300);
  for (const slots of [301, 302, 400, 4000]) {
    table.rehash(slots);
    expect([...table.find(keys).rows]).toEqual(rows);
  }
});

test("a deleted row is free, is given to the next new key, and its chain stays whole", () => {
  const keys = colliding(100);
  const table = open();
  const rows = [...table.insert(keys)].map((row) => row & ~7);
  table.delete(rows.filter((_, i) => i % 3 === 0));
  expect(rowWord(rows[99]!, LAST_STEP_AT)).toBe(FREE);
  expect([...table.find(keys).rows]).toEqual(rows.map((row, i) => (i % 3 === 0 ? 0 : row)));
  const [reborn] = table.insert([1n]);
  expect(reborn).toBe(rows[99]! + 1);
});

test("slots are free again when all rows are deleted", () => {
  const table = open();
  const rows = table.insert(colliding(64)).slice();
  table.delete(rows);
  expect([...table.descriptor.subarray(3, 5)]).toEqual([0, 0]);
});

test("tableRows() in pieces lists what it lists at once", () => {
  const table = open();
  const rows = [...table.insert(Array.from({ length: 777 }, (_, i) => BigInt(i) << 30n))].map((row) => row & ~7);
  table.delete(rows.splice(100, 50));
  const out = memory.take(4 * 100);
  const listed: number[] = [];
  for (let from = 0; from < table.descriptor[DESCRIPTOR.slotCount]!; from += 100) {
    listed.push(...memory.wordsAt(out, kernels.tableRows(table.at, from, out, 100)));
  }
  expect(listed.toSorted((a, b) => a - b)).toEqual(rows.toSorted((a, b) => a - b));
});

test.each([
  ["few keys", 1, 40],
  ["some keys", 2, 600],
  ["more keys", 3, 1500],
])("a third of a million operations on %s agree with a Map", (_, seed, range) => {
  const draw = random(seed);
  const key = (): bigint => (BigInt(draw(3)) << 62n) | BigInt(draw(range));
  const table = open();
  const model = new Map<bigint, number>();
  for (let operations = 0; operations < 333_333;) {
    const keys = Array.from({ length: 1 + draw(150) }, key);
    operations += keys.length;
    const kind = draw(8);
    if (kind < 3) {
      const expected = keys.map((k) => model.get(k) ?? 0);
      const { rows, absent } = table.find(keys);
      if (String(rows) !== String(expected)) expect([...rows]).toEqual(expected);
      expect(absent).toBe(expected.filter((row) => row === 0).length);
    } else if (kind < 6) {
      for (const [i, row] of table.insert(keys).entries()) {
        const known = model.get(keys[i]!);
        if (row !== (known ?? row | 1)) expect.fail(`key ${keys[i]}: row ${row}, known as ${known}`);
        model.set(keys[i]!, row & ~7);
      }
      expect(new Set(model.values()).size).toBe(model.size);
    } else {
      const present = [...new Set(keys)].filter((k) => model.has(k));
      table.delete(present.map((k) => model.get(k)!));
      for (const k of present) model.delete(k);
    }
    if (draw(50) === 0) table.rehash(model.size + 1 + draw(100));
  }
  expectRows(table, model);
});

test("any number of keys in one call, at any place in the slots", () => {
  const someKeys = fc.uniqueArray(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), { maxLength: 300 });
  fc.assert(
    fc.property(someKeys, someKeys, fc.integer({ min: 301, max: 1300 }), (keys, others, slots) => {
      memory.clear();
      const table = open();
      table.rehash(slots);
      const rows = new Map([...table.insert(keys)].map((row, i) => [keys[i]!, row & ~7]));
      expectRows(table, rows);
      expect([...table.find(others).rows]).toEqual(others.map((k) => rows.get(k) ?? 0));
    }),
    { numRuns: 300 },
  );
});
