import { describe, expect, it } from "vitest";
import { atLeast, column, cross, file, hourOf, parquet, since, standardise } from "./builders.ts";
import type { Column, ColumnTable } from "./dataset.ts";
import { microsOf } from "./instant.ts";
import { columnsOf, openDataset } from "./open-dataset.ts";

const strings = (values: string[]): Column => {
  const dictionary = [...new Set(values)];
  return { kind: "string", codes: Uint32Array.from(values, (value) => dictionary.indexOf(value)), dictionary };
};
const int64 = (values: (bigint | number)[]): Column => ({ kind: "int64", values: BigInt64Array.from(values, BigInt) });

const columns: Record<string, Column> = {
  origin: strings(["ATL", "SEA", "ATL", "SFO", "SEA"]),
  destination: strings(["SEA", "ATL", "SEA", "ATL", "ATL"]),
  distance: int64([100, 200, 100, 400, 200]),
  delay: int64([0, 15, 14, 60, -3]),
  date: int64(["2001-06-01T10:00", "2001-06-03T11:00", "2001-06-02T12:00", "2001-06-04", "2001-06-02"].map(microsOf)),
};
const tableWith = (changes: Record<string, Column | undefined> = {}): ColumnTable => ({
  rows: 5,
  columns: new Map(
    Object.entries({ ...columns, ...changes }).filter((entry): entry is [string, Column] => entry[1] !== undefined),
  ),
});

const spec = parquet(file("flights.parquet"), {
  fields: {
    origin: "origin",
    route: cross("origin", "destination"),
    hour: hourOf("date"),
    distance: standardise("distance", { mean: 200, stddev: 100 }),
  },
  label: atLeast("delay", 15),
  test: since("date", "2001-06-03T11:00"),
});
const demands = [
  { name: "origin", as: "keys" },
  { name: "route", as: "keys" },
  { name: "hour", as: "numbers" },
  { name: "distance", as: "numbers" },
] as const;

const badData = (message: string): unknown => expect.objectContaining({ code: "BAD_DATA", message });

describe("openDataset() refuses", () => {
  it.each<[string, Parameters<typeof openDataset>[0], string]>([
    [
      "a field that is not in the spec",
      { spec, table: tableWith(), demands: [{ name: "orgin", as: "keys" }] },
      'the model reads a field "orgin", which the data spec does not have; it has "origin", "route", "hour", "distance". Did you mean "origin"? Fields are named in parquet(…, { fields: { … } })',
    ],
    [
      "a field named as a property of every object",
      { spec, table: tableWith(), demands: [{ name: "toString", as: "keys" }] },
      'the model reads a field "toString", which the data spec does not have; it has "origin", "route", "hour", "distance". Fields are named in parquet(…, { fields: { … } })',
    ],
    [
      "one field twice",
      { spec, table: tableWith(), demands: [...demands, { name: "hour", as: "numbers" }] },
      'field "hour" is demanded twice as numbers; name it once',
    ],
    [
      "keys as numbers",
      { spec, table: tableWith(), demands: [{ name: "route", as: "numbers" }] },
      'field "route": cross() gives keys, and numbers are wanted here: give its input an embedding',
    ],
  ])("%s, as the author's mistake", (_, options, message) => {
    expect(() => openDataset(options)).toThrow(new TypeError(message));
  });

  it.each<[string, Record<string, Column | undefined>, string]>([
    [
      "a missing column of a field",
      { destination: undefined, destinaton: columns["destination"] },
      'field "route": no column "destination" in the data, which has "origin", "distance", "delay", "date", "destinaton". Did you mean "destinaton"?',
    ],
    [
      "a missing label",
      { delay: undefined },
      'label: no column "delay" in the data, which has "origin", "destination", "distance", "date".',
    ],
    [
      "a label that is no number",
      { delay: strings(["late", "on time", "late", "late", "late"]) },
      'label: column "delay" holds strings (row 0 is "late"); expected numbers: store the column as numbers, or use it as keys, input({ dtype: "string" }) with an embedding',
    ],
    [
      "a label that is NaN",
      { delay: { kind: "number", values: Float64Array.of(0, 1, 2, Number.NaN, 4) } },
      'label: column "delay", row 3 is NaN; expected a finite number: drop the row or fill the missing value',
    ],
    [
      "NaN in a column of numbers",
      { distance: { kind: "number", values: Float64Array.of(0, Number.NaN, 2, 3, 4) } },
      'field "distance": column "distance", row 1 is NaN; expected a finite number: drop the row or fill the missing value',
    ],
    [
      "a string column as numbers",
      { distance: strings(["1", "2", "3", "4", "5"]) },
      'field "distance": column "distance" holds strings (row 0 is "1"); expected numbers: store the column as numbers, or use it as keys, input({ dtype: "string" }) with an embedding',
    ],
    [
      "dates that are no timestamps",
      { date: strings(["a", "b", "c", "d", "e"]) },
      'field "hour": column "date" holds strings; expected timestamps (int64 microseconds since 1970): store it as a timestamp',
    ],
    [
      "an empty test split",
      { date: int64([0, 1000, 2000, 3000, 4000]) },
      'test split: column "date": no row is at or after 2001-06-03T11:00, so the test split is empty; the rows run from 1970-01-01T00:00:00.000Z to 1970-01-01T00:00:00.004Z: move the instant',
    ],
    [
      "an empty train split",
      { date: int64(Array<bigint>(5).fill(microsOf("2020-01-01"))) },
      'test split: column "date": every row is at or after 2001-06-03T11:00, so the train split is empty; the rows run from 2020-01-01T00:00:00.000Z to 2020-01-01T00:00:00.000Z: move the instant',
    ],
  ])("%s, as a fault of the data", (_, changes, message) => {
    expect(() => openDataset({ spec, table: tableWith(changes), demands })).toThrow(badData(message));
  });

  it("a table without rows, or with columns of different lengths or codes beyond their dictionary", () => {
    const empty: ColumnTable = { rows: 0, columns: new Map() };
    expect(() => openDataset({ spec, table: empty, demands })).toThrow(
      badData("the data set has no rows: check the file it was read from"),
    );
    expect(() => openDataset({ spec, table: tableWith({ delay: int64([1, 2]) }), demands })).toThrow(
      new RangeError('column "delay" has 2 rows, the table 5: all columns must be of one length'),
    );
    const origin: Column = { kind: "string", codes: Uint32Array.of(0, 0, 2, 0, 0), dictionary: ["ATL", "SEA"] };
    expect(() => openDataset({ spec, table: tableWith({ origin }), demands })).toThrow(
      new RangeError('column "origin", row 2 has code 2; its dictionary has 2 entries'),
    );
  });
});

