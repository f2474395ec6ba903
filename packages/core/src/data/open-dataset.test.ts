import { describe, expect, it } from "vitest";
import type { Column, ColumnTable } from "./spec/dataset.ts";
import { column, cross, hash, hourOf, quantiles, standardise, withDefault } from "./builders/field-builders.ts";
import { columnsOf } from "./fields/field-demand.ts";
import { file } from "./builders/file-builders.ts";
import { microsOf } from "./fields/instant.ts";
import { atLeast, since } from "./builders/label-builders.ts";
import { openDataset } from "./open-dataset.ts";
import { parquet } from "./builders/source-builders.ts";
import { columns, int64, strings, tableWith } from "./fields/test-flights.ts";

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
  { name: "hour", as: "numbers", width: 1 },
  { name: "distance", as: "numbers", width: 1 },
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
      { spec, table: tableWith(), demands: [...demands, { name: "hour", as: "numbers", width: 1 }] },
      'field "hour" is demanded twice as numbers; name it once',
    ],
    [
      "keys as numbers",
      { spec, table: tableWith(), demands: [{ name: "route", as: "numbers", width: 1 }] },
      'field "route": cross() gives keys, and numbers are wanted here: give its input an embedding',
    ],
    [
      "numbers as keys",
      { spec, table: tableWith(), demands: [{ name: "distance", as: "keys" }] },
      'field "distance": standardise() gives numbers, and keys are wanted here: use bucket() or quantiles() for an embedding, or input({ dtype: "float32" }) without one',
    ],
    [
      "numbers that are to be fitted",
      {
        spec: parquet(file("f"), { fields: { a: standardise("distance"), b: quantiles("distance", 4) } }),
        table: tableWith(),
        demands: [{ name: "a", as: "numbers", width: 1 }],
      },
      'field "a": standardise() has no mean and stddev yet: submit the job through a cluster, which fits them to the training rows, or give { mean, stddev }',
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
      'label: column "delay" holds strings (the first is "late"); expected numbers: say which one counts as 1, as equals("delay", "late"), or name the classes, as classes("delay", ["late", …])',
    ],
    [
      "a label that is missing",
      { delay: { kind: "number", values: Float64Array.of(0, 1, 2, Number.NaN, 4) } },
      '1 of 5 rows cannot be used, and badRowsMax is 0. row 3: label: column "delay" is missing (NaN); expected a finite number. Correct them, fill missing values with withDefault(…), or leave such rows out with badRowsMax: 1',
    ],
    [
      "missing numbers",
      { distance: { kind: "number", values: Float64Array.of(0, Number.NaN, 2, 3, Number.NaN) } },
      '2 of 5 rows cannot be used, and badRowsMax is 0. row 1: field "distance": column "distance" is missing (NaN); expected a finite number. row 4: field "distance": column "distance" is missing (NaN); expected a finite number. Correct them, fill missing values with withDefault(…), or leave such rows out with badRowsMax: 2',
    ],
    [
      "a string column as numbers",
      { distance: strings(["1", "2", "3", "4", "5"]) },
      'field "distance": column "distance" holds strings (the first is "1"); expected numbers: standardise() needs them; use hash() or column() for strings',
    ],
    [
      "dates that are no timestamps",
      { date: strings(["a", "b", "c", "d", "e"]) },
      'field "hour": column "date" holds strings; expected timestamps (int64 microseconds since 1970): store it as a timestamp, or declare it so with types',
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

describe("an input that takes integers", () => {
  const fields = { origin: "origin", hashed: hash("origin"), id: "distance" };
  const opened = (name: keyof typeof fields, table = tableWith()) =>
    openDataset({
      spec: parquet(file("f"), { fields }),
      table,
      demands: [{ name, as: "keys", integers: "int32" }],
    });

  it("refuses strings, naming the field, its dtype, the first value and the remedy", () => {
    expect(() => opened("origin")).toThrow(
      badData(
        'field "origin": column "origin" holds strings (the first is "ATL"), and its input has the dtype int32: give the input dtype: "string", which hashes them; or, where they are integers, give the column as such, in a text file with types: { "origin": "int64" }',
      ),
    );
    const lists: Column = {
      kind: "list",
      offsets: Uint32Array.of(0, 0, 1, 2, 2, 2),
      elements: strings(["ATL", "SEA"]) as Exclude<Column, { kind: "list" }>,
    };
    expect(() => opened("origin", tableWith({ origin: lists }))).toThrow('types: { "origin": "int64[]" }');
  });

  it("takes what hash() makes of strings, and integers", () => {
    expect(opened("hashed").trainRows).toBe(5);
    expect(opened("id").trainRows).toBe(5);
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

  it("changes with any value, one that is missing too, and with the order of rows", () => {
    const delay = columns["delay"] as Extract<Column, { kind: "int64" }>;
    const holed: Column = { ...delay, missing: Uint8Array.of(1, 0, 0, 0, 0) };
    const prints = [
      print(tableWith()),
      print(tableWith({ origin: strings(["ATL", "SEA", "ATL", "SFO", "SFO"]) })),
      print(tableWith({ distance: int64([100, 200, 100, 400, 201]) })),
      print(tableWith({ delay: int64([15, 0, 14, 60, -3]) })),
      openDataset({ spec: { ...spec, badRowsMax: 1 }, table: tableWith({ delay: holed }), demands }).fingerprint,
    ];
    expect(new Set(prints).size).toBe(5);
  });
});

describe("columnsOf()", () => {
  it("names each column once, those of nested fields, label and split included", () => {
    expect(columnsOf(spec)).toEqual(["date", "delay", "destination", "distance", "origin"]);
  });
});

describe("bad rows", () => {
  const numbers = (...values: number[]): Column => ({ kind: "number", values: Float64Array.from(values) });
  const lenient = { ...spec, badRowsMax: 2 };

  it("keep their numbers, weigh nothing and give zeros", () => {
    const table = tableWith({ distance: numbers(100, Number.NaN, 100, 400, 200) });
    const read = { row: 2, place: "flights.csv:9", fault: "2 cells; expected 5" };
    const dataset = openDataset({ spec: lenient, table: { ...table, badRows: [read] }, demands });
    expect(dataset.badRows()).toEqual({
      count: 2,
      first: [
        {
          row: 1,
          place: "row 1",
          fault: 'field "distance": column "distance" is missing (NaN); expected a finite number',
        },
        read,
      ],
    });
    expect([dataset.trainRows, dataset.testRows]).toEqual([3, 2]);
    const train = dataset.read("train", Uint32Array.of(2, 1, 0));
    expect(train.weight).toEqual(Float32Array.of(1, 0, 1));
    expect(train.numbers.get("distance")).toEqual(Float32Array.of(0, 0, -1));
    expect([...train.keys.get("origin")!.subarray(2, 4)]).toEqual([0, 0]);
    expect([...train.keys.get("origin")!.subarray(0, 2)]).not.toEqual([0, 0]);
    const test = dataset.read("test", Uint32Array.of(0, 1));
    expect(test.weight).toEqual(Float32Array.of(0, 1));
    expect(test.label).toEqual(Float32Array.of(0, 1));
    expect(dataset.read("train", Uint32Array.of(0)).weight).toBeUndefined();
  });

  it("end the job where they are more than may be, with the first places and the remedies", () => {
    const badRows = [4, 0, 3].map((row) => ({ row, place: `flights.csv:${row + 2}`, fault: "2 cells; expected 5" }));
    expect(() => openDataset({ spec: lenient, table: { ...tableWith(), badRows }, demands })).toThrow(
      badData(
        "3 of 5 rows cannot be used, and badRowsMax is 2. flights.csv:2: 2 cells; expected 5. flights.csv:5: 2 cells; expected 5. flights.csv:6: 2 cells; expected 5. Correct them, fill missing values with withDefault(…), or leave such rows out with badRowsMax: 3",
      ),
    );
  });

  it("are none where a default stands for what is missing", () => {
    const holes = tableWith({
      origin: strings(["ATL", "", "ATL", "SFO", ""]),
      distance: numbers(1, 2, Number.NaN, 4, 5),
    });
    const filled = parquet(file("f"), {
      fields: { origin: withDefault("origin", "none"), distance: withDefault("distance", 7) },
      label: "delay",
    });
    const dataset = openDataset({
      spec: filled,
      table: holes,
      demands: [
        { name: "origin", as: "keys" },
        { name: "distance", as: "numbers", width: 1 },
      ],
    });
    const batch = dataset.read("train", Uint32Array.of(0, 1, 2, 3, 4));
    expect(batch.weight).toBeUndefined();
    expect([...batch.numbers.get("distance")!]).toEqual([1, 2, 7, 4, 5]);
    const origin = new BigUint64Array(batch.keys.get("origin")!.buffer);
    expect(origin[1]).toBe(origin[4]);
    expect(new Set(origin).size).toBe(3);
  });

  it("have dates that are missing: they train, and weigh nothing", () => {
    const date: Column = {
      ...(columns["date"] as Extract<Column, { kind: "int64" }>),
      missing: Uint8Array.of(0, 0, 0, 1, 0),
    };
    const late = { ...lenient, test: since("date", "2001-06-02T12:00") };
    const dataset = openDataset({ spec: late, table: tableWith({ date }), demands: [{ name: "origin", as: "keys" }] });
    expect([dataset.trainRows, dataset.testRows]).toEqual([3, 2]);
    expect(dataset.read("train", Uint32Array.of(0, 1, 2)).weight).toEqual(Float32Array.of(1, 0, 1));
  });
});

describe("weight and group", () => {
  const weighted = parquet(file("f"), {
    fields: { origin: "origin" },
    label: "delay",
    weight: "distance",
    group: "origin",
  });

  it("come with every batch", () => {
    const batch = openDataset({ spec: weighted, table: tableWith(), demands: [] }).read(
      "train",
      Uint32Array.of(3, 0, 2),
    );
    expect(batch.weight).toEqual(Float32Array.of(400, 100, 100));
    const group = new BigUint64Array(batch.group!.buffer);
    expect(group[1]).toBe(group[2]);
    expect(group[0]).not.toBe(group[1]);
  });

  it("are bad where they are negative or missing", () => {
    const changes = { distance: int64([1, 2, -3, 4, 5]), origin: strings(["a", "", "a", "a", "a"]) };
    expect(() => openDataset({ spec: weighted, table: tableWith(changes), demands: [] })).toThrow(
      badData(
        '2 of 5 rows cannot be used, and badRowsMax is 0. row 1: group: column "origin" is missing; expected a key. row 2: weight is -3; expected 0 or more. Correct them, fill missing values with withDefault(…), or leave such rows out with badRowsMax: 2',
      ),
    );
  });
});
