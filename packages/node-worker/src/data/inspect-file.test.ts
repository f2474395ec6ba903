import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { guessFormat } from "./guess-format.ts";
import { inspectFile } from "./inspect-file.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), "volary-inspect-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function inspect(name: string, bytes: string | Uint8Array, rowsMax = 1000) {
  await writeFile(path.join(folder, name), bytes);
  return inspectFile({ kind: "file", path: path.join(folder, name) }, { rowsMax, baseDirs: [] });
}

describe("inspectFile()", () => {
  it("refuses a JSON document, with the way to JSON Lines", async () => {
    await expect(inspect("whole.json", '[{"a": 1}]')).rejects.toThrow(
      "whole.json: a JSON array; write an object a line",
    );
  });

  it("says what the columns of a file hold", async () => {
    const text = "id,x,s,t\n9007199254740993,1.5,a,2001-01-01\n-5,,b,2001-01-02T10:00\n7,2.5,,2001-01-03\nbad\n";
    const report = await inspect("some.csv.gz", gzipSync(text));
    expect(report).toEqual({
      format: { kind: "csv", delimiter: ",", header: true, types: {}, missing: [] },
      rows: 4,
      isWhole: true,
      badRows: 1,
      firstBadRows: [`${path.join(folder, "some.csv.gz")}:5: 1 columns; expected 4`],
      columns: [
        {
          name: "id",
          type: "int64",
          missing: 1,
          distinct: 3,
          min: "-5",
          max: "9007199254740993",
          mean: expect.closeTo(3002399751580331.5, -3),
          examples: ["9007199254740993", "-5", "7"],
        },
        {
          name: "x",
          type: "number",
          missing: 2,
          distinct: 2,
          min: "1.5",
          max: "2.5",
          mean: 2,
          examples: ["1.5", "2.5"],
        },
        { name: "s", type: "string", missing: 2, distinct: 2, examples: ["a", "b"] },
        {
          name: "t",
          type: "timestamp",
          missing: 1,
          distinct: 3,
          min: "2001-01-01T00:00:00Z",
          max: "2001-01-03T00:00:00Z",
          examples: ["2001-01-01T00:00:00Z", "2001-01-02T10:00:00Z", "2001-01-03T00:00:00Z"],
        },
      ],
    });
  });

  it("looks at as many rows as it is asked to", async () => {
    const report = await inspect("long.jsonl", Array.from({ length: 50 }, (_, i) => `{"l": [${i}, 1]}\n`).join(""), 10);
    expect([report.rows, report.isWhole]).toEqual([10, false]);
    expect(report.columns).toEqual([
      { name: "l", type: "int64[]", missing: 0, distinct: 10, min: "2", max: "2", mean: 2, examples: ["0", "1", "2"] },
    ]);
  });
});

describe("guessFormat()", () => {
  const guess = (name: string, text: string) => guessFormat(name, new TextEncoder().encode(text));

  it.each([
    ["x.bin", "PAR1....", { kind: "parquet" }],
    ["x", '{"a": 1}\n', { kind: "jsonl", types: {} }],
    ["x.ndjson.zst", "", { kind: "jsonl", types: {} }],
    ["x.txt", "-1 qid:3 1:0.5 7:1e3\n", { kind: "libsvm" }],
    ["x.csv", "a;b\n1,5;2\n", { kind: "csv", delimiter: ";", header: true }],
    ["x.tsv.gz", "a\tb\n", { kind: "csv", delimiter: "\t", header: true }],
    ["x.csv", "1,2,3\n", { kind: "csv", delimiter: ",", header: false }],
    ["x.csv", "a,a\n", { kind: "csv", delimiter: ",", header: false }],
  ])("takes %s with %j for what it is", (name, text, format) => {
    expect(guess(name, text)).toMatchObject(format);
  });
});
