import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ClusterError } from "../../errors.ts";
import type { ColumnType } from "../spec/data-spec.ts";
import { isoText } from "./test-instants.ts";
import { csvFormat, readText, valuesOf } from "./test-text.ts";
import type { TextFormatSpec } from "./text-format.ts";

const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
const finite = fc.double({ noDefaultInfinity: true, noNaN: true }).map((value) => (value === 0 ? 0 : value));
/** Quotes, delimiters and line ends come often. */
const text = fc.string({
  unit: fc.oneof(
    fc.constantFrom('"', ",", "\n", "\r", " ", "a", "1", "é"),
    fc.string({ unit: "grapheme", minLength: 1, maxLength: 1 }),
  ),
  maxLength: 12,
});
const cuts = fc.array(fc.nat(400), { maxLength: 8 });

const types = { i: "int64", n: "number", s: "string", t: "timestamp" } as const satisfies Record<string, ColumnType>;
const micros = fc
  .integer({ min: -62_135_596_800, max: 253_402_300_799 })
  .map((seconds) => BigInt(seconds) * 1_000_000n);
const row = fc.record({
  i: fc.option(int64, { nil: undefined }),
  n: fc.option(finite, { nil: undefined }),
  s: text,
  t: fc.option(micros, { nil: undefined }),
});
type Row = { i: bigint | undefined; n: number | undefined; s: string; t: bigint | undefined };
const rows = fc.array(row, { minLength: 1, maxLength: 8 });

const asCsv = (value: Row, lineEnd: string): string =>
  `${[value.i ?? "", value.n ?? "", `"${value.s.replaceAll('"', '""')}"`, value.t === undefined ? "" : isoText(value.t)].join(",")}${lineEnd}`;

const expected = (all: readonly Row[]) => ({
  i: all.map(({ i }) => i),
  n: all.map(({ n }) => n),
  s: all.map(({ s }) => s),
  t: all.map(({ t }) => t),
});

function expectRows(format: TextFormatSpec, bytes: string, all: readonly Row[], at: readonly number[]): void {
  const table = readText(format, bytes, { cuts: at, columns: ["s", "t", "i", "n"] });
  expect(table.badRows).toEqual([]);
  expect(Object.fromEntries(["i", "n", "s", "t"].map((name) => [name, valuesOf(table, name)]))).toEqual(expected(all));
}

describe("any table is read back as it was written, wherever its chunks are cut", () => {
  it("as csv", () => {
    fc.assert(
      fc.property(rows, cuts, fc.constantFrom("\n", "\r\n"), fc.boolean(), (all, at, lineEnd, isEnded) => {
        const body = all.map((each) => asCsv(each, lineEnd)).join("");
        const bytes = `i,n,s,t${lineEnd}${isEnded ? body : body.slice(0, -lineEnd.length)}`;
        expectRows(csvFormat({ types }), bytes, all, at);
      }),
    );
  });

  it("as jsonl, its members in any order", () => {
    const ordered = fc.tuple(rows, fc.shuffledSubarray(["i", "n", "s", "t"] as const, { minLength: 4 }), cuts);
    fc.assert(
      fc.property(ordered, ([all, names, at]) => {
        const bytes = all.map((each) => {
          const cells = {
            i: String(each.i ?? null),
            n: String(each.n ?? null),
            s: JSON.stringify(each.s),
            t: each.t === undefined ? "null" : `"${isoText(each.t)}"`,
          };
          return `{${names.map((name) => `"${name}" : ${cells[name]}`).join(",")}, "more": [{"x": "\\n"}]}\n`;
        });
        expectRows({ kind: "jsonl", types }, bytes.join(""), all, at);
      }),
    );
  });

  it("as jsonl with lists", () => {
    const lists = fc.array(
      fc.record({
        a: fc.array(int64, { maxLength: 4 }),
        b: fc.array(finite, { maxLength: 4 }),
        c: fc.array(text, { maxLength: 4 }),
      }),
      { minLength: 1, maxLength: 6 },
    );
    fc.assert(
      fc.property(lists, cuts, (all, at) => {
        const lines = all.map(({ a, b, c }) => `{"a":[${a.join(", ")}],"b":[${b.join(",")}],"c":${JSON.stringify(c)}}`);
        const format = { kind: "jsonl", types: { a: "int64[]", b: "number[]", c: "string[]" } } as const;
        const table = readText(format, lines.join("\n"), { cuts: at });
        expect(table.badRows).toEqual([]);
        for (const name of ["a", "b", "c"] as const) {
          expect(valuesOf(table, name)).toEqual(all.map((each) => each[name]));
        }
      }),
    );
  });

  it("as libsvm", () => {
    const samples = fc.array(
      fc.record({ label: finite, pairs: fc.array(fc.tuple(int64, finite), { maxLength: 5 }), qid: fc.option(int64) }),
      { minLength: 1, maxLength: 6 },
    );
    fc.assert(
      fc.property(samples, cuts, (all, at) => {
        const lines = all.map(
          ({ label, pairs, qid }) =>
            `${[label, ...(qid === null ? [] : [`qid:${qid}`]), ...pairs.map(([i, v]) => `${i}:${v}`)].join(" ")} # note 1:x`,
        );
        const table = readText({ kind: "libsvm" }, lines.join("\n"), { cuts: at });
        expect(table.badRows).toEqual([]);
        expect(valuesOf(table, "label")).toEqual(all.map(({ label }) => label));
        expect(valuesOf(table, "qid")).toEqual(all.map(({ qid }) => qid ?? undefined));
        expect(valuesOf(table, "indices")).toEqual(all.map(({ pairs }) => pairs.map(([index]) => index)));
        expect(valuesOf(table, "values")).toEqual(all.map(({ pairs }) => pairs.map(([, value]) => value)));
      }),
    );
  });
});