describe("openDataset()", () => {
  const dataset = openDataset({ spec, table: tableWith(), demands });

  it("holds out the rows at or after the instant, in file order on both sides", () => {
    expect([dataset.trainRows, dataset.testRows]).toEqual([3, 2]);
    expect([...dataset.read("train", Uint32Array.of(0, 1, 2)).label]).toEqual([0, 0, 0]);
    expect([...dataset.read("test", Uint32Array.of(0, 1)).label]).toEqual([1, 1]);
    expect([...dataset.read("test", Uint32Array.of(0, 1)).numbers.get("hour")!]).toEqual([11, 0]);
  });

  it("trains on every row where the spec names no test split", () => {
    const { test: _, ...whole } = spec;
    const all = openDataset({ spec: whole, table: tableWith(), demands });
    expect([all.trainRows, all.testRows]).toEqual([5, 0]);
    expect([...all.read("train", Uint32Array.of(4, 3, 2, 1, 0)).label]).toEqual([0, 1, 0, 1, 0]);
  });

  it("reads samples in the order asked for, as often as asked", () => {
    const batch = dataset.read("train", Uint32Array.of(2, 0, 2));
    expect(batch.samples).toBe(3);
    expect([...batch.numbers.get("distance")!]).toEqual([0, -1, 0]);
    const route = batch.keys.get("route")!;
    expect(route.length).toBe(6);
    expect([...route.subarray(0, 2)]).toEqual([...route.subarray(4, 6)]);
    expect([...batch.keys.keys(), ...batch.numbers.keys()]).toEqual(["origin", "route", "hour", "distance"]);
  });

  it("gives arrays that the caller owns", () => {
    const first = dataset.read("train", Uint32Array.of(0, 1));
    const before = [...first.keys.get("origin")!];
    dataset.read("train", Uint32Array.of(2, 2));
    expect([...first.keys.get("origin")!]).toEqual(before);
  });

  it("reads an empty batch, and no sample past the end of a split", () => {
    expect(dataset.read("train", new Uint32Array(0)).label.length).toBe(0);
    expect(() => dataset.read("test", Uint32Array.of(0, 2))).toThrow(
      new RangeError("samples[1]=2 is past the end of the test split, which has 2 rows"),
    );
  });

  it("takes the label column itself", () => {
    const { test: _, ...whole } = spec;
    const delays = openDataset({ spec: { ...whole, label: column("delay") }, table: tableWith(), demands: [] });
    expect([...delays.read("train", Uint32Array.of(1, 4)).label]).toEqual([15, -3]);
  });
});

describe("the fingerprint", () => {
  const print = (table: ColumnTable): string => openDataset({ spec, table, demands }).fingerprint;

  it("is the same whatever the order of dictionary and columns, and whatever columns the spec does not read", () => {
    const origin: Column = {
      kind: "string",
      codes: Uint32Array.of(2, 1, 2, 0, 1),
      dictionary: ["SFO", "SEA", "ATL", "unused"],
    };
    const { date, ...rest } = columns;
    const reordered = { date: date!, extra: int64([1, 2, 3, 4, 5]), ...rest, origin };
    expect(print({ rows: 5, columns: new Map(Object.entries(reordered)) })).toBe(print(tableWith()));
    expect(print(tableWith())).toMatch(/^[0-9a-f]{32}$/);
  });

  it("changes with any value, and with the order of rows", () => {
    const prints = [
      print(tableWith()),
      print(tableWith({ origin: strings(["ATL", "SEA", "ATL", "SFO", "SFO"]) })),
      print(tableWith({ distance: int64([100, 200, 100, 400, 201]) })),
      print(tableWith({ delay: int64([15, 0, 14, 60, -3]) })),
    ];
    expect(new Set(prints).size).toBe(4);
  });
});

describe("columnsOf()", () => {
  it("names each column once, those of nested fields, label and split included", () => {
    expect(columnsOf(spec)).toEqual(["date", "delay", "destination", "distance", "origin"]);
  });
});
