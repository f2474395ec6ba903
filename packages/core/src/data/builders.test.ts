import { describe, expect, it } from "vitest";
import {
  atLeast,
  bucket,
  column,
  cross,
  dayOfMonth,
  dayOfWeek,
  file,
  hash,
  hourOf,
  minuteOfDay,
  monthOf,
  npmFile,
  parquet,
  since,
  slotOf,
  standardise,
} from "./builders.ts";
import { dataSpecSchema } from "./data-spec.ts";

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
      format: "parquet",
      file: { kind: "npm", path: "vega-datasets/data/flights-3m.parquet" },
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
        far: { kind: "bucket", column: "distance", width: 50 },
        scaled: { kind: "standardise", column: "distance", mean: 700, stddev: 500 },
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
    expect(spec.file).toEqual({ kind: "file", path: "ratings.parquet" });
  });

  it.each([
    [
      () => parquet("a.parquet" as never, { fields: { a: "a" }, label: "b" }),
      'parquet(): the file is a.parquet; write file("path")',
    ],
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
    [() => parquet(flights, { fields: { a: "a" }, label: undefined as never }), "parquet(): label"],
  ])("refuses what is no data set (%#)", (build, message) => {
    expect(build).toThrow(TypeError);
    expect(build).toThrow(message);
  });
});

describe("npmFile() and file()", () => {
  it("take a package with a scope", () => {
    expect(npmFile("@scope/data/train.parquet")).toEqual({ kind: "npm", path: "@scope/data/train.parquet" });
  });

  it.each(["", "vega-datasets", "@scope/data", "/etc/passwd", "a/../../b", "a//b", 7 as never])(
    "npmFile(%j) throws",
    (path) => {
      expect(() => npmFile(path)).toThrow(
        new TypeError(
          `npmFile(${path}): expected a package and a path inside it, as "vega-datasets/data/flights-3m.parquet"`,
        ),
      );
    },
  );

  it("file() wants a path", () => {
    expect(() => file("")).toThrow(new TypeError('file(): expected a path, as "data/train.parquet"'));
  });
});

describe("fields", () => {
  it.each([
    [hourOf, "hour"],
    [slotOf, "slot10"],
    [minuteOfDay, "minuteOfDay"],
    [dayOfWeek, "dayOfWeek"],
    [dayOfMonth, "dayOfMonth"],
    [monthOf, "month"],
  ] as const)("%o is a part of a date", (build, part) => {
    expect(build("date")).toEqual({ kind: "datePart", column: "date", part });
    expect(() => build(7 as never)).toThrow(TypeError);
    expect(() => build(7 as never)).toThrow('got 7; expected the name of a column, as "origin"');
  });

  it("cross() takes 2 to 16 parts", () => {
    const remedy = 'for a single one use column("…") or hash("…")';
    expect(() => cross("a")).toThrow(new RangeError(`cross() takes 2 to 16 columns or fields, got 1; ${remedy}`));
    expect(() => cross(...Array<string>(17).fill("a"))).toThrow("got 17");
    expect(() => cross("a", null as never)).toThrow("cross(): null is no field");
    expect(() => hash(undefined as never)).toThrow("hash(): undefined is no field");
  });

  it.each([0, -1, Number.NaN, Number.POSITIVE_INFINITY, "5" as never])("bucket() refuses the width %j", (width) => {
    expect(() => bucket("distance", width)).toThrow(
      new RangeError(`bucket(): width must be a finite number above 0, got ${width}; give a width above 0, as 50`),
    );
  });

  it("standardise(), atLeast() and since() name the number that is wrong", () => {
    expect(() => standardise("a", { mean: Number.NaN, stddev: 1 })).toThrow(
      new RangeError("standardise(): mean must be a finite number, got NaN"),
    );
    expect(() => standardise("a", { mean: 0, stddev: 0 })).toThrow(
      new RangeError(
        "standardise(): stddev must be a finite number above 0, got 0; leave a constant column out of the fields",
      ),
    );
    expect(() => atLeast("delay", Number.NaN)).toThrow(
      new RangeError('atLeast(): threshold must be a finite number, got NaN; write atLeast("delay", 15)'),
    );
    expect(() => since("date", "June")).toThrow(RangeError);
    expect(() => since("date", "June")).toThrow('instant "June" is not ISO 8601');
    expect(() => since("date", 2001 as never)).toThrow(
      new TypeError('since(): the instant is 2001; write it as "2001-06-13T08:02"'),
    );
  });
});