describe("broken text ends in rows, bad rows or an error that names the file", () => {
  const formats: TextFormatSpec[] = [
    csvFormat(),
    csvFormat({ header: false }),
    { kind: "jsonl", types: {} },
    { kind: "libsvm" },
  ];

  function columnsAreWhole(format: TextFormatSpec, bytes: Uint8Array, at: readonly number[]): void {
    let table;
    try {
      table = readText(format, bytes, { cuts: at });
    } catch (error) {
      expect(error).toBeInstanceOf(ClusterError);
      expect((error as Error).message).toMatch(/^t[: ]/);
      return;
    }
    for (const name of table.columns.keys()) expect(valuesOf(table, name)).toHaveLength(table.rows);
    for (const { row: bad } of table.badRows) expect(bad).toBeLessThan(table.rows);
  }

  it("whatever the bytes are", () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      text.map((value) => new TextEncoder().encode(value)),
    );
    fc.assert(fc.property(fc.constantFrom(...formats), bytes, cuts, columnsAreWhole), { numRuns: 1000 });
  });

  it("at every truncation of a csv file, and the rows before it are as they were", () => {
    const whole = new TextEncoder().encode('i,s\n1,"a\n""b"""\n22,"é,"\r\n333,c\n');
    const all = readText(csvFormat({ types: { i: "int64", s: "string" } }), whole);
    expect(valuesOf(all, "s")).toEqual(['a\n"b"', "é,", "c"]);
    const ends = [16, 26, 32];
    for (let length = 4; length <= whole.length; length++) {
      const cut = readText(csvFormat({ types: { i: "int64", s: "string" } }), whole.subarray(0, length));
      const complete = ends.filter((end) => length >= end).length;
      expect(valuesOf(cut, "s").slice(0, complete)).toEqual(valuesOf(all, "s").slice(0, complete));
      expect(cut.rows).toBeLessThanOrEqual(complete + 1);
    }
  });

  it("at every truncation of a jsonl file", () => {
    const whole = new TextEncoder().encode('{"i": 12, "s": "a\\u00e9\\n", "l": [1, 2]}\n{"i": 3, "s": "", "l": []}');
    const firstEnd = whole.indexOf(10);
    const format = { kind: "jsonl", types: { i: "int64", s: "string", l: "int64[]" } } as const;
    for (let length = 0; length < whole.length; length++) {
      const isWhole = length === 0 || length === firstEnd || length === firstEnd + 1;
      expect(readText(format, whole.subarray(0, length)).badRows).toHaveLength(isWhole ? 0 : 1);
    }
  });
});
