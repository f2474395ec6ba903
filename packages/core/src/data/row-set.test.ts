import fc from "fast-check";
import { expect, it } from "vitest";
import { RowSet } from "./row-set.ts";

it("RowSet finds the n-th row in it, and the n-th outside of it", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3000 }), fc.array(fc.nat(), { maxLength: 400 }), (rows, picks) => {
      const set = new RowSet(rows);
      const oracle = new Set<number>();
      for (const pick of picks) {
        const row = pick % rows;
        expect(set.add(row)).toBe(!oracle.has(row));
        oracle.add(row);
      }
      const inside = [...oracle].toSorted((a, b) => a - b);
      const outside = Array.from({ length: rows }, (_, row) => row).filter((row) => !oracle.has(row));
      expect(set.size).toBe(inside.length);
      expect(inside.map((_, n) => set.rowAt(n))).toEqual(inside);
      expect(outside.map((_, n) => set.rowOutsideAt(n))).toEqual(outside);
      expect(outside.some((row) => set.has(row))).toBe(false);
    }),
  );
});

it("RowSet finds rows again after more were added", () => {
  const set = new RowSet(2000);
  set.add(1999);
  expect(set.rowAt(0)).toBe(1999);
  set.add(513);
  expect([set.rowAt(0), set.rowAt(1), set.rowOutsideAt(513)]).toEqual([513, 1999, 514]);
  expect(() => set.rowAt(2)).toThrow(new RangeError("row 2 of a set of 2 of 2000 rows"));
});
