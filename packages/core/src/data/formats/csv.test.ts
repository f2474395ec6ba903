import { describe, expect, it } from "vitest";
import { RECORD_BYTES_MAX, RecordSplitter } from "./record-splitter.ts";
import { CsvGrammar } from "./csv.ts";
import { csvFormat, readText, valuesOf } from "./test-text.ts";

const csv = (text: string, o: Parameters<typeof csvFormat>[0] = {}, columns?: string[]) =>
  readText(csvFormat(o), text, columns === undefined ? {} : { columns });

describe("csv refuses", () => {
  it("an empty file, a column that is not there, a name that stands twice", () => {
    expect(() => csv("")).toThrow("t: no rows: the file is empty");
    expect(() => csv("age,city\n1,Oslo\n", {}, ["agee"])).toThrow(
      't: no column "agee"; there are "age", "city". Did you mean "age"?',
    );
    expect(() => csv("a,b,a\n1,2,3\n")).toThrow('t:1: the header names column "a" twice');
    expect(() => csv("a,b\n1,2\n", { names: ["x"] })).toThrow("the header has 2 columns, and names has 1");
  });

  it("UTF-16, with its mark and without, and lines that end in CR alone", () => {
    expect(() => csv("a,b\n1,2\n".replaceAll(/./gsu, "$&\0"))).toThrow(
      "t:1: the text holds zero bytes, as UTF-16 does",
    );
    const marked = Uint8Array.of(0xff, 0xfe, 0x61, 0, 0x0a, 0);
    expect(() => readText(csvFormat(), marked)).toThrow("t: its text is UTF-16; convert it with: iconv -f UTF-16");
    expect(() => csv("a,b\r1,2\r3,4\r")).toThrow("the lines end in CR alone; convert them with: tr");
  });

  it("a delimiter that is none", () => {
    for (const delimiter of ['"', "\n", "é"]) expect(() => csv("a\n1\n", { delimiter })).toThrow(TypeError);
  });

  it("a quote that is never closed, before it takes all memory", () => {
    const splitter = new RecordSplitter({ grammar: new CsvGrammar(","), name: "t" });
    const piece = new Uint8Array(RECORD_BYTES_MAX / 2).fill(0x61);
    piece[0] = 0x22;
    splitter.push(piece);
    expect(splitter.next()).toBe(false);
    piece[0] = 0x61;
    splitter.push(piece);
    expect(splitter.next()).toBe(false);
    splitter.push(piece);
    expect(() => splitter.next()).toThrow(
      `t:1: the row that begins here has not ended after ${RECORD_BYTES_MAX} bytes`,
    );
  });
});

describe("csv counts as bad", () => {
  it("rows with too few or too many columns, with their lines", () => {
    const table = csv("a,b\n1,2\n3\n\n4,5,6\n7,8\n");
    expect(valuesOf(table, "a")).toEqual([1n, undefined, undefined, 7n]);
    expect(table.badRows).toEqual([
      { row: 1, place: "t:3", fault: "1 columns; expected 2" },
      { row: 2, place: "t:5", fault: "3 columns; expected 2" },
    ]);
  });

  it("cells that are not of their column's type", () => {
    const types = { n: "number", i: "int64", t: "timestamp", l: "int64[]" } as const;
    const header = "n,i,t,l\n";
    const row = '1,2,2001-01-01,"[3]"\n';
    const faults = ["x,2,2001-01-01,[3]", "1,2.5,2001-01-01,[3]", "1,2,2001-02-30,[3]", "1,2,2001-01-01,3"].map(
      (bad) => csv(`${header}${row}${bad}\n`, { types }).badRows,
    );
    expect(faults).toEqual(
      [
        'column "n" is "x"; expected a number, as -1.5e3',
        'column "i" is "2.5"; expected an integer within ±2^63',
        'column "t" is "2001-02-30"; expected an ISO 8601 instant, as "2001-06-13T08:02:00Z"',
        'column "l" is "3"; expected a list of integers, as [1, 2]',
      ].map((fault) => [{ row: 1, place: "t:3", fault }]),
    );
  });

  it("text that is not UTF-8, and only in columns that are read", () => {
    const bytes = new TextEncoder().encode("a,b\nx,1\n?,2\n");
    bytes[8] = 0xff;
    expect(readText(csvFormat(), bytes).badRows).toEqual([
      { row: 1, place: "t:3", fault: 'column "a" is "\ufffd"; expected text in UTF-8: convert the file with iconv' },
    ]);
    expect(readText(csvFormat(), bytes, { columns: ["b"] }).badRows).toEqual([]);
  });

  it("quotes that are not closed, or have text after them", () => {
    expect(csv('a,b\n"x"y,1\n').badRows[0]!.fault).toBe('text after the closing quote in column 1: "\\"x\\"y,1"');
    expect(csv('a,b\n1,2\n3,"4\n5,6\n').badRows).toEqual([
      { row: 1, place: "t:3", fault: 'a quote is not closed in column 2, which begins "\\"4\\n5,6"' },
    ]);
  });
});

