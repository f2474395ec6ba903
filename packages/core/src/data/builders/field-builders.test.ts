import { describe, expect, it } from "vitest";
import {
  bucket,
  clip,
  cross,
  dayOfMonth,
  dayOfWeek,
  hash,
  hourOf,
  logOf,
  minuteOfDay,
  monthOf,
  negatives,
  quantiles,
  slotOf,
  split,
  standardise,
  withDefault,
} from "./field-builders.ts";

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
      new RangeError(
        `bucket(): width must be a finite number above 0, got ${typeof width === "string" ? `"${width as string}"` : width}; give a width above 0, as 50`,
      ),
    );
  });

  it("quantiles(), logOf(), clip(), withDefault(), split() and negatives() check what they are given", () => {
    expect(() => quantiles("a", 1)).toThrow(
      new RangeError("quantiles(): count must be a whole number from 2 to 65536, got 1"),
    );
    expect(() => logOf("a", { plus: Number.NaN })).toThrow(
      new RangeError("logOf(): plus must be a finite number, got NaN"),
    );
    expect(() => logOf("a", { plsu: 2 } as never)).toThrow(
      new TypeError('logOf(): "plsu" is no option; there are "plus". Did you mean "plus"?'),
    );
    expect(() => clip("a", { min: 2, max: 1 })).toThrow(
      new RangeError("clip(): min 2 is above max 1; write the smaller one as min"),
    );
    expect(() => withDefault("a", Number.NaN)).toThrow(
      new TypeError("withDefault(): value is NaN; expected a string or a finite number"),
    );
    expect(() => split("a", "")).toThrow(
      new TypeError('split(): separator is ""; expected 1 to 10 characters, as "|"'),
    );
    expect(() => negatives({ count: 0, vocabulary: 5 })).toThrow(
      new RangeError("negatives(): count must be a whole number from 1 to 65536, got 0"),
    );
    expect(() => hash("a", { salt: 7 as never })).toThrow(
      new TypeError("hash(): salt is 7; expected a name of at most 200 characters"),
    );
  });

  it("compose", () => {
    expect(standardise(logOf(withDefault("distance", 0)))).toEqual({
      kind: "standardise",
      of: { kind: "log", plus: 1, of: { kind: "withDefault", value: 0, of: { kind: "column", column: "distance" } } },
    });
    expect(hash("user", { salt: "people" })).toEqual({
      kind: "hash",
      of: { kind: "column", column: "user" },
      salt: "people",
    });
    expect(quantiles(clip("a", { min: 0, max: 9 }), 4)).toMatchObject({
      kind: "quantiles",
      buckets: 4,
      of: { kind: "clip" },
    });
  });

  it("standardise() names the number that is wrong", () => {
    expect(() => standardise("a", { mean: Number.NaN, stddev: 1 })).toThrow(
      new RangeError("standardise(): mean must be a finite number, got NaN"),
    );
    expect(() => standardise("a", { mean: 0, stddev: 0 })).toThrow(
      new RangeError(
        "standardise(): stddev must be a finite number above 0, got 0; leave a constant column out of the fields",
      ),
    );
  });
});
