import { describe, expect, expectTypeOf, it } from "vitest";
import { dataSpecSchema, type DataSpec } from "../spec/data-spec.ts";
import {
  bucket,
  column,
  cross,
  hash,
  hourOf,
  logOf,
  monthOf,
  negatives,
  split,
  standardise,
  withDefault,
} from "./field-builders.ts";
import { file, npmFile } from "./file-builders.ts";
import { atLeast, columns, constantLabel, equals, fraction, heldOutFiles, since, where } from "./label-builders.ts";
import { csv, jsonl, libsvm, npy, parquet, tsv, type DataSource, type FieldsOf } from "./source-builders.ts";

const flights = npmFile("vega-datasets/data/flights-3m.parquet");

describe("parquet()", () => {
  it("gives plain data that the schema of a job manifest accepts", () => {
    const spec = parquet(flights, {
      fields: {
        origin: "origin",
        distance: column("distance"),
        route: cross("origin", "destination"),
        originHour: cross("origin", hourOf("date")),
        shared: hash(monthOf("date")),
        far: bucket("distance", 50),
        scaled: standardise("distance", { mean: 700, stddev: 500 }),
      },
      label: atLeast("delay", 15),
      test: since("date", "2001-06-13T08:02"),
    });
    expect(spec).toEqual({
      format: { kind: "parquet" },
      files: [{ kind: "npm", path: "vega-datasets/data/flights-3m.parquet" }],
      badRowsMax: 0,
      fields: {
        origin: { kind: "column", column: "origin" },
        distance: { kind: "column", column: "distance" },
        route: {
          kind: "cross",
          of: [
            { kind: "column", column: "origin" },
            { kind: "column", column: "destination" },
          ],
        },
        originHour: {
          kind: "cross",
          of: [
            { kind: "column", column: "origin" },
            { kind: "datePart", column: "date", part: "hour" },
          ],
        },
        shared: { kind: "hash", of: { kind: "datePart", column: "date", part: "month" } },
        far: { kind: "bucket", of: { kind: "column", column: "distance" }, width: 50 },
        scaled: { kind: "standardise", of: { kind: "column", column: "distance" }, mean: 700, stddev: 500 },
      },
      label: { kind: "atLeast", column: "delay", threshold: 15 },
      test: { kind: "since", column: "date", instant: "2001-06-13T08:02" },
    });
    expect(dataSpecSchema.parse(JSON.parse(JSON.stringify(spec)))).toEqual(spec);
  });

  it("takes a column's name as label, and no test split", () => {
    const spec = parquet(file("ratings.parquet"), { fields: { user: "user" }, label: "stars" });
    expect(spec.label).toEqual({ kind: "column", column: "stars" });
    expect(spec.test).toBeUndefined();
    expect(spec.files).toEqual([{ kind: "file", path: "ratings.parquet" }]);
  });

  it.each([
    [() => parquet(7 as never, { fields: { a: "a" }, label: "b" }), "parquet(): 7 is no file; write a path"],
    [() => parquet(flights, { fields: {}, label: "b" }), "parquet(): fields is empty; name what the model reads"],
    [() => parquet(flights, { fields: { "": "a" }, label: "b" }), "parquet(): a field has an empty name"],
    [
      () => parquet(flights, { fields: { a: 7 as never }, label: "b" }),
      "fields.a: 7 is no field; write a column's name",
    ],
    [
      () => parquet(flights, { fields: { a: "" }, label: "b" }),
      "fields.a: got a column's name of 0 characters (1 to 200",
    ],
    [() => parquet(flights, { fields: { a: { kind: "crossed" } as never }, label: "b" }), "parquet(): fields.a"],
    [() => parquet(flights, { fields: { a: "a" }, label: 7 as never }), "parquet(): label"],
    [() => parquet(flights, undefined as never), "parquet(): the options are undefined; expected an object of"],
    [
      () => parquet(flights, { fields: { a: "a" }, lable: "b" } as never),
      'parquet(): "lable" is no option; there are "fields", "label", "weight", "group", "test", "badRowsMax". Did you mean "label"?',
    ],
  ])("refuses what is no data set (%#)", (build, message) => {
    expect(build).toThrow(TypeError);
    expect(build).toThrow(message);
  });
});

describe("csv() and tsv()", () => {
  it("write every default out", () => {
    const options = { fields: { age: "age" }, label: "y" } as const;
    const format = { kind: "csv", delimiter: ",", header: true, types: {}, missing: [] };
    expect(csv("train.csv", options).format).toEqual(format);
    expect(tsv("train.tsv", options).format).toEqual({ ...format, delimiter: "\t" });
    expect(
      csv(["a.csv", "b.csv"], {
        ...options,
        delimiter: ";",
        header: false,
        names: ["y", "age"],
        types: { age: "number" },
        missing: ["NA"],
        badRowsMax: 3,
        test: heldOutFiles("test.csv"),
      }),
    ).toEqual({
      format: {
        kind: "csv",
        delimiter: ";",
        header: false,
        names: ["y", "age"],
        types: { age: "number" },
        missing: ["NA"],
      },
      files: [
        { kind: "file", path: "a.csv" },
        { kind: "file", path: "b.csv" },
      ],
      fields: { age: { kind: "column", column: "age" } },
      label: { kind: "column", column: "y" },
      test: { kind: "files", files: [{ kind: "file", path: "test.csv" }] },
      badRowsMax: 3,
    });
  });

  const of = (wrong: object) => (): unknown => csv("a.csv", { fields: { a: "a" }, ...wrong });
  it.each([
    [of({ delimiter: "::" }), 'csv(): delimiter is "::"; expected one character'],
    [of({ header: "no" }), 'csv(): header is "no"; write false where the first line is a row'],
    [of({ names: ["a"] }), "csv(): names are for files whose first line is a row: add header: false"],
    [of({ header: false, names: ["a", "a"] }), 'csv(): names[1] is "a", as an earlier one'],
    [of({ header: false, names: [] }), "csv(): names is []; list the columns in their order"],
    [of({ header: false, names: ["a"], types: { b: "int64" } }), 'csv(): types.b is no column; the names are "a"'],
    [of({ types: { a: "integer" } }), 'csv(): types.a is "integer"; use one of "string", "int64"'],
    [of({ missing: "NA" }), 'csv(): missing is "NA"; list the cells that hold no value, as ["NA"]'],
    [of({ delimeter: ";" }), '"delimeter" is no option'],
    [() => tsv("a.tsv", { fields: { a: "a" }, delimiter: "," } as never), 'tsv(): "delimiter" is no option'],
  ])("refuse what is no format (%#)", (build, message) => {
    expect(build).toThrow(TypeError);
    expect(build).toThrow(message);
  });

  it("count bad rows from 0", () => {
    expect(of({ badRowsMax: -1 })).toThrow(
      new RangeError("csv(): badRowsMax must be a whole number from 0 to 9007199254740991, got -1"),
    );
  });
});

