import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { stateMoves, type RangeOf } from "./state-moves.ts";

const rangesOf =
  (floats: number): RangeOf =>
  ({ rank, size }) => ({
    from: Math.floor((floats * rank) / size),
    to: Math.floor((floats * (rank + 1)) / size),
  });

describe("stateMoves", () => {
  test("gives each weight's state from who has it to who is to have it, once", () => {
    const workers = fc.uniqueArray(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(fc.nat(40), workers, workers, (floats, owners, members) => {
        const rangeOf = rangesOf(floats);
        const moves = stateMoves({ owners, members, rangeOf });
        const covered = moves.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, i) => from + i));
        expect(covered.toSorted((a, b) => a - b)).toEqual(Array.from({ length: floats }, (_, i) => i));
        for (const { from, to, owner, heir } of moves) {
          const had = owners.findIndex((_, rank) => {
            const range = rangeOf({ rank, size: owners.length });
            return range.from <= from && to <= range.to;
          });
          expect(owner).toBe(members.includes(owners[had]!) ? owners[had] : undefined);
          const wanted = rangeOf({ rank: members.indexOf(heir), size: members.length });
          expect(wanted.from <= from && to <= wanted.to).toBe(true);
        }
      }),
    );
  });

  test("has no owner before the first step", () => {
    expect(stateMoves({ owners: [], members: [7, 9], rangeOf: rangesOf(5) })).toEqual([
      { from: 0, to: 2, owner: undefined, heir: 7 },
      { from: 2, to: 5, owner: undefined, heir: 9 },
    ]);
  });

  test("knows no owner of what a worker had that is lost", () => {
    expect(stateMoves({ owners: [7, 8], members: [7, 9], rangeOf: rangesOf(4) })).toEqual([
      { from: 0, to: 2, owner: 7, heir: 7 },
      { from: 2, to: 4, owner: undefined, heir: 9 },
    ]);
  });
});
