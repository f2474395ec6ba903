import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { sgd } from "../optimizer/index.ts";
import { TableSet, type Segment } from "./segment.ts";
import { Staging } from "./staging.ts";
import type { TableSpec } from "../table/table-spec.ts";
import { testShare } from "../table/test-rows.ts";
import { keysOf, segmentOf, type TablePart } from "./test-segment.ts";

function table(id: number, name: string, dim: number): TableSpec {
  return { id, name, dim, initializer: { kind: "zeros" }, optimizer: sgd() };
}

const TABLES = new TableSet([table(3, "route", 2), table(7, "hour", 1), table(8, "day", 3)]);

const ARENA = testShare().arena;

function opened(slots: number): Staging {
  const staging = new Staging(TABLES, ARENA);
  staging.open(slots);
  return staging;
}

/** The sums of each table as [key, …values] lists. */
function sums({ sums: { counts, keys, values } }: Staging): (bigint | number)[][][] {
  const { words, floats } = ARENA;
  return TABLES.specs.map(({ dim }, i) =>
    keysOf(words.slice(keys[i]! / 4, keys[i]! / 4 + 2 * counts[i]!)).map((key, k) => [
      key,
      ...floats.slice(values[i]! / 4 + k * dim, values[i]! / 4 + (k + 1) * dim),
    ]),
  );
}

describe("a bad segment", () => {
  const good: TablePart = { table: 7, keys: [1], values: [5] };
  const refused: [string, Segment, string][] = [
    [
      "keys that do not ascend",
      segmentOf(good, { table: 3, keys: [2, 4, 9, 7], values: [1, 1, 1, 1, 1, 1, 1, 1] }),
      'keys must ascend: keys[3]=7 after 9, in table "route"; sort them and sum the gradients of equal keys',
    ],
    [
      "a key that comes twice",
      segmentOf({ table: 7, keys: [4, 4], values: [1, 1] }),
      'keys must ascend: keys[1]=4 after 4, in table "hour"; sort them and sum the gradients of equal keys',
    ],
    [
      "keys that descend in their high words",
      segmentOf({ table: 7, keys: [1n << 40n, 2], values: [1, 1] }),
      'keys must ascend: keys[1]=2 after 1099511627776, in table "hour"; sort them and sum the gradients of equal keys',
    ],
    [
      "a NaN",
      segmentOf(good, { table: 3, keys: [5, 2n ** 63n], values: [1, 2, 3, NaN] }),
      'NaN for key 9223372036854775808 of table "route", component 1: values must be finite; lower the learning rate or clip gradients',
    ],
    [
      "an infinite value",
      segmentOf({ table: 8, keys: [5], values: [1, 2, -Infinity] }),
      '-Infinity for key 5 of table "day", component 2: values must be finite; lower the learning rate or clip gradients',
    ],
    [
      "an unknown table",
      segmentOf(good, { table: 9, keys: [], values: [] }),
      'no table 9: this job has 3 "route", 7 "hour", 8 "day"',
    ],
    [
      "a table that comes twice",
      segmentOf(good, { table: 7, keys: [], values: [] }),
      'table 7 "hour" is twice in one segment',
    ],
    [
      "too few values",
      segmentOf({ table: 3, keys: [1, 2], values: [1, 2, 3] }),
      "segment needs 7 values of a frame that has 6: its counts do not fit its arrays",
    ],
    [
      "too few keys",
      { ...segmentOf({ table: 7, keys: [1, 2], values: [1, 2] }), counts: Uint32Array.of(99, 3) },
      "segment needs 10 keys of a frame that has 8: its counts do not fit its arrays",
    ],
    [
      "too few counts",
      { ...segmentOf(good), countsAt: 2 },
      "segment needs 3 counts of a frame that has 2: its counts do not fit its arrays",
    ],
  ];

  test.each(refused)("with %s is refused, naming it", (_, segment, message) => {
    expect(() => opened(1).add(0, segment)).toThrow(new RangeError(message));
  });

  test.each(refused)("with %s changes nothing: the slot can send a good one", (_, segment) => {
    const staging = opened(2);
    staging.add(1, segmentOf(good));
    expect(() => staging.add(0, segment)).toThrow(RangeError);
    expect([staging.slotsIn, staging.has(0)]).toEqual([1, false]);
    staging.add(0, segmentOf({ table: 7, keys: [1], values: [2] }));
    staging.sum();
    expect(sums(staging)).toEqual([[], [[1n, 7]], []]);
  });
});

test("a slot that the step does not have is refused", () => {
  for (const slot of [2, -1, NaN]) {
    expect(() => opened(2).add(slot, null)).toThrow(new RangeError(`slot ${slot} of a step that has slots 0 to 1`));
  }
});

test("keys of several slots are united in ascending order and their values summed", () => {
  const staging = opened(3);
  staging.add(0, segmentOf({ table: 3, keys: [1, 5], values: [1, 2, 3, 4] }, { table: 7, keys: [9], values: [1] }));
  staging.add(1, null);
  staging.add(2, segmentOf({ table: 3, keys: [0, 5, 2n ** 64n - 1n], values: [9, 9, 10, 20, 7, 8] }));
  staging.sum();
  expect(sums(staging)).toEqual([
    [
      [0n, 9, 9],
      [1n, 1, 2],
      [5n, 13, 24],
      [2n ** 64n - 1n, 7, 8],
    ],
    [[9n, 1]],
    [],
  ]);
});