describe("jsonl(), libsvm() and npy()", () => {
  it("name their formats", () => {
    expect(jsonl("a.jsonl", { fields: { tags: "tags" }, types: { tags: "string[]" } })).toMatchObject({
      format: { kind: "jsonl", types: { tags: "string[]" } },
    });
    expect(libsvm("a.svm", { fields: { ids: "indices", values: "values" } })).toMatchObject({
      format: { kind: "libsvm" },
      label: { kind: "column", column: "label" },
    });
    expect(libsvm("a.svm", { fields: { ids: "indices" }, label: equals("label", 1) }).label?.kind).toBe("equals");
    expect(npy({ pixels: "x.npy", digit: "y.npy" }, { fields: { pixels: "pixels" }, label: "digit" })).toMatchObject({
      format: { kind: "npy", columns: ["pixels", "digit"] },
      files: [
        { kind: "file", path: "x.npy" },
        { kind: "file", path: "y.npy" },
      ],
    });
  });

  it("npy() wants a file for each column, of the held-out rows too", () => {
    expect(() => npy("x.npy" as never, { fields: { a: "a" } })).toThrow(
      new TypeError('npy(): the files are "x.npy"; give each column its file, as { pixels: "pixels.npy" }'),
    );
    expect(() =>
      npy({ x: "x.npy", y: "y.npy" }, { fields: { x: "x" }, label: "y", test: heldOutFiles("test.npy") }),
    ).toThrow(
      'npy(): heldOutFiles() names 1 files and there are 2 columns; name one for each column, in the order "x", "y"',
    );
  });
});

describe("the compiler", () => {
  it("knows the fields of a data set by name", () => {
    const data = csv("a.csv", { fields: { age: "age", route: cross("from", "to") }, label: "y" });
    expectTypeOf(data).toEqualTypeOf<DataSource<"age" | "route", "route">>();
    expectTypeOf(
      parquet("a", { fields: { a: logOf("a"), b: withDefault(logOf("b"), 1), c: hourOf("c") } }),
    ).toEqualTypeOf<DataSource<"a" | "b" | "c", never, "a" | "b">>();
    expectTypeOf<FieldsOf<typeof data>>().toEqualTypeOf<"age" | "route">();
    expectTypeOf<FieldsOf<DataSpec>>().toEqualTypeOf<string>();
    expectTypeOf(data).toExtend<DataSpec>();
    expectTypeOf<DataSpec>().toExtend<DataSource<"age">>();
  });

  it("knows the columns of fields, however they are nested", () => {
    expectTypeOf(cross("from", hourOf("date"), hash(standardise(logOf("far"))))).toExtend<
      ReturnType<typeof cross<["from", "date", "far"]>>
    >();
  });

  it("finds a misspelt column where columns are declared", () => {
    const types = { age: "number", city: "string", date: "timestamp" } as const;
    csv("a.csv", {
      types,
      fields: {
        age: standardise("age"),
        city: withDefault("city", "none"),
        hour: cross("city", hourOf("date")),
        n: negatives({ count: 1, vocabulary: 2 }),
      },
      label: atLeast("age", 3),
      weight: "age",
      test: since("date", "2001-06-13"),
    });
    // @ts-expect-error "agee" is no column
    csv("a.csv", { types, fields: { age: "agee" } });
    // @ts-expect-error "agee" is no column
    csv("a.csv", { types, fields: { age: cross("city", standardise("agee")) } });
    // @ts-expect-error "dat" is no column
    csv("a.csv", { types, fields: { age: "age" }, test: since("dat", "2001-06-13") });
    // @ts-expect-error "yes" is no column
    csv("a.csv", { types, fields: { age: "age" }, label: atLeast("yes", 1) });
    // @ts-expect-error "c" is no column
    csv("a.csv", { header: false, names: ["a", "b"], fields: { a: "a", c: split("c", "|") } });
    csv("a.csv", {
      header: false,
      names: ["a", "b"],
      fields: { a: "a" },
      label: columns("a", "b"),
      test: fraction(0.1),
    });
    // @ts-expect-error "labels" is no column of libsvm files
    libsvm("a.svm", { fields: { ids: "indices" }, label: "labels" });
    // @ts-expect-error "pixel" is no column
    npy({ pixels: "x.npy" }, { fields: { pixels: "pixel" }, label: constantLabel(0) });
    const plain: DataSpec["fields"][string] = { kind: "column", column: "whatever" };
    csv("a.csv", { types, fields: { plain, hashed: hash(plain) }, test: where("city", "Rome") });
  });
});
