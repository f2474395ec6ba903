import { describe, expect, it } from "vitest";
import {
  atLeast,
  classes,
  columns,
  constantLabel,
  equals,
  fraction,
  heldOutFiles,
  since,
  where,
} from "./label-builders.ts";

describe("labels and splits", () => {
  it("atLeast() and since() name what is wrong", () => {
    expect(() => atLeast("delay", Number.NaN)).toThrow(
      new RangeError('atLeast(): threshold must be a finite number, got NaN; write atLeast("delay", 15)'),
    );
    expect(() => since("date", "June")).toThrow(RangeError);
    expect(() => since("date", "June")).toThrow('instant "June" is not ISO 8601');
    expect(() => since("date", 2001 as never)).toThrow(
      new TypeError('since(): the instant is 2001; write it as "2001-06-13T08:02"'),
    );
  });

  it("classes(), equals(), columns() and constantLabel() take values, each once", () => {
    expect(() => classes("a", ["x"])).toThrow(
      new TypeError('classes(): the values are ["x"]; list at least two, as ["setosa", "virginica"]'),
    );
    expect(() => classes("a", ["x", "y", "x"])).toThrow(
      new TypeError('classes(): values[2] is "x", as an earlier one; a class has one number'),
    );
    expect(() => equals("a", Number.NaN)).toThrow("equals(): value is NaN; expected a string or a finite number");
    expect(() => columns()).toThrow("columns(): name at least one column of numbers");
    expect(() => constantLabel()).toThrow("constantLabel(): got 0 numbers");
    expect(constantLabel(1, 0)).toEqual({ kind: "constant", values: [1, 0] });
    expect(columns("x", "y")).toEqual({ kind: "columns", columns: ["x", "y"] });
  });

  it("fraction(), where() and heldOutFiles() check theirs", () => {
    expect(() => fraction(10)).toThrow(
      new RangeError("fraction(): the share must lie between 0 and 1, got 10; write 0.1 for a tenth"),
    );
    expect(() => fraction(0.1, { seed: -1 })).toThrow("seed must be a whole number from 0 to 4294967295, got -1");
    expect(() => where("a", [])).toThrow("where(): the list of values is empty");
    expect(where("day", "sunday")).toEqual({ kind: "where", column: "day", values: ["sunday"] });
    expect(heldOutFiles("test.csv")).toEqual({ kind: "files", files: [{ kind: "file", path: "test.csv" }] });
  });
});
