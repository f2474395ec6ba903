import fc from "fast-check";
import { expect, test } from "vitest";
import { longestRows } from "./row-top-k.ts";

const someRows = fc.uniqueArray(fc.record({ name: fc.nat(60), square: fc.integer({ min: 0, max: 5 }) }), {
  selector: ({ name }) => name,
});
type Row = { name: number; square: number };

function longest(rows: readonly Row[], share: number): Row[] {
  const chosen = longestRows(
    {
      squares: Float64Array.from(rows, ({ square }) => square),
      names: Uint32Array.from(rows.flatMap(({ name }) => [name % 7, Math.floor(name / 7)])),
    },
    share,
  );
  return rows.filter((_, u) => chosen[u] === 1);
}

test("as many rows as the share says, rounded up, and none that is shorter than one left out", () => {
  fc.assert(
    fc.property(someRows, fc.double({ min: 0.001, max: 1, noNaN: true }), (rows, share) => {
      const chosen = longest(rows, share);
      expect(chosen).toHaveLength(Math.ceil(share * rows.length));
      const least = Math.min(...chosen.map(({ square }) => square));
      for (const row of rows) if (!chosen.includes(row)) expect(row.square).toBeLessThanOrEqual(least);
    }),
  );
});

test("the same rows in whatever order they come", () => {
  fc.assert(
    fc.property(
      someRows,
      fc.double({ min: 0.1, max: 0.9, noNaN: true }),
      fc.infiniteStream(fc.nat()),
      (rows, share, random) => {
        const shuffled = rows
          .map((row) => ({ row, at: random.next().value as number }))
          .toSorted((a, b) => a.at - b.at);
        const names = (chosen: readonly Row[]) => chosen.map(({ name }) => name).toSorted((a, b) => a - b);
        expect(
          names(
            longest(
              shuffled.map(({ row }) => row),
              share,
            ),
          ),
        ).toEqual(names(longest(rows, share)));
      },
    ),
  );
});
