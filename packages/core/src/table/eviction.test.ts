import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Eviction } from "./eviction.ts";
import type { EvictionSpec } from "./table-spec.ts";

interface Row {
  key: bigint;
  updates: number;
  lastStep: number;
}

/** Rows of 24 bytes, the headers first, from address 64 on, at the places that `order` gives. */
function laidOut(rows: readonly Row[], order: readonly number[] = rows.map((_, i) => i)) {
  const words = new Uint32Array(16 + 6 * rows.length);
  const addresses = Uint32Array.from(rows, (row, i) => {
    const address = 64 + 24 * order[i]!;
    words.set([Number(row.key & 0xffff_ffffn), Number(row.key >> 32n), row.updates, row.lastStep], address / 4);
    return address;
  });
  return { words, rows: addresses.toSorted(), n: rows.length };
}

/** Keys of the rows that go, ascending. */
function gone(eviction: Eviction, step: number, rows: readonly Row[], order?: readonly number[]): bigint[] {
  const ages = laidOut(rows, order);
  const n = eviction.choose({ step, ...ages });
  expect(ages.rows.toSorted()).toEqual(laidOut(rows, order).rows);
  const keys = Array.from(
    ages.rows.subarray(0, n),
    (at) => BigInt(ages.words[at / 4]!) + (BigInt(ages.words[at / 4 + 1]!) << 32n),
  );
  return keys.toSorted(compare);
}

const compare = (a: bigint | number, b: bigint | number): number => (a < b ? -1 : a > b ? 1 : 0);
const alone = { partition: 0, partitions: 1 };
const row = (key: number | bigint, updates: number, lastStep: number): Row => ({ key: BigInt(key), updates, lastStep });

describe("a table that is over its number of rows", () => {
  const rows = [row(1, 9, 5), row(2, 1, 6), row(3, 8, 4), row(4, 8, 5), row(5, 1, 7)];

  test.each<[EvictionSpec["order"], bigint[]]>([
    ["least-recent", [3n, 4n]],
    ["least-frequent", [2n, 5n]],
  ])("loses the %s", (order, keys) => {
    const eviction = new Eviction({ rowsMax: 3, order }, alone);
    expect(eviction.isDue({ step: 7, rows: 3 })).toBe(false);
    expect(eviction.isDue({ step: 7, rows: 5 })).toBe(true);
    expect(gone(eviction, 7, rows)).toEqual(keys);
  });

  test("breaks ties by the smaller key, its high word first", () => {
    const equal = [row(2n ** 40n, 1, 1), row(7, 1, 1), row(2n ** 33n, 1, 1), row(0xffff_ffff, 1, 1)];
    const eviction = new Eviction({ rowsMax: 2, order: "least-recent" }, alone);
    expect(gone(eviction, 1, equal)).toEqual([7n, 0xffff_ffffn]);
  });

  test("has a sixteenth of its share free afterwards", () => {
    const many = Array.from({ length: 1001 }, (_, i) => row(i, 1, i));
    const eviction = new Eviction({ rowsMax: 8000, order: "least-recent" }, { partition: 3, partitions: 8 });
    expect(eviction.rowsMax).toBe(1000);
    expect(gone(eviction, 2000, many)).toHaveLength(1001 - 938);
  });

  test("never loses its last row where it may keep one", () => {
    const eviction = new Eviction({ rowsMax: 1, order: "least-recent" }, { partition: 3, partitions: 256 });
    expect(gone(eviction, 9, [row(1, 1, 8), row(2, 1, 9)])).toEqual([1n]);
  });
});

