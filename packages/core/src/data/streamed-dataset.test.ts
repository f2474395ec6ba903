import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type DataSpec, type FieldSpec } from "./spec/data-spec.ts";
import type { BadRow, Column, ColumnTable, Dataset, FieldDemand, RowSource } from "./spec/dataset.ts";
import { cross, hash, hourOf, logOf, negatives, split, standardise, withDefault } from "./builders/field-builders.ts";
import { fraction, heldOutFiles, since, where } from "./builders/label-builders.ts";
import { openDataset } from "./open-dataset.ts";
import { parquet } from "./builders/source-builders.ts";
import { openStreamedDataset } from "./streamed-dataset.ts";
import { tableOf } from "./builders/table-of.ts";

type ScalarColumn = Exclude<Column, { kind: "list" }>;

/** The given rows of a table as a table of their own, with a dictionary of what they use. */
function rowsOfTable(table: ColumnTable, rows: readonly number[], columns: readonly string[]): ColumnTable {
  const scalars = (column: ScalarColumn, at: readonly number[]): ScalarColumn => {
    switch (column.kind) {
      case "number":
        return { kind: "number", values: Float64Array.from(at, (row) => column.values[row]!) };
      case "int64":
        return {
          kind: "int64",
          values: BigInt64Array.from(at, (row) => column.values[row]!),
          missing: Uint8Array.from(at, (row) => column.missing?.[row] ?? 0),
        };
      case "string": {
        const values = at.map((row) => column.dictionary[column.codes[row]!]!);
        const dictionary = [...new Set(values)];
        return { kind: "string", codes: Uint32Array.from(values, (value) => dictionary.indexOf(value)), dictionary };
      }
      default:
        return column satisfies never;
    }
  };
  const columnOf = (column: Column): Column => {
    if (column.kind !== "list") return scalars(column, rows);
    const offsets = new Uint32Array(rows.length + 1);
    const elements: number[] = [];
    for (const [i, row] of rows.entries()) {
      for (let at = column.offsets[row]!; at < column.offsets[row + 1]!; at++) elements.push(at);
      offsets[i + 1] = elements.length;
    }
    return { kind: "list", offsets, elements: scalars(column.elements, elements) };
  };
  const badRows = rows.flatMap((row, i): BadRow[] => {
    const bad = table.badRows?.find((each) => each.row === row);
    return bad === undefined ? [] : [{ ...bad, row: i }];
  });
  return {
    rows: rows.length,
    columns: new Map(columns.map((name) => [name, columnOf(table.columns.get(name)!)])),
    ...(badRows.length === 0 ? {} : { badRows }),
  };
}

interface Spied extends RowSource {
  scans: string[][];
  closed: number;
}

function sourceOf(table: ColumnTable, blockRows = 3): Spied {
  const spied: Spied = {
    rows: table.rows,
    fingerprint: "f00d",
    blockRows,
    windowBlocks: 4,
    testFrom: table.testFrom,
    scans: [],
    closed: 0,
    async *scan(columns) {
      spied.scans.push([...columns]);
      for (let from = 0; from < table.rows; from += blockRows) {
        const rows = Array.from({ length: Math.min(blockRows, table.rows - from) }, (_, i) => from + i);
        yield rowsOfTable(table, rows, columns);
      }
    },
    read: async (rows, columns) => rowsOfTable(table, [...rows], columns),
    close: async () => {
      spied.closed++;
    },
  };
  return spied;
}

const cities = ["Rome", "Oslo", "", "Bern", "Oslo|Bern"];

/** A column of nothing but huge whole numbers would be refused, as one of ids that lost their last digits. */
const someFloat = fc.float().filter((x) => !Number.isInteger(x) || Number.isSafeInteger(x));

/** Columns of every sort, with missing values, lists, and rows that could not be read. */
const someTable: fc.Arbitrary<ColumnTable> = fc
  .array(
    fc.record({
      city: fc.constantFrom(...cities),
      age: fc.option(fc.integer({ min: -5, max: 90 }), { nil: null }),
      id: fc.option(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), { nil: null, freq: 8 }),
      date: fc.bigInt({ min: 0n, max: 10n ** 15n }),
      tags: fc.array(fc.constantFrom("a", "b", "c"), { maxLength: 3 }),
      pair: fc.oneof({ weight: 6, arbitrary: fc.tuple(fc.double({ min: -9, max: 9 }), someFloat) }, fc.constant([])),
      weight: fc.double({ min: -0.1, max: 3, noNaN: true }),
      isBad: fc.integer({ min: 0, max: 9 }).map((die) => die === 0),
    }),
    { minLength: 1, maxLength: 24 },
  )
  .chain((rows) => fc.tuple(fc.constant(rows), fc.integer({ min: 0, max: rows.length })))
  .map(([rows, testFrom]) => {
    const values = <K extends keyof (typeof rows)[number]>(key: K) => rows.map((row) => row[key]);
    const table = tableOf({
      city: values("city"),
      age: values("age"),
      id: values("id").map((id) => id ?? null),
      date: values("date"),
      tags: values("tags"),
      pair: values("pair"),
      weight: values("weight"),
    });
    // Of empty lists alone no sort is known, and a column of nulls is one of numbers.
    const columns = new Map(table.columns);
    if (rows.every(({ tags }) => tags.length === 0))
      columns.set("tags", {
        kind: "list",
        offsets: new Uint32Array(rows.length + 1),
        elements: { kind: "string", codes: new Uint32Array(0), dictionary: [] },
      });
    const badRows = rows.flatMap(({ isBad }, row) =>
      isBad ? [{ row, place: `t.csv:${row + 2}`, fault: "2 cells; expected 7" }] : [],
    );
    return { rows: rows.length, columns, badRows, testFrom };
  });

