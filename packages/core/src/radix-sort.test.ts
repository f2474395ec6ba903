import fc from "fast-check";
import { expect, test } from "vitest";
import { fillAscending, sortByClass, sortByWord, type NumberOrder } from "./radix-sort.ts";

function ascending(n: number): NumberOrder {
  const o = { order: new Uint32Array(n + 2), spare: new Uint32Array(n + 2) };
  fillAscending(o.order, n);
  return o;
}

test("nothing to sort has no class", () => {
  expect([...sortByClass(ascending(0), new Uint32Array(0), 0, 1)]).toEqual([0]);
});

test("numbers are sorted by 32-bit words, and by classes on top, as a stable comparison sorts them", () => {
  const word = fc.oneof(fc.nat(3), fc.constantFrom(2048, 2 ** 22, 0x8000_0000, 0xffff_ffff), fc.nat(0xffff_ffff));
  const item = fc.record({ word, group: fc.nat(4) });
  fc.assert(
    fc.property(fc.array(item, { maxLength: 200 }), (items) => {
      const n = items.length;
      const o = ascending(n);
      const words = Uint32Array.from(items, (i) => i.word);
      const groups = Uint32Array.from(items, (i) => i.group);
      const numbers = items.map((_, i) => i);
      sortByWord(o, words, n);
      expect([...o.order.subarray(0, n)]).toEqual(numbers.toSorted((a, b) => words[a]! - words[b]!));
      const sizes = sortByClass(o, groups, n, 5);
      expect([...o.order.subarray(0, n)]).toEqual(
        numbers.toSorted((a, b) => groups[a]! - groups[b]! || words[a]! - words[b]!),
      );
      for (let g = 0; g < 5; g++) expect(sizes[g]).toBe(items.filter(({ group }) => group === g).length);
    }),
  );
});

test("thousands of numbers are sorted in larger digits", () => {
  const n = 3000;
  const words = Uint32Array.from({ length: n }, (_, i) => Math.imul(i % 1000, 0x9e37_79b1) >>> 0);
  const o = ascending(n);
  sortByWord(o, words, n);
  const expected = Array.from(words, (_, i) => i).toSorted((a, b) => words[a]! - words[b]!);
  expect([...o.order.subarray(0, n)]).toEqual(expected);
});
