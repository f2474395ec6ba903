import fc from "fast-check";
import { expect, test } from "vitest";
import { KeyIndex } from "./key-index.ts";

test("an empty index finds nothing and holds no memory", () => {
  const index = new KeyIndex();
  expect(index.find(0, 0)).toBe(-1);
  expect(index.bytes()).toBe(0);
});

test("the first key costs less than 100 bytes", () => {
  const index = new KeyIndex();
  index.insert(1, 2);
  expect(index.bytes()).toBeLessThan(100);
});

test("two empty indexes share nothing that one could write", () => {
  const first = new KeyIndex();
  first.insert(0, 0);
  expect(new KeyIndex().find(0, 0)).toBe(-1);
});

test("keys with the words of 0 and of -1 are keys like others", () => {
  const index = new KeyIndex();
  expect(index.insert(0, 0)).toBe(0);
  expect(index.insert(0xffffffff, 0xffffffff)).toBe(1);
  expect(index.find(0, 0)).toBe(0);
  expect(index.find(0xffffffff, 0xffffffff)).toBe(1);
  expect(index.find(0, 0xffffffff)).toBe(-1);
});

test("an owner's words are 0 in a new row and survive growth", () => {
  const index = new KeyIndex({ ownWords: 2 });
  for (let i = 0; i < 1000; i++) {
    const at = index.insert(i, 0) * index.entryWords;
    expect([index.entries[at + 2], index.entries[at + 3]]).toEqual([0, 0]);
    index.entries[at + 3] = i + 1;
  }
  for (let i = 0; i < 1000; i++) expect(index.entries[index.find(i, 0) * index.entryWords + 3]).toBe(i + 1);
});

test("100,000 keys take less than 32 bytes each", () => {
  const index = new KeyIndex();
  for (let i = 0; i < 100_000; i++) index.insert(i, 0);
  expect(index.bytes() / index.count).toBeLessThan(32);
});

test("an index answers like a Map, through growth", () => {
  const word = fc.oneof(fc.integer({ min: 0, max: 40 }), fc.constantFrom(0xffffffff, 0x80000000), fc.nat(0xffffffff));
  const calls = fc.array(fc.record({ adds: fc.boolean(), lo: word, hi: word }), { maxLength: 1000, size: "max" });
  fc.assert(
    fc.property(calls, (all) => {
      const index = new KeyIndex();
      const model = new Map<string, number>();
      for (const { adds, lo, hi } of all) {
        const key = `${lo},${hi}`;
        expect(index.find(lo, hi)).toBe(model.get(key) ?? -1);
        if (!adds || model.has(key)) continue;
        expect(index.insert(lo, hi)).toBe(model.size);
        model.set(key, model.size);
      }
      expect(index.count).toBe(model.size);
      for (const [key, row] of model) {
        const [lo, hi] = key.split(",").map(Number);
        expect(index.find(lo!, hi!)).toBe(row);
        expect([...index.entries.subarray(2 * row, 2 * row + 2)]).toEqual([lo, hi]);
      }
    }),
  );
});