describe("csv reads", () => {
  it("quoted cells with line ends, delimiters and doubled quotes, and the lines after them", () => {
    const table = csv('a,b\r\n"x\r\ny","1, ""2"""\r\nz,w,\r\n');
    expect(valuesOf(table, "a")).toEqual(["x\r\ny", ""]);
    expect(valuesOf(table, "b")).toEqual(['1, "2"', ""]);
    expect(table.badRows.map(({ place }) => place)).toEqual(["t:4"]);
  });

  it("a quote within a cell as text", () => {
    expect(valuesOf(csv('a,b\n5" pipe,x"y"\n'), "a")).toEqual(['5" pipe']);
  });

  it("a byte order mark, CR LF, a tab as delimiter, no line end at the end", () => {
    const table = csv("\ufeffa\tb\r\n1\tx, y\r\n2\tz", { delimiter: "\t" });
    expect(valuesOf(table, "a")).toEqual([1n, 2n]);
    expect(valuesOf(table, "b")).toEqual(["x, y", "z"]);
  });

  it("columns by number, or by the names given, where there is no header", () => {
    expect([...csv("1,x\n2,y\n", { header: false }).columns.keys()]).toEqual(["0", "1"]);
    expect([...csv('"1\r\n",x\n', { header: false }).columns.keys()]).toEqual(["0", "1"]);
    expect(valuesOf(csv("1,x\n2,y\n", { header: false, names: ["id", "city"] }), "id")).toEqual([1n, 2n]);
  });

  it("columns that are named as what every object has", () => {
    expect(valuesOf(csv("toString,__proto__,constructor\n1,2,3\n"), "constructor")).toEqual([3n]);
  });

  it("empty cells, and those that are said to be, as missing", () => {
    const table = csv("n,i,s\n1.5,1,a\n,,\nNA,NA,NA\nnan,2,b\n", { missing: ["NA"] });
    expect(valuesOf(table, "n")).toEqual([1.5, undefined, undefined, undefined]);
    expect(valuesOf(table, "i")).toEqual([1n, undefined, undefined, 2n]);
    expect(valuesOf(table, "s")).toEqual(["a", "", "", "b"]);
    expect(table.badRows).toEqual([]);
  });
});

describe("csv infers from the first rows", () => {
  const kindOf = (...cells: string[]) =>
    csv(`c,d\n${cells.map((cell) => `${cell},\n`).join("")}`).columns.get("c")!.kind;

  it.each([
    ["int64", ["1", "-5", "9223372036854775807"]],
    ["number", ["1", "2.5", "1e-3", "nan"]],
    ["string", ["007", "1"]],
    ["string", ["9223372036854775808"]],
    ["string", ["1", "x"]],
    ["string", [""]],
    ["int64", ["2001-01-01", "2001-01-01T10:00:00Z"]],
    ["string", ["2001-01-01", "5"]],
  ])("%s of %j", (kind, cells) => {
    expect(kindOf(...cells)).toBe(kind);
  });

  it("and a later cell of another type is bad", () => {
    const { badRows } = csv(`c\n${"1\n".repeat(1000)}2.5\n`);
    expect(badRows).toEqual([
      { row: 1000, place: "t:1002", fault: 'column "c" is "2.5"; expected an integer within ±2^63' },
    ]);
  });
});
