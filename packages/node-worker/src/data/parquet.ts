/**
 * Parquet to columns: one column of one row group at a time, so that beside the result only one decoded chunk is
 * held. Decoding is hyparquet's (https://github.com/hyparam/hyparquet), all compressions included.
 *
 * | Parquet                                    | column   |
 * |--------------------------------------------|----------|
 * | INT64, plain                               | `int64`, unsigned ones modulo 2^64 |
 * | timestamps of any unit, INT96, DATE        | `int64`, microseconds since 1970 |
 * | INT32, FLOAT, DOUBLE, FLOAT16, DECIMAL, BOOLEAN | `number`; a null is NaN |
 * | strings, enums                             | `string`; a null is "" |
 *
 * Other sorts (lists, maps, JSON, raw bytes) are refused, and so is a null in an `int64` column.
 */
import { ClusterError } from "@volary/core";
import { didYouMean, type Column, type ColumnTable } from "@volary/core/data";
import { parquetMetadataAsync, parquetRead, type AsyncBuffer, type FileMetaData, type SchemaElement } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { open, type FileHandle } from "node:fs/promises";

/** Row numbers are u32. */
const ROWS_MAX = 0xffff_ffff;

/**
 * @param columns the columns to read; the others cost nothing
 * @throws {ClusterError} BAD_DATA: not a Parquet file, truncated, a column missing or of a sort that cannot be read
 */
export async function readParquet(path: string, { columns }: { columns: readonly string[] }): Promise<ColumnTable> {
  const handle = await open(path).catch((cause: unknown) => {
    throw badFile(path, `cannot be opened: ${messageOf(cause)}`, cause);
  });
  try {
    const file = await bufferOf(handle);
    const metadata = await metadataOf(file, path);
    const rows = Number(metadata.num_rows);
    if (rows > ROWS_MAX) throw badFile(path, `${rows} rows; at most ${ROWS_MAX} can be read: split the file`);
    const table = new Map<string, Column>();
    for (const name of columns) table.set(name, await readColumn({ path, file, metadata, name, rows }));
    return { rows, columns: table };
  } finally {
    await handle.close();
  }
}

interface ColumnRequest {
  path: string;
  file: AsyncBuffer;
  metadata: FileMetaData;
  name: string;
  rows: number;
}

async function readColumn(request: ColumnRequest): Promise<Column> {
  const { rows } = request;
  const sort = columnSort(elementOf(request), request);
  switch (sort) {
    case "int64": {
      const values = new BigInt64Array(rows);
      await eachChunk(request, (chunk, start) => fillInt64s({ values, chunk, start, request }));
      return { kind: "int64", values };
    }
    case "number": {
      const values = new Float64Array(rows);
      await eachChunk(request, (chunk, start) => fillNumbers(values, chunk, start));
      return { kind: "number", values };
    }
    case "string": {
      const codes = new Uint32Array(rows);
      const codeOf = new Map<string, number>();
      await eachChunk(request, (chunk, start) => fillCodes({ codes, codeOf, chunk, start }));
      return { kind: "string", codes, dictionary: [...codeOf.keys()] };
    }
    default:
      return sort satisfies never;
  }
}

function elementOf({ path, metadata, name }: ColumnRequest): SchemaElement {
  const columns = topLevelColumns(metadata.schema);
  const element = columns.find((candidate) => candidate.name === name);
  if (element !== undefined) return element;
  const names = columns.map((candidate) => candidate.name);
  throw badFile(
    path,
    `no column "${name}"; there are ${names.map((each) => `"${each}"`).join(", ")}.${didYouMean(name, names)}`,
  );
}

/** The schema is a tree in preorder, its root first. */
function topLevelColumns(schema: readonly SchemaElement[]): SchemaElement[] {
  const columns: SchemaElement[] = [];
  let at = 1;
  while (at < schema.length) {
    columns.push(schema[at]!);
    let open = 1;
    for (; open > 0 && at < schema.length; at++) open += (schema[at]!.num_children ?? 0) - 1;
  }
  return columns;
}

function columnSort(element: SchemaElement, { path, name }: ColumnRequest): Column["kind"] {
  const { type, converted_type: converted, logical_type: logical } = element;
  const isFlat = element.num_children === undefined && element.repetition_type !== "REPEATED";
  const isString =
    converted === "UTF8" || converted === "ENUM" || logical?.type === "STRING" || logical?.type === "ENUM";
  if (isFlat && isString) return "string";
  if (isFlat && (converted === "DECIMAL" || logical?.type === "FLOAT16")) return "number";
  if (isFlat && (converted === "DATE" || type === "INT64" || type === "INT96")) return "int64";
  if (isFlat && (type === "INT32" || type === "FLOAT" || type === "DOUBLE" || type === "BOOLEAN")) return "number";
  const found = [type ?? "a group", logical?.type ?? converted].filter((word) => word !== undefined).join(" ");
  throw badFile(
    path,
    `column "${name}" is ${found}; expected numbers, timestamps or strings: convert it before training`,
  );
}

