import { describe, expect, it } from "vitest";
import { readText, valuesOf } from "./test-text.ts";
import type { TextFormatSpec } from "./text-format.ts";

const jsonl: TextFormatSpec = { kind: "jsonl", types: {} };
const faultOf = (line: string) =>
  readText({ kind: "jsonl", types: { a: "int64" } }, `{"a": 1}\n${line}\n`, { columns: ["a"] }).badRows.map(
    ({ fault }) => fault,
  )[0];

describe("jsonl counts as bad", () => {
  it.each([
    ["[1]", 'expected a JSON object, as {"age": 31}'],
    ['{"a": 1', 'broken JSON at column 8: "," or "}" was expected'],
    ['{"a" 1}', 'broken JSON at column 6: ":" was expected'],
    ['{"a": }', "broken JSON at column 7: a value was expected"],
    ['{"a": 01}', "broken JSON at column 7: a number begins with 0"],
    ['{"a": 1} x', "broken JSON at column 9: text after the object"],
    ['{"b": "x}', "broken JSON at column 7: a string is not closed"],
    ['{"b": [1, {"c": }], "a": 1}', "broken JSON at column 17: a value was expected"],
    [`{"b": ${"[".repeat(100)}${"]".repeat(100)}}`, "broken JSON at column 71: more than 64 levels"],
    ['{"a": {"b": 1}}', 'column "a" is "{\\"b\\": 1}"; expected an integer within ±2^63'],
    ['{"a": [1]}', 'column "a" is "[1]"; expected an integer within ±2^63'],
    ['{"a": 1.5}', 'column "a" is "1.5"; expected an integer within ±2^63'],
  ])("%s", (line, fault) => {
    expect(faultOf(line)).toBe(fault);
  });

  it("lists that are none, or have elements of another type, and keeps what is around them", () => {
    const format: TextFormatSpec = { kind: "jsonl", types: { a: "int64[]" } };
    const table = readText(format, '{"a": [1, 2]}\n{"a": [3, "x"]}\n{"a": 4}\n{"a": [5, null]}\n{"a": [6]}\n');
    expect(valuesOf(table, "a")).toEqual([[1n, 2n], [], [], [], [6n]]);
    expect(table.badRows.map(({ row, place }) => [row, place])).toEqual([
      [1, "t:2"],
      [2, "t:3"],
      [3, "t:4"],
    ]);
  });
});

describe("jsonl reads", () => {
  it("absent members and nulls as missing, booleans as 0 and 1, ids in strings exactly", () => {
    const format: TextFormatSpec = { kind: "jsonl", types: { id: "int64" } };
    const table = readText(
      format,
      '{"id": "9007199254740993", "on": true}\r\n\r\n{"on": false, "s": "x"}\n{"id": -1, "s": null}\n',
    );
    expect(valuesOf(table, "id")).toEqual([9_007_199_254_740_993n, undefined, -1n]);
    expect(valuesOf(table, "on")).toEqual([1n, 0n, undefined]);
    expect(valuesOf(table, "s")).toEqual(["", "x", ""]);
    expect(table.badRows).toEqual([]);
  });

  it("types by what the first rows hold", () => {
    const table = readText(
      jsonl,
      '{"i": 5, "n": 1, "s": "12", "t": "2001-01-01", "l": [], "w": ["a"], "o": {"x": 1}, "m": [[1]]}\n{"n": 2.5, "l": [1, 2.5]}\n',
    );
    const kinds = [...table.columns].map(([name, column]) => [
      name,
      column.kind === "list" ? `${column.elements.kind}[]` : column.kind,
    ]);
    expect(Object.fromEntries(kinds)).toEqual({
      i: "int64",
      n: "number",
      s: "string",
      t: "int64",
      l: "number[]",
      w: "string[]",
    });
  });

  it("names and strings with escapes", () => {
    const table = readText(jsonl, '{"\\u0061": "x\\ty\\ud83d\\ude00", "b": 1}\n');
    expect(valuesOf(table, "a")).toEqual(["x\ty😀"]);
  });
});
