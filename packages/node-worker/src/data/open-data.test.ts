import {
  csv,
  dataSpecSchema,
  encodeTable,
  tableOf,
  type Column,
  type ColumnTable,
  type DataSpec,
  type FormatSpec,
  type RowSource,
} from "@volary/core/data";
import { pickRows } from "@volary/core/data/formats";
import { parquetWriteBuffer } from "hyparquet-writer";
import { appendFile, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import { openData, type OpenedData } from "./open-data.ts";

let root: string;
const at = (...parts: string[]): string => path.join(root, ...parts);

beforeAll(async () => {
  root = await mkdtemp(path.join(tmpdir(), "volary-open-data-"));
});
afterAll(() => rm(root, { recursive: true }));

const CSV: FormatSpec = { kind: "csv", delimiter: ",", header: true, types: {}, missing: [] };

async function specOf(
  format: FormatSpec,
  files: Record<string, string | Uint8Array>,
  test: string[] = [],
): Promise<DataSpec> {
  for (const [name, bytes] of Object.entries(files)) {
    await mkdir(path.dirname(at(name)), { recursive: true });
    await writeFile(at(name), bytes);
  }
  const specs = (names: string[]) => names.map((name) => ({ kind: "file" as const, path: name }));
  const train = Object.keys(files).filter((name) => !test.includes(name));
  return dataSpecSchema.parse({
    format,
    files: specs(train),
    fields: {},
    badRowsMax: 0,
    ...(test.length > 0 ? { test: { kind: "files", files: specs(test) } } : {}),
  });
}

const inMemory = async (spec: DataSpec, columns: string[]): Promise<ColumnTable> => {
  const opened = await openData(spec, { baseDirs: [root], columns });
  expect(opened.kind).toBe("memory");
  return (opened as Extract<OpenedData, { kind: "memory" }>).table;
};
const streamed = async (spec: DataSpec, columns: string[], log?: (message: string) => void): Promise<RowSource> => {
  const opened = await openData(spec, { baseDirs: [root], columns, memory: 0, log });
  expect(opened.kind).toBe("stream");
  return (opened as Extract<OpenedData, { kind: "stream" }>).source;
};

/** The column as values, so that dictionaries may differ. */
function plain(column: Column): unknown {
  if (column.kind === "string") return Array.from(column.codes, (code) => column.dictionary[code]);
  if (column.kind === "list") return [column.offsets, plain(column.elements)];
  return [column.values, column.kind === "int64" && column.missing?.includes(1) ? column.missing : []];
}

function expectSameRows(found: ColumnTable, table: ColumnTable, rows: Uint32Array): void {
  expect(found.rows).toBe(rows.length);
  for (const [name, column] of found.columns) {
    expect(plain(column), name).toEqual(plain(pickRows(table.columns.get(name)!, rows)));
  }
  for (const row of [0, rows.length - 1]) expect(found.placeOf?.(row)).toBe(table.placeOf?.(rows[row]!));
  const bad = new Map((table.badRows ?? []).map((each) => [each.row, each]));
  const expected = Array.from(rows, (row, i) => ({ bad: bad.get(row), i })).filter(
    ({ bad: each }) => each !== undefined,
  );
  expect(found.badRows ?? []).toEqual(expected.map(({ bad: each, i }) => ({ ...each, row: i })));
}

/** Rows all over the data, some twice. */
const spread = (rows: number): Uint32Array => Uint32Array.from({ length: 3000 }, (_, i) => (i * 7919) % rows);

async function expectSourceLike(spec: DataSpec, columns: string[]): Promise<void> {
  const table = await inMemory(spec, columns);
  const source = await streamed(spec, columns);
  expect([source.rows, source.testFrom]).toEqual([table.rows, table.testFrom]);
  expectSameRows(await source.read(spread(table.rows), columns), table, spread(table.rows));
  expectSameRows(
    await source.read(Uint32Array.of(table.rows - 1, 0), columns),
    table,
    Uint32Array.of(table.rows - 1, 0),
  );
  let from = 0;
  for await (const part of source.scan(columns.slice(0, 1))) {
    expect([...part.columns.keys()]).toEqual(columns.slice(0, 1));
    expectSameRows(
      part,
      table,
      Uint32Array.from({ length: part.rows }, (_, row) => from + row),
    );
    from += part.rows;
  }
  expect(from).toBe(table.rows);
  await expect(source.read(Uint32Array.of(table.rows), columns)).rejects.toThrow(RangeError);
  const again = await streamed(spec, columns);
  expect(again.fingerprint).toBe(source.fingerprint);
  await Promise.all([source.close(), again.close()]);
}

const longText = (row: number): string => "x".repeat(row % 97);
const csvRows = (from: number, to: number): string =>
  Array.from({ length: to - from }, (_, i) => {
    const row = from + i;
    if (row % 1009 === 5) return `${row},broken\r\n`;
    return `${row},${row % 3 === 0 ? "" : row / 8},"${longText(row)}\n""${row}"""\n${row % 50 === 0 ? "\n" : ""}`;
  }).join("");

describe("data larger than memory gives the rows that it would give in memory", () => {
  it("as csv of several files, with cells of several lines, bad rows and files held out", async () => {
    const header = "id,n,s\n";
    const files = {
      "csv/a.csv": `\ufeff${header}${csvRows(0, 9000)}`,
      "csv/b.csv": header,
      "csv/c.csv": `${header}${csvRows(9000, 9003)}`,
      "csv/d.csv": `${header}${csvRows(9003, 20_000).trimEnd()}`,
    };
    await expectSourceLike(await specOf(CSV, files, ["csv/d.csv"]), ["n", "id", "s"]);
  });

  it("as csv without a header, in one short file", async () => {
    await expectSourceLike(await specOf({ ...CSV, header: false }, { "short.csv": "1,a\n2,b\n3,c" }), ["1", "0"]);
  });

  it("as jsonl and libsvm", async () => {
    const lines = Array.from({ length: 20_000 }, (_, i) => `{"i": ${i}, "l": [${i}, 2], "s": "${longText(i)}"}\n`);
    await expectSourceLike(await specOf({ kind: "jsonl", types: {} }, { "a.jsonl": lines.join("") }), ["s", "l", "i"]);
    const pairs = Array.from({ length: 20_000 }, (_, i) => `${i % 2} 1:${i} ${i}:0.5\n`).join("");
    await expectSourceLike(await specOf({ kind: "libsvm" }, { "a.svm": pairs }), ["indices", "values", "label"]);
  });

  it("as Parquet of several files and row groups of different lengths", async () => {
    const parquet = (from: number, rows: number, rowGroupSize: number): Uint8Array =>
      new Uint8Array(
        parquetWriteBuffer({
          rowGroupSize,
          columnData: [
            { name: "i", data: Array.from({ length: rows }, (_, i) => BigInt(from + i)), type: "INT64" },
            {
              name: "x",
              data: Array.from({ length: rows }, (_, i) => (i % 5 === 0 ? null : i / 4)),
              type: "DOUBLE",
              nullable: true,
            },
            { name: "s", data: Array.from({ length: rows }, (_, i) => `s${i % 77}`), type: "STRING" },
          ],
        }),
      );
    const spec = await specOf(
      { kind: "parquet" },
      {
        "p/1.parquet": parquet(0, 5000, 1500),
        "p/2.parquet": parquet(5000, 700, 1000),
        "p/3.parquet": parquet(5700, 4000, 3000),
      },
      ["p/3.parquet"],
    );
    await expectSourceLike(spec, ["s", "i", "x"]);
  });

  it("as npy", async () => {
    const spec = await specOf(
      { kind: "npy", columns: ["ids", "pairs"] },
      {
        "ids.npy": npy(
          "<i8",
          "200000,",
          BigInt64Array.from({ length: 200_000 }, (_, i) => 2n ** 60n + BigInt(i)),
        ),
        "pairs.npy": npy(
          "<f4",
          "200000, 2",
          Float32Array.from({ length: 400_000 }, (_, i) => i),
        ),
      },
    );
    await expectSourceLike(spec, ["pairs", "ids"]);
  });
});

function npy(descr: string, shape: string, data: BigInt64Array | Float32Array): Uint8Array {
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${shape}), }\n`;
  return Buffer.concat([
    Buffer.from([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, text.length, 0]),
    Buffer.from(text),
    Buffer.from(data.buffer),
  ]);
}

describe("openData() refuses", () => {
  it("files that are missing, and columns that are", async () => {
    const spec = await specOf(CSV, { "here.csv": "a\n1\n" });
    const gone = { ...spec, files: [{ kind: "file" as const, path: "gone.csv" }] };
    await expect(openData(gone, { baseDirs: [root], columns: ["a"] })).rejects.toThrow('no file "gone.csv"');
    await expect(openData(spec, { baseDirs: [root], columns: ["b"] })).rejects.toThrow('no column "b"; there are "a".');
  });

  it("files with other columns than the first", async () => {
    const spec = await specOf(CSV, { "h/1.csv": "a,b\n1,2\n", "h/2.csv": "a,c\n1,2\n" });
    for (const memory of [undefined, 0]) {
      await expect(openData(spec, { baseDirs: [root], columns: ["a"], memory })).rejects.toThrow(
        `${at("h/2.csv")}:1: the header has column 2 "c", where ${at("h/1.csv")} has "b"`,
      );
    }
  });

  it("packed files that are cut off", async () => {
    const packed = gzipSync("a\n1\n".repeat(1000));
    const spec = await specOf(CSV, { "cut.csv.gz": packed.subarray(0, packed.length - 5) });
    await expect(openData(spec, { baseDirs: [root], columns: ["a"] })).rejects.toThrow(
      "cut.csv.gz: not a whole gzip file",
    );
  });

  it("thousands of bad rows, where few are allowed", async () => {
    const spec = await specOf(CSV, { "bad.csv": `a,b\n${"1\n".repeat(5000)}` });
    await expect(openData(spec, { baseDirs: [root], columns: ["a"] })).rejects.toThrow(
      `5000 of the first 5000 rows are bad, and badRowsMax is 0: ${at("bad.csv")}:2: 1 columns; expected 2`,
    );
  });

  it("npy files of different lengths, or not one a column", async () => {
    const short = npy("<f4", "1,", Float32Array.of(1));
    const long = npy("<f4", "2,", Float32Array.of(1, 2));
    const spec = await specOf({ kind: "npy", columns: ["x", "y"] }, { "n/1.npy": short, "n/2.npy": long });
    await expect(openData(spec, { baseDirs: [root], columns: ["x", "y"] })).rejects.toThrow(
      /2\.npy: 2 rows, where .* has 1/,
    );
    await expect(
      openData({ ...spec, files: spec.files.slice(1) }, { baseDirs: [root], columns: ["x"] }),
    ).rejects.toThrow("1 npy files for 2 columns");
  });

  it("a file that changes while it is read", async () => {
    const spec = await specOf(CSV, { "moving.csv": "a\n1\n2\n" });
    const source = await streamed(spec, ["a"]);
    await appendFile(at("moving.csv"), "3\n");
    await expect(source.read(Uint32Array.of(0), ["a"])).rejects.toThrow(
      `${at("moving.csv")}: changed while it was read`,
    );
    await source.close();
  });
});

describe("openData()", () => {
  it("reads packed files, in memory and, unpacked to a folder that is deleted at the end, as a stream", async () => {
    await mkdir(at("tmp"));
    vi.stubEnv("TMPDIR", at("tmp")); // others come and go in the machine's own
    onTestFinished(() => void vi.unstubAllEnvs());
    const text = `a,b\n${Array.from({ length: 5000 }, (_, i) => `${i},x${i}\n`).join("")}`;
    const files = { "z/1.csv.gz": gzipSync(text), "z/2.csv.zst": zstdCompressSync(text), "z/3.csv": text };
    const spec = await specOf(CSV, files);
    const table = await inMemory(spec, ["a"]);
    expect(table.rows).toBe(15_000);
    const said: string[] = [];
    const source = await streamed(spec, ["a"], (message) => said.push(message));
    expect(said.filter((message) => message.includes("is unpacked or downloaded to"))).toHaveLength(2);
    expect(await readdir(at("tmp"))).toHaveLength(1);
    const { columns } = await source.read(Uint32Array.of(14_999, 7, 5007), ["a"]);
    expect(columns.get("a")).toEqual({ kind: "int64", values: BigInt64Array.of(4999n, 7n, 7n) });
    await source.close();
    expect(await readdir(at("tmp"))).toEqual([]);
  });

  it("keeps the bytes' fingerprint, which one flipped byte changes", async () => {
    const one = await streamed(await specOf(CSV, { "f/1.csv": "a\n1\n2\n" }), ["a"]);
    const other = await streamed(await specOf(CSV, { "f/2.csv": "a\n1\n3\n" }), ["a"]);
    expect(one.fingerprint).toMatch(/^[0-9a-f]{32}$/);
    expect(other.fingerprint).not.toBe(one.fingerprint);
    await Promise.all([one.close(), other.close()]);
  });

  it("counts bytes on disk against the memory there is", async () => {
    const spec = await specOf(CSV, { "size.csv": "a\n1\n" });
    expect((await openData(spec, { baseDirs: [root], columns: ["a"], memory: 4 })).kind).toBe("memory");
    const opened = await openData(spec, { baseDirs: [root], columns: ["a"], memory: 3 });
    expect(opened.kind).toBe("stream");
    if (opened.kind === "stream") await opened.source.close();
  });

  it("reads tables that code handed in", async () => {
    const bytes = encodeTable(tableOf({ x: [1, 2], s: ["a", "b"] }));
    const table = await inMemory(await specOf({ kind: "table" }, { "t.vtbl": bytes }), ["x"]);
    expect([...table.columns.keys()]).toEqual(["x"]);
    expect(table.rows).toBe(2);
  });

  it("says where a row was read", async () => {
    const table = await inMemory(await specOf(CSV, { "w.csv": 'a\n1\n\n"2\n"\n3\n' }), ["a"]);
    expect([0, 1, 2].map((row) => table.placeOf!(row))).toEqual([2, 4, 6].map((line) => `${at("w.csv")}:${line}`));
  });

  it("takes what the builders make", async () => {
    await writeFile(at("made.csv"), "x,y\n1,2\n");
    expect((await inMemory(csv("made.csv", { fields: { x: "x" } }), ["x"])).rows).toBe(1);
  });
});
