import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { NO_ROW } from "../../embedding/index.ts";
import { DistinctRows } from "./distinct-rows.ts";

/** A use of one row, and a sequence of up to three. */
const USES = [
  { places: 1, width: 2 },
  { places: 3, width: 1 },
];
const E = 5;

/** Places of some samples. */
const someIds = fc
  .integer({ min: 0, max: 12 })
  .chain((samples) => {
    const id = fc.oneof({ weight: 5, arbitrary: fc.nat(6) }, { weight: 1, arbitrary: fc.constant(NO_ROW) });
    return fc.array(id, { minLength: 4 * samples, maxLength: 4 * samples });
  })
  .map((ids) => Uint32Array.from(ids));

/** What the row of each float is named, and which of its floats it is; undefined where there is none. */
function namesOf(ids: Uint32Array): (string | undefined)[] {
  return Array.from(ids).flatMap((id, i) => {
    const use = i % 4 === 0 ? 0 : 1;
    return Array.from({ length: USES[use]!.width }, (_, d) => (id === NO_ROW ? undefined : `${use}:${id}:${d}`));
  });
}

describe("DistinctRows", () => {
  test("gives each row once, and each place its row", () => {
    fc.assert(
      fc.property(someIds, (ids) => {
        const distinct = new DistinctRows({ ids, uses: USES });
        const names = namesOf(ids);
        const valueOf = new Map([...new Set(names)].map((name, i) => [name, name === undefined ? 0 : i + 1]));
        const packed = Float32Array.from(names, (name) => valueOf.get(name)!);
        const once = distinct.once(packed);
        expect([...once].toSorted(ascending)).toEqual(
          [...valueOf.values()].filter((value) => value > 0).toSorted(ascending),
        );
        expect(distinct.floats).toBe(once.length);
        expect(distinct.atPlaces(once)).toEqual(packed);
        expect(new DistinctRows({ ids: distinct.numbers, uses: USES }).numbers).toEqual(distinct.numbers);
      }),
    );
  });

  test("sums by row, and deals sums out in shares that give them again and are no longer than what was summed", () => {
    fc.assert(
      fc.property(someIds, fc.nat(99), (ids, salt) => {
        const distinct = new DistinctRows({ ids, uses: USES });
        const names = namesOf(ids);
        const packed = Float32Array.from(names, (_, i) => ((i * 7919 + salt * 31) % 17) - 8);
        const expected = new Map<string | undefined, number>();
        for (const [i, name] of names.entries()) expected.set(name, (expected.get(name) ?? 0) + packed[i]!);
        expected.delete(undefined);
        const sums = distinct.sums(packed);
        expect([...sums].toSorted(ascending)).toEqual([...expected.values()].toSorted(ascending));

        const shares = distinct.shares(sums);
        for (const [i, sum] of distinct.sums(shares).entries()) expect(sum).toBeCloseTo(sums[i]!, 4);
        for (const [i, name] of names.entries()) {
          const places = names.filter((other) => other === name).length;
          if (name === undefined) expect(shares[i]).toBe(0);
          else expect(shares[i]).toBeCloseTo(expected.get(name)! / places, 5);
        }
        expect(squares(shares)).toBeLessThanOrEqual(squares(packed) * (1 + 1e-5));
        expect(distinct.shares(sums)).toHaveLength((ids.length / 4) * E);
      }),
    );
  });

  test("rows that are all of their own are as they were", () => {
    const packed = Float32Array.from({ length: 3 * E }, (_, i) => i + 0.1);
    const distinct = DistinctRows.of({ rowIds: undefined, samples: 3 }, USES);
    expect(distinct.count).toBe(12);
    expect(distinct.once(packed)).toEqual(packed);
    expect(distinct.shares(distinct.sums(packed))).toEqual(packed);
  });

  test("a model without rows has none, and places must be those of whole samples", () => {
    expect(DistinctRows.of({ rowIds: undefined, samples: 3 }, []).atPlaces(new Float32Array(0))).toHaveLength(0);
    for (const uses of [USES, []]) {
      expect(() => new DistinctRows({ ids: new Uint32Array(5), uses })).toThrow(
        new RangeError(`5 places cannot be those of samples that have ${uses.length === 0 ? 0 : 4} each`),
      );
    }
  });
});

const ascending = (a: number, b: number): number => a - b;

function squares(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value * value, 0);
}