const fields = {
  city: "city",
  cities: split("city", "|"),
  crossed: cross(withDefault("city", "none"), hourOf("date")),
  id: hash("id", { salt: "ids" }),
  age: standardise(withDefault("age", 30), { mean: 40, stddev: 11 }),
  income: logOf("age"),
  tags: "tags",
  filled: withDefault("tags", "a"),
  pair: "pair",
  drawn: negatives({ count: 2, vocabulary: 1000 }),
} satisfies Record<string, string | FieldSpec>;

const someDemand: fc.Arbitrary<FieldDemand> = fc.constantFrom<FieldDemand>(
  { name: "city", as: "keys" },
  { name: "city", as: "keyLists" },
  { name: "cities", as: "keyLists" },
  { name: "crossed", as: "keys" },
  { name: "id", as: "keys" },
  { name: "age", as: "numbers", width: 1 },
  { name: "income", as: "numbers", width: 1 },
  { name: "tags", as: "keyLists" },
  { name: "filled", as: "keyLists" },
  { name: "pair", as: "numbers", width: 2 },
  { name: "pair", as: "numberLists" },
  { name: "drawn", as: "keyLists" },
);

const someSpec: fc.Arbitrary<DataSpec> = fc
  .record({
    test: fc.constantFrom(
      undefined,
      since("date", "1990-01-01"),
      fraction(0.4, { seed: 5 }),
      where("city", ["Oslo", "Bern"]),
      heldOutFiles("t"),
    ),
    label: fc.constantFrom(undefined, "age", "pair"),
    weight: fc.constantFrom(undefined, "weight"),
    group: fc.constantFrom(undefined, "city"),
  })
  .map(({ test, label, weight, group }) =>
    parquet("t", {
      fields,
      badRowsMax: 1000,
      ...(test === undefined ? {} : { test }),
      ...(label === undefined ? {} : { label }),
      ...(weight === undefined ? {} : { weight }),
      ...(group === undefined ? {} : { group }),
    }),
  );

async function opened(open: () => Dataset | Promise<Dataset>): Promise<Dataset | string> {
  try {
    return await open();
  } catch (error) {
    return (error as Error).message.replace(/; the rows run from .*: move/, ": move");
  }
}

