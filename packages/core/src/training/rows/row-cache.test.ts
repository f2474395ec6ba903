import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { consistencyOf } from "../../consistency/index.ts";
import { DENSE_TABLE } from "../../table/index.ts";
import { RowPlanner } from "./step-rows.ts";
import { answer, batchOf, DIMS, manifestOf, mapOf, someSamples } from "./test-batches.ts";
import { rowAgeOf, RowCache, type RowAge } from "./row-cache.ts";

describe("rowAgeOf", () => {
  const cache = { stalenessSteps: 3 };
  const ssp = (stalenessSteps: number) => consistencyOf({ mode: "ssp", stalenessSteps });

  test("counts in batches of the slowest worker where the mode holds workers together", () => {
    expect(rowAgeOf({ cache, mode: ssp(8), begun: 20, slowest: 15 })).toEqual({ at: 15, oldest: 17 });
    expect(rowAgeOf({ cache, mode: ssp(2), begun: 20, slowest: 19 })).toEqual({ at: 19, oldest: 18 });
    expect(rowAgeOf({ cache, mode: ssp(2), begun: 1, slowest: 0 })).toEqual({ at: 0, oldest: 0 });
  });

  test("counts in the worker's own batches elsewhere", () => {
    const asp = consistencyOf({ mode: "asp" });
    expect(rowAgeOf({ cache, mode: asp, begun: 20, slowest: 1 })).toEqual({ at: 20, oldest: 17 });
  });

  test("keeps nothing where the mode needs the newest rows, or the job has no cache", () => {
    const bsp = consistencyOf({ mode: "bsp", quorum: 0.5 });
    expect(rowAgeOf({ cache, mode: bsp, begun: 2, slowest: 2 })).toBeUndefined();
    expect(rowAgeOf({ cache: undefined, mode: ssp(4), begun: 2, slowest: 2 })).toBeUndefined();
    expect(rowAgeOf({ cache, mode: ssp(0), begun: 2, slowest: 2 })).toBeUndefined();
  });
});

describe("RowCache", () => {
  const row = Float32Array.of(1, 2, 3);

  test("never holds more rows than it may, over all tables, and lets those go that came first", () => {
    const cache = new RowCache({ rowsMax: 10 });
    const to = new Float32Array(3);
    for (let key = 0; key < 100; key++) {
      cache.table(1 + (key % 2), 3).keep(key, 0, key, row, 0);
      expect(cache.rows).toBeLessThanOrEqual(10);
    }
    const kept = Array.from({ length: 100 }, (_, key) => cache.table(1 + (key % 2), 3).copy(key, 0, 0, to, 0));
    expect(kept.indexOf(true)).toBeGreaterThanOrEqual(90);
    expect(kept.lastIndexOf(true)).toBe(99);
    expect(kept.filter(Boolean)).toHaveLength(cache.rows);
  });

  test("rowsMax 1 keeps none", () => {
    const cache = new RowCache({ rowsMax: 1 });
    cache.table(1, 3).keep(7, 0, 1, row, 0);
    expect(cache.table(1, 3).copy(7, 0, 0, new Float32Array(3), 0)).toBe(false);
  });

  test("a row that is kept again is the newer one", () => {
    const cache = new RowCache();
    const table = cache.table(1, 3);
    const to = new Float32Array(4);
    table.keep(7, 9, 4, row, 0);
    table.keep(7, 9, 5, Float32Array.of(0, 7, 8, 9), 1);
    expect(table.copy(7, 9, 6, to, 1)).toBe(false);
    expect(table.copy(7, 8, 0, to, 1)).toBe(false);
    expect(table.copy(7, 9, 5, to, 1)).toBe(true);
    expect([...to]).toEqual([0, 7, 8, 9]);
  });
});

/** A row that says its table, its key, and the time it is of. */
const rowAt = (time: number) => (table: number, key: number) =>
  Array.from({ length: DIMS.get(table)! }, (_, d) => (d === 0 ? time : table * 100 + key));

describe("pulls with a cache", () => {
  const someBatches = fc.array(
    fc.record({
      samples: someSamples({ keysMax: 12 }),
      step: fc.integer({ min: 0, max: 2 }),
      staleness: fc.integer({ min: 0, max: 4 }),
    }),
    { maxLength: 12 },
  );

  test("bring every row as new as asked for, count those that were kept, and ask for the others alone", () => {
    fc.assert(
      fc.property(someBatches, fc.constantFrom(2, 6, 20, 1000), (batches, rowsMax) => {
        const map = mapOf();
        const manifest = manifestOf({ cache: { stalenessSteps: 4, rowsMax } });
        const planner = new RowPlanner({ manifest, map, withDense: true });
        let at = 0;
        for (const { samples, step, staleness } of batches) {
          at += step;
          const age: RowAge = { at, oldest: Math.max(0, at - staleness) };
          const rows = planner.rowsOf(batchOf(samples), age);
          const asked = answer(rows, rowAt(at));
          const keys = new Set(samples.keys.flatMap(([a, b]) => [`1/${a}`, `2/${b}`]));
          expect(asked).toContain(`${DENSE_TABLE.id}/0`);
          expect(rows.use).toEqual({ rows: keys.size, cachedRows: keys.size - (asked.length - 1) });

          expect(rows.denseWeights(3)).toEqual(Float32Array.of(at, 0, 0));
          const packed = rows.gather();
          for (const [b, [k1, k2]] of samples.keys.entries()) {
            const [t1, one, , t2, two] = packed.subarray(5 * b, 5 * b + 5);
            expect([one, two]).toEqual([100 + k1, 200 + k2]);
            for (const [time, key] of [
              [t1!, `1/${k1}`],
              [t2!, `2/${k2}`],
            ] as const) {
              if (asked.includes(key)) expect(time).toBe(at);
              else expect(time).toBeGreaterThanOrEqual(age.oldest);
            }
          }
        }
      }),
    );
  });

  test("find what the batch before brought, if nothing had to go", () => {
    const planner = new RowPlanner({ manifest: manifestOf({ cache: { stalenessSteps: 2 } }), map: mapOf() });
    const batch = batchOf({
      keys: [
        [1, 2],
        [3, 2],
      ],
    });
    const asked = [0, 1, 2, 3].map((at) => {
      const rows = planner.rowsOf(batch, { at, oldest: Math.max(0, at - 2) });
      const keys = answer(rows, rowAt(at)).toSorted();
      rows.gather();
      return keys;
    });
    expect(asked).toEqual([["1/1", "1/3", "2/2"], [], [], ["1/1", "1/3", "2/2"]]);
  });

  test("without an age ask for all rows, and keep none", () => {
    const planner = new RowPlanner({ manifest: manifestOf({ cache: { stalenessSteps: 2 } }), map: mapOf() });
    const batch = batchOf({ keys: [[1, 2]] });
    for (const age of [undefined, { at: 0, oldest: 0 }]) {
      const rows = planner.rowsOf(batch, age);
      expect(answer(rows, rowAt(0)).toSorted()).toEqual(["1/1", "2/2"]);
      expect(rows.use).toEqual({ rows: 2, cachedRows: 0 });
      rows.gather();
    }
  });

  test("rows of a pull that was given up are not kept", () => {
    const planner = new RowPlanner({ manifest: manifestOf({ cache: { stalenessSteps: 2 } }), map: mapOf() });
    const batch = batchOf({ keys: [[1, 2]] });
    planner.rowsOf(batch, { at: 0, oldest: 0 }).release();
    expect(planner.rowsOf(batch, { at: 0, oldest: 0 }).use.cachedRows).toBe(0);
  });
});