describe("rows that were not updated for long", () => {
  test("go exactly then where that is a few steps", () => {
    const eviction = new Eviction({ expireSteps: 3, order: "least-recent" }, alone);
    const rows = [row(1, 50, 7), row(2, 1, 8)];
    expect(gone(eviction, 9, rows)).toEqual([]);
    expect(gone(eviction, 10, rows)).toEqual([1n]);
    expect(gone(eviction, 11, rows)).toEqual([1n, 2n]);
  });

  test("go in rounds, at most a sixteenth of that time later, on other steps in other partitions", () => {
    for (let partition = 0; partition < 10; partition++) {
      const eviction = new Eviction({ expireSteps: 80, order: "least-recent" }, { partition, partitions: 10 });
      const rounds = Array.from({ length: 15 }, (_, i) => 100 + i).filter((step) => eviction.isDue({ step, rows: 1 }));
      expect(rounds).toEqual([0, 5, 10].map((at) => 100 + at + ((10 - partition) % 5)));
      expect(gone(eviction, rounds[0]!, [row(1, 1, 20), row(2, 1, rounds[0]! - 79)])).toEqual([1n]);
      expect(gone(eviction, rounds[0]! + 1, [row(1, 1, 0)])).toEqual([]);
    }
  });

  test("go in a round that steps passed over, once", () => {
    const eviction = new Eviction({ expireSteps: 80, order: "least-recent" }, alone);
    const isDue = (since: number, step: number) => eviction.isDue({ since, step, rows: 1 });
    expect([isDue(101, 103), isDue(103, 107), isDue(107, 107), isDue(104, 130)]).toEqual([false, true, false, true]);
    expect(eviction.choose({ since: 103, step: 107, ...laidOut([row(1, 1, 20), row(2, 1, 90)]) })).toBe(1);
    expect(isDue(107, 110)).toBe(false); // the oldest is of step 90 now
  });

  test("are not looked for while none can be old enough", () => {
    const eviction = new Eviction({ expireSteps: 10, order: "least-recent" }, alone);
    expect(eviction.isDue({ step: 9, rows: 5 })).toBe(false);
    expect(eviction.isDue({ step: 10, rows: 0 })).toBe(false);
    expect(eviction.isDue({ step: 10, rows: 5 })).toBe(true);
    expect(gone(eviction, 10, [row(1, 1, 6), row(2, 1, 9)])).toEqual([]);
    expect([15, 16].map((step) => eviction.isDue({ step, rows: 2 }))).toEqual([false, true]);
  });

  test("go first where there are too many rows, too", () => {
    const eviction = new Eviction({ expireSteps: 5, rowsMax: 2, order: "least-frequent" }, alone);
    expect(gone(eviction, 9, [row(1, 99, 4), row(2, 1, 9), row(3, 2, 9), row(4, 3, 9)])).toEqual([1n, 2n]);
  });
});

test("what goes is a function of the ages alone, as sorting them says, wherever the rows lie", () => {
  const rows = fc.uniqueArray(
    fc.record({ key: fc.bigInt({ min: 0n, max: 2n ** 34n }), updates: fc.nat(4), lastStep: fc.nat(12) }),
    { selector: ({ key }) => key, minLength: 1, maxLength: 200, size: "max" },
  );
  let went = 0;
  fc.assert(
    fc.property(
      rows,
      fc.integer({ min: 1, max: 200 }),
      fc.integer({ min: 1, max: 40 }),
      fc.constantFrom<EvictionSpec["order"]>("least-recent", "least-frequent"),
      fc.nat(2 ** 31),
      (all, rowsMax, expireSteps, order, salt) => {
        const step = 16;
        const spec: EvictionSpec = { rowsMax, expireSteps, order };
        const isRound = step % Math.max(1, Math.floor(expireSteps / 16)) === 0;
        const kept = all.filter(({ lastStep }) => !isRound || step - lastStep < expireSteps);
        const sorted = kept.toSorted((a, b) => {
          const [recent, frequent] = [a.lastStep - b.lastStep, a.updates - b.updates];
          return (order === "least-recent" ? recent || frequent : frequent || recent) || compare(a.key, b.key);
        });
        const stays = kept.length > rowsMax ? sorted.slice(-Math.ceil((15 * rowsMax) / 16)) : sorted;
        const expected = all.filter((each) => !stays.includes(each)).map(({ key }) => key);
        const shuffled = all
          .map((_, i) => i)
          .toSorted((a, b) => ((a * 7919 + salt) % 1009) - ((b * 7919 + salt) % 1009));
        expect(gone(new Eviction(spec, alone), step, all)).toEqual(expected.toSorted(compare));
        expect(gone(new Eviction(spec, alone), step, all, shuffled)).toEqual(expected.toSorted(compare));
        went += expected.length;
      },
    ),
    { numRuns: 300 },
  );
  expect(went).toBeGreaterThan(5000);
});
