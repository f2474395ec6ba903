import fc from "fast-check";
import { expect, test } from "vitest";
import { RowResiduals } from "./row-residuals.ts";

const DIM = 2;
const read = (residuals: RowResiduals, table: number, key: number): number[] => {
  const to = new Float32Array(DIM);
  residuals.table(table, DIM).addTo(key, 0, to, 0);
  return [...to];
};

const someChanges = fc.array(
  fc.uniqueArray(
    fc.record({
      table: fc.integer({ min: 1, max: 2 }),
      key: fc.integer({ min: 0, max: 20 }),
      value: fc.integer({ min: 0, max: 9 }),
    }),
    { maxLength: 10, selector: ({ table, key }) => `${table}/${key}` },
  ),
  { maxLength: 20 },
);

test("what was kept last is there or overdue, and never more than there is room for", () => {
  fc.assert(
    fc.property(someChanges, fc.integer({ min: 1, max: 30 }), (times, rowsMax) => {
      const residuals = new RowResiduals({ rowsMax });
      const expected = new Map<string, number>();
      for (const changes of times) {
        for (const { table, keys } of residuals.overdue)
          for (let k = 0; k < keys.length; k += 2) expected.delete(`${table}/${keys[k]}`);
        residuals.begin();
        expect(residuals.overdue).toEqual([]);
        for (const { table, key } of changes) {
          residuals.table(table, DIM).forget(key, 0);
          expected.delete(`${table}/${key}`);
        }
        for (const { table, key, value } of changes) {
          if (value === 0) continue;
          residuals.table(table, DIM).keep(key, 0, Float32Array.of(0, value, -value), 1);
          expected.set(`${table}/${key}`, value);
        }
        const found = new Map<string, number>();
        for (const table of [1, 2]) {
          for (let key = 0; key <= 20; key++) {
            const [value, negative] = read(residuals, table, key);
            expect(negative! + value!).toBe(0);
            if (value !== 0) found.set(`${table}/${key}`, value!);
          }
        }
        expect(found.size).toBe(residuals.rows);
        expect(found.size).toBeLessThanOrEqual(rowsMax);
        for (const { table, keys, values } of residuals.overdue) {
          for (let k = 0; k < keys.length / 2; k++) {
            expect(found.has(`${table}/${keys[2 * k]}`)).toBe(false);
            found.set(`${table}/${keys[2 * k]}`, values[DIM * k]!);
          }
        }
        expect(found).toEqual(expected);
      }
    }),
  );
});

test("those go that were kept longest ago", () => {
  const residuals = new RowResiduals({ rowsMax: 8 });
  const keep = (key: number) => residuals.table(1, DIM).keep(key, 0, Float32Array.of(key + 1, 0), 0);
  for (const keys of [[0, 1, 2], [3, 4, 5], [6, 7], [0], [8]]) {
    residuals.begin();
    for (const key of keys) residuals.table(1, DIM).forget(key, 0);
    keys.forEach(keep);
  }
  expect(residuals.overdue).toEqual([{ table: 1, keys: Uint32Array.of(1, 0), values: Float32Array.of(2, 0) }]);
  expect(residuals.rows).toBe(8);
});

test("keys whose residual was sent make room before any other goes", () => {
  const residuals = new RowResiduals({ rowsMax: 8 });
  residuals.begin();
  const table = residuals.table(1, DIM);
  for (let key = 0; key < 1000; key++) {
    table.keep(key, 0, Float32Array.of(1, 1), 0);
    if (key >= 3) table.forget(key, 0);
  }
  expect(residuals.overdue).toEqual([]);
  expect(residuals.rows).toBe(3);
  expect(read(residuals, 1, 2)).toEqual([1, 1]);
});