describe("openStreamedDataset()", () => {
  it("gives the same bits as openDataset(), for any table, spec and samples", async () => {
    await fc.assert(
      fc.asyncProperty(
        someTable,
        someSpec,
        fc.uniqueArray(someDemand, { selector: ({ name, as }) => `${name} ${as}`, minLength: 1, maxLength: 12 }),
        fc.infiniteStream(fc.nat()),
        async (table, spec, demands, picks) => {
          const seed = 7;
          const memory = await opened(() => openDataset({ spec, table, demands, seed }));
          const streamed = await opened(() => openStreamedDataset({ spec, source: sourceOf(table), demands, seed }));
          if (typeof memory === "string" || typeof streamed === "string") {
            expect(streamed).toEqual(memory);
            return;
          }
          expect([streamed.trainRows, streamed.testRows]).toEqual([memory.trainRows, memory.testRows]);
          expect(streamed.labelWidth).toBe(memory.labelWidth);
          for (const side of ["train", "test"] as const) {
            const rows = side === "train" ? memory.trainRows : memory.testRows;
            const all = Uint32Array.from({ length: rows }, (_, i) => i);
            const some = Uint32Array.from({ length: rows === 0 ? 0 : 7 }, () => (picks.next().value as number) % rows);
            for (const samples of [some, all])
              expect(await streamed.read(side, samples, 3)).toEqual(await memory.read(side, samples, 3));
          }
          expect(streamed.badRows().count).toBe(memory.badRows().count);
          const byRow = (a: BadRow, b: BadRow): number => a.row - b.row;
          expect([...streamed.badRows().first].toSorted(byRow).map(({ row, place }) => ({ row, place }))).toEqual(
            memory.badRows().first.map(({ row, place }) => ({ row, place })),
          );
        },
      ),
      { numRuns: 300 },
    );
  });

  const rows = 20;
  const table = tableOf({
    age: Array.from({ length: rows }, (_, row) => (row === 13 ? null : row)),
    day: Array.from({ length: rows }, (_, row) => (row % 4 === 0 ? "sunday" : "monday")),
  });
  const demands = [{ name: "age", as: "numbers", width: 1 }] as const;
  const specWith = (options: Partial<Parameters<typeof parquet>[1]>): DataSpec =>
    parquet("t", { fields: { age: "age", day: "day" }, label: "age", ...options });

  it("finds labels that do not fit as it reads them, those of metrics in held-out rows alone", async () => {
    const labelDemands = (rowsOf: "all" | "test") => () =>
      [{ wantedBy: 'loss "l"', rows: rowsOf, numbers: { kind: "between", min: 0, max: 5 } }] as const;
    const spec = specWith({ fields: { day: "day" } });
    const none = { demands: [], source: sourceOf(table) };
    const strict = await openStreamedDataset({ spec, ...none, labelDemands: labelDemands("all") });
    await expect(strict.read("train", Uint32Array.of(3, 7), 0)).rejects.toThrow(
      'row 7: label: column "age" is 7; loss "l" expects 0 to 5',
    );
    const lenient = await openStreamedDataset({ spec, ...none, labelDemands: labelDemands("test") });
    await expect(lenient.read("train", Uint32Array.of(3, 7), 0)).resolves.toMatchObject({ weight: undefined });
  });

  it("stops at the bad row over the limit when it is read, with its row and the remedy, and counts each once", async () => {
    const strict = await openStreamedDataset({ spec: specWith({}), source: sourceOf(table), demands });
    await expect(strict.read("train", Uint32Array.of(0, 1), 0)).resolves.toMatchObject({ weight: undefined });
    expect(strict.badRows()).toEqual({ count: 0, first: [] });
    await expect(strict.read("train", Uint32Array.of(1, 13), 0)).rejects.toThrow(
      expect.objectContaining({
        code: "BAD_DATA",
        message:
          '1 of 20 rows cannot be used, and badRowsMax is 0. row 13: field "age": column "age" is missing (NaN); expected a finite number. Correct them, fill missing values with withDefault(…), or leave such rows out with badRowsMax: 1',
      }),
    );
    const lenient = await openStreamedDataset({ spec: specWith({ badRowsMax: 1 }), source: sourceOf(table), demands });
    for (let epoch = 0; epoch < 3; epoch++) {
      const { weight } = await lenient.read("train", Uint32Array.of(13, 1, 13), epoch);
      expect(weight).toEqual(Float32Array.of(0, 1, 0));
    }
    expect(lenient.badRows().count).toBe(1);
  });

  it("scans only the column a split depends on, and reads only the columns that are demanded", async () => {
    const open = (options: Partial<Parameters<typeof parquet>[1]>) => {
      const source = sourceOf(table);
      return openStreamedDataset({ spec: specWith({ ...options, badRowsMax: 1 }), source, demands }).then(
        (dataset) => ({ source, dataset }),
      );
    };
    const byDay = await open({ test: where("day", "sunday") });
    expect(byDay.source.scans).toEqual([["day"]]);
    expect([byDay.dataset.trainRows, byDay.dataset.testRows]).toEqual([15, 5]);
    expect(byDay.dataset.blocks).toEqual({ blockRows: 2, windowBlocks: 2 });
    const drawn = await open({ test: fraction(0.5) });
    expect(drawn.source.scans).toEqual([]);
    const whole = await open({});
    expect(whole.source.scans).toEqual([]);
    expect(whole.dataset.blocks).toEqual({ blockRows: 3, windowBlocks: 4 });
    expect(whole.dataset.fingerprint).toBe("f00d");

    const asked: string[][] = [];
    const source = sourceOf(table);
    const dataset = await openStreamedDataset({
      spec: specWith({ badRowsMax: 1 }),
      source: { ...source, read: async (at, columns) => (asked.push([...columns]), source.read(at, columns)) },
      demands,
    });
    asked.length = 0;
    await dataset.read("train", Uint32Array.of(4), 0);
    expect(asked).toEqual([["age"]]);
  });

  it("closes the source, where it fails too", async () => {
    const source = sourceOf(table);
    const dataset = await openStreamedDataset({ spec: specWith({}), source, demands });
    await dataset.close();
    expect(source.closed).toBe(1);
    const failing = sourceOf(table);
    await expect(
      openStreamedDataset({ spec: specWith({ test: where("day", "friday") }), source: failing, demands }),
    ).rejects.toThrow('column "day": no row is "friday"');
    expect(failing.closed).toBe(1);
    const empty = sourceOf({ rows: 0, columns: new Map() });
    await expect(openStreamedDataset({ spec: specWith({}), source: empty, demands })).rejects.toThrow(
      "the data set has no rows",
    );
  });
});