test("a segment is copied: its frame may change once it is in", () => {
  const staging = opened(2);
  const segment = segmentOf({ table: 3, keys: [1, 5], values: [1, 2, 3, 4] });
  staging.add(0, segment);
  segment.keys.fill(9);
  segment.values.fill(9);
  segment.counts.fill(9);
  staging.add(1, null);
  staging.sum();
  expect(sums(staging)).toEqual([
    [
      [1n, 1, 2],
      [5n, 3, 4],
    ],
    [],
    [],
  ]);
});

test("tables may come in any order and be left out", () => {
  const staging = opened(1);
  staging.add(0, segmentOf({ table: 8, keys: [1], values: [1, 2, 3] }, { table: 3, keys: [2], values: [4, 5] }));
  staging.sum();
  expect(sums(staging)).toEqual([[[2n, 4, 5]], [], [[1n, 1, 2, 3]]]);
});

test("sums are taken in slot order: (1e8 + 1) − 1e8 is 0 in float32, (1e8 − 1e8) + 1 is 1", () => {
  const sumOf = (values: readonly number[], arrival: readonly number[]): (bigint | number)[][][] => {
    const staging = opened(3);
    for (const slot of arrival) staging.add(slot, segmentOf({ table: 7, keys: [4], values: [values[slot]!] }));
    staging.sum();
    return sums(staging);
  };
  expect(sumOf([1e8, 1, -1e8], [0, 1, 2])).toEqual([[], [[4n, 0]], []]);
  expect(sumOf([1e8, 1, -1e8], [2, 0, 1])).toEqual([[], [[4n, 0]], []]);
  expect(sumOf([1e8, -1e8, 1], [2, 1, 0])).toEqual([[], [[4n, 1]], []]);
});

test("a new step forgets the last one and reuses its buffers", () => {
  const staging = opened(2);
  const segment = segmentOf({ table: 3, keys: [1, 2], values: [1, 1, 1, 1] });
  staging.add(0, segment);
  staging.add(1, segment);
  staging.sum();
  const bytes = staging.bytes();
  const used = ARENA.bytesUsed;
  staging.open(2);
  expect([staging.slotsIn, staging.has(0)]).toEqual([0, false]);
  staging.add(0, null);
  staging.add(1, segment);
  staging.sum();
  expect(sums(staging)[0]).toEqual([
    [1n, 1, 1],
    [2n, 1, 1],
  ]);
  expect([staging.bytes(), ARENA.bytesUsed]).toEqual([bytes, used]);
});

/** What the sums must be, by a Map per table, slot by slot. */
function oracle(slots: readonly (readonly TablePart[] | null)[]): (bigint | number)[][][] {
  return TABLES.specs.map(({ id, dim }) => {
    const rows = new Map<bigint, number[]>();
    for (const parts of slots) {
      for (const { keys, values } of (parts ?? []).filter(({ table }) => table === id)) {
        for (const [i, key] of keys.map(BigInt).entries()) {
          const gradient = values.slice(i * dim, (i + 1) * dim);
          rows.set(key, rows.get(key)?.map((sum, c) => Math.fround(sum + gradient[c]!)) ?? gradient);
        }
      }
    }
    return [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, values]) => [key, ...values]);
  });
}

describe("against a Map", () => {
  const key = fc.oneof(
    fc.bigInt({ min: 0n, max: 30n }),
    fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    fc.constantFrom(2n ** 32n, 2n ** 63n),
  );
  const partOf = ({ id, dim }: TableSpec): fc.Arbitrary<TablePart> =>
    fc.uniqueArray(key, { maxLength: 20 }).chain((unsorted) => {
      const keys = unsorted.sort((a, b) => (a < b ? -1 : 1));
      const floats = keys.length * dim;
      const value = fc.float({ noNaN: true, noDefaultInfinity: true, min: -1e6, max: 1e6 }).map((x) => x + 0);
      return fc.record({
        table: fc.constant(id),
        keys: fc.constant(keys),
        values: fc.array(value, { minLength: floats, maxLength: floats }),
      });
    });
  const parts = fc.tuple(...TABLES.specs.map(partOf)).chain((all) => fc.shuffledSubarray(all));
  const slotLists = fc.array(fc.option(parts), { minLength: 1, maxLength: 9 });

  test("sums agree to the bit, whatever order the slots arrived in", () => {
    fc.assert(
      fc.property(
        slotLists.chain((slots) =>
          fc.tuple(fc.constant(slots), fc.shuffledSubarray([...slots.keys()], { minLength: slots.length })),
        ),
        ([slots, arrival]) => {
          const staging = opened(slots.length);
          for (const slot of arrival) {
            const sent = slots[slot]!;
            staging.add(slot, sent && segmentOf(...sent));
          }
          staging.sum();
          expect(sums(staging)).toEqual(oracle(slots));
        },
      ),
      { numRuns: 400 },
    );
  });

  test("all 24 arrival orders of 4 slots give the same bits", () => {
    const orders = permutations([0, 1, 2, 3]);
    fc.assert(
      fc.property(fc.tuple(parts, parts, parts, parts), (slots) => {
        const results = orders.map((arrival) => {
          const staging = opened(4);
          for (const slot of arrival) staging.add(slot, segmentOf(...slots[slot]!));
          staging.sum();
          return sums(staging);
        });
        for (const result of results) expect(result).toEqual(results[0]);
      }),
      { numRuns: 15 },
    );
  });
});

function permutations<Item>(items: readonly Item[]): Item[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, i) => permutations(items.filter((_, j) => j !== i)).map((rest) => [item, ...rest]));
}