type Chunk = ArrayLike<bigint | number | string | boolean | null | undefined>;

/** Timestamps of every unit as microseconds, before dictionaries are dereferenced. */
const MICROSECONDS = {
  timestampFromMilliseconds: (millis: bigint) => millis * 1000n,
  timestampFromMicroseconds: (micros: bigint) => micros,
  timestampFromNanoseconds: (nanos: bigint) => nanos / 1000n,
  dateFromDays: (days: number) => BigInt(days) * 86_400_000_000n,
};

async function eachChunk(request: ColumnRequest, take: (chunk: Chunk, start: number) => void): Promise<void> {
  const { path, file, metadata, name, rows } = request;
  let rowStart = 0;
  for (const group of metadata.row_groups) {
    const rowEnd = rowStart + Number(group.num_rows);
    let taken = 0;
    const chunks: { columnData: Chunk; rowStart: number }[] = [];
    await parquetRead({
      file,
      metadata,
      columns: [name],
      rowStart,
      rowEnd,
      compressors,
      parsers: MICROSECONDS,
      onChunk: (chunk) => chunks.push(chunk),
    }).catch((cause: unknown) => {
      throw badFile(path, `column "${name}", rows ${rowStart} to ${rowEnd - 1}: ${messageOf(cause)}`, cause);
    });
    for (const chunk of chunks) {
      take(chunk.columnData, chunk.rowStart);
      taken += chunk.columnData.length;
    }
    if (taken !== rowEnd - rowStart) {
      throw badFile(
        path,
        `column "${name}": ${taken} values in rows ${rowStart} to ${rowEnd - 1}; expected ${rowEnd - rowStart}`,
      );
    }
    rowStart = rowEnd;
  }
  if (rowStart !== rows)
    throw badFile(
      path,
      `broken footer: its row groups hold ${rowStart} rows, and ${rows} are promised; copy or download it again`,
    );
}

function fillInt64s(fill: { values: BigInt64Array; chunk: Chunk; start: number; request: ColumnRequest }): void {
  const { values, chunk, start, request } = fill;
  for (let i = 0; i < chunk.length; i++) {
    const value = chunk[i];
    if (typeof value !== "bigint") {
      throw badFile(
        request.path,
        `column "${request.name}", row ${start + i} is null; fill or drop missing integers before training`,
      );
    }
    values[start + i] = value;
  }
}

function fillNumbers(values: Float64Array, chunk: Chunk, start: number): void {
  for (let i = 0; i < chunk.length; i++) {
    const value = chunk[i];
    values[start + i] = value === null || value === undefined ? Number.NaN : Number(value);
  }
}

function fillCodes(fill: { codes: Uint32Array; codeOf: Map<string, number>; chunk: Chunk; start: number }): void {
  const { codes, codeOf, chunk, start } = fill;
  let lastValue: Chunk[number] = undefined;
  let lastCode = 0;
  for (let i = 0; i < chunk.length; i++) {
    const value = chunk[i];
    if (value !== lastValue || i === 0) {
      lastValue = value;
      lastCode = codeIn(codeOf, String(value ?? ""));
    }
    codes[start + i] = lastCode;
  }
}

function codeIn(codeOf: Map<string, number>, value: string): number {
  let code = codeOf.get(value);
  if (code === undefined) {
    code = codeOf.size;
    codeOf.set(value, code);
  }
  return code;
}

async function metadataOf(file: AsyncBuffer, path: string): Promise<FileMetaData> {
  const magic = file.byteLength >= 12 ? await textAt(file, 0) : "";
  if (magic !== "PAR1")
    throw badFile(path, `not a Parquet file: its ${file.byteLength} bytes do not begin with "PAR1"; check the path`);
  if ((await textAt(file, file.byteLength - 4)) !== "PAR1") {
    throw badFile(path, `truncated: its ${file.byteLength} bytes do not end with "PAR1"; copy or download it again`);
  }
  return parquetMetadataAsync(file).catch((cause: unknown) => {
    throw badFile(path, `broken footer (${messageOf(cause)}); copy or download it again`, cause);
  });
}

async function textAt(file: AsyncBuffer, start: number): Promise<string> {
  return String.fromCharCode(...new Uint8Array(await file.slice(start, start + 4)));
}

async function bufferOf(handle: FileHandle): Promise<AsyncBuffer> {
  const { size } = await handle.stat();
  return {
    byteLength: size,
    async slice(start, end = size) {
      const bytes = new Uint8Array(end - start);
      let filled = 0;
      while (filled < bytes.length) {
        const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, start + filled);
        if (bytesRead === 0) throw new RangeError(`bytes ${start} to ${end} lie past the end of the file, at ${size}`);
        filled += bytesRead;
      }
      return bytes.buffer;
    },
  };
}

function badFile(path: string, what: string, cause?: unknown): ClusterError {
  return new ClusterError("BAD_DATA", `${path}: ${what}`, cause === undefined ? undefined : { cause });
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
