import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DatePart, FieldSpec } from "../spec/data-spec.ts";
import type { Column, ColumnTable } from "../spec/dataset.ts";
import type { RowFaults } from "./row-faults.ts";
import { compile, naiveValue, numeric, someTable, unlessOutOfRange } from "./test-fields.ts";

describe("numbers", () => {
  it("are those of the naive definition, and the other rows are bad", () => {
    const someNumber: fc.Arbitrary<FieldSpec> = fc.oneof(
      numeric,
      fc.constantFrom<DatePart>("hour", "month").map((part): FieldSpec => ({ kind: "datePart", column: "date", part })),
    );
    fc.assert(
      fc.property(someTable, someNumber, (table, spec) => {
        const rows = Uint32Array.from({ length: 2 * table.rows }, (_, i) => (i * 7) % table.rows);
        const { compiler, faults } = compile(table);
        const numbers = compiler.numbers({ place: "f", spec, width: 1 })(compiler.batch(rows));
        for (const [b, row] of rows.entries()) {
          const value = Math.fround(Number(unlessOutOfRange(() => naiveValue(spec, row, table)) ?? Number.NaN));
          expect(faults.rows?.[row] ?? 0).toBe(Number.isFinite(value) ? 0 : 1);
          expect(numbers[b]! + 0).toBe(Number.isFinite(value) ? value + 0 : 0);
        }
      }),
    );
  });

  const table: ColumnTable = {
    rows: 2,
    columns: new Map<string, Column>([
      ["origin", { kind: "string", codes: Uint32Array.of(0, 0), dictionary: ["ATL"] }],
      ["gap", { kind: "number", values: Float64Array.of(1, Number.NaN) }],
      ["huge", { kind: "number", values: Float64Array.of(Number.NEGATIVE_INFINITY, 1) }],
    ]),
    placeOf: (row) => `train.csv:${row + 2}`,
  };
  const numbersOf = (spec: FieldSpec, width = 1): { numbers: number[]; faults: RowFaults } => {
    const { compiler, faults } = compile(table);
    const read = compiler.numbers({ place: 'field "f"', spec, width });
    return { numbers: [...read(compiler.batch(Uint32Array.of(0, 1)))], faults };
  };

  it("never come of strings, nor several of a column of one", () => {
    const badData = (message: string): unknown => expect.objectContaining({ code: "BAD_DATA", message });
    expect(() => numbersOf({ kind: "column", column: "origin" })).toThrow(
      badData(
        'field "f": column "origin" holds strings (the first is "ATL"); expected numbers: store the column as numbers, or use it as keys, input({ dtype: "string" }) with an embedding',
      ),
    );
    expect(() => numbersOf({ kind: "log", of: { kind: "column", column: "origin" }, plus: 1 })).toThrow(
      badData(
        'field "f": column "origin" holds strings (the first is "ATL"); expected numbers: logOf() needs them; use hash() or column() for strings',
      ),
    );
    expect(() => numbersOf({ kind: "column", column: "gap" }, 3)).toThrow(
      badData(
        'field "f" gives one number a sample, and the model wants 3: give its input the shape [1], or make it of a column of lists',
      ),
    );
  });

  it("mark a missing or endless one, at its place in its file, and give 0 for it", () => {
    const gap = numbersOf({ kind: "column", column: "gap" });
    expect(gap.numbers).toEqual([1, 0]);
    expect(gap.faults.first).toEqual([
      { row: 1, place: "train.csv:3", fault: 'field "f": column "gap" is missing (NaN); expected a finite number' },
    ]);
    const huge = numbersOf({ kind: "standardise", of: { kind: "column", column: "huge" }, mean: 0, stddev: 1 });
    expect(huge.faults.first).toEqual([
      { row: 0, place: "train.csv:2", fault: 'field "f": column "huge" is -Infinity; expected a finite number' },
    ]);
    expect(numbersOf({ kind: "withDefault", of: { kind: "column", column: "gap" }, value: 9 }).numbers).toEqual([1, 9]);
  });
});
