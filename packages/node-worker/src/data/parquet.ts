/**
 * Parquet to columns: one column of one row group at a time, so that beside the result only one decoded chunk is
 * held. Decoding is hyparquet's (https://github.com/hyparam/hyparquet), all compressions included.
 *
 * | Parquet                                    | column   |
 * |--------------------------------------------|----------|
 * | INT64, plain                               | `int64`, unsigned ones modulo 2^64 |
 * | timestamps of any unit, INT96, DATE        | `int64`, microseconds since 1970 |
 * | INT32, FLOAT, DOUBLE, FLOAT16, DECIMAL, BOOLEAN | `number` |
 * | strings, enums                             | `string` |
 * | lists of these                             | `list`   |
 *
 * Nulls are missing values, null lists empty ones. Other sorts (maps, structs, JSON, raw bytes) are refused.
 */
import { didYouMean, type Column, type ColumnTable } from "@volary/core/data";
import { concatTables } from "@volary/core/data/formats";
import { parquetMetadataAsync, parquetRead, type AsyncBuffer, type FileMetaData, type SchemaElement } from "hyparquet";
import { compressors } from "hyparquet-compressors";
import { badFile, localFile, messageOf, type SourceFile } from "./source-file.ts";

/** Row numbers are u32. */
const ROWS_MAX = 0xffff_ffff;

export interface ParquetFile {
  readonly name: string;
  readonly rows: number;
  /** Its columns, those included that cannot be read. */
  readonly names: readonly string[];
  /** Those that hold points in time. */
  readonly instants: ReadonlySet<string>;
  /** Rows of each row group. */
  readonly groups: readonly number[];
  /**
   * One column of one row group.
   *
   * @throws {ClusterError} BAD_DATA: no such column, one of a sort that cannot be read, or broken bytes
   */
  column(name: string, group: number): Promise<Column>;
}

/**
 * @param columns the columns to read; the others cost nothing
 * @throws {ClusterError} BAD_DATA: not a Parquet file, truncated, a column missing or of a sort that cannot be read
 */
export async function readParquet(path: string, { columns }: { columns: readonly string[] }): Promise<ColumnTable> {
  const file = await localFile(path);
  try {
    return await readParquetFile(await openParquet(file), columns);
  } finally {
    await file.close();
  }
}

export async function readParquetFile(file: ParquetFile, columns: readonly string[]): Promise<ColumnTable> {
  const table = new Map<string, Column>();
  for (const name of columns) {
    const groups: ColumnTable[] = [];
    for (let group = 0; group < file.groups.length; group++) {
      groups.push({ rows: file.groups[group]!, columns: new Map([[name, await file.column(name, group)]]) });
    }
    table.set(name, concatTables(groups).columns.get(name)!);
  }
  return { rows: file.rows, columns: table, placeOf: (row) => `${file.name}, row ${row}` };
}

/** @throws {ClusterError} BAD_DATA: not a Parquet file, truncated, or its footer is broken */
export async function openParquet(source: SourceFile): Promise<ParquetFile> {
  const { name } = source;
  if (!source.hasSlices)
    throw badFile(name, "Parquet is read in pieces, which this server does not give: download it first");
  const file: AsyncBuffer = {
    byteLength: source.bytes!,
    async slice(start, end = source.bytes!) {
      if (end > source.bytes!) {
        throw new RangeError(`bytes ${start} to ${end} lie past the end of the file, at ${source.bytes}`);
      }
      return (await source.slice(start, end)).buffer;
    },
  };
  const metadata = await metadataOf(file, name);
  const rows = Number(metadata.num_rows);
  if (rows > ROWS_MAX) throw badFile(name, `${rows} rows; at most ${ROWS_MAX} can be read: split the file`);
  const groups = metadata.row_groups.map((group) => Number(group.num_rows));
  const held = groups.reduce((sum, count) => sum + count, 0);
  if (held !== rows) {
    throw badFile(
      name,
      `broken footer: its row groups hold ${held} rows, and ${rows} are promised; copy or download it again`,
    );
  }
  const roots = topLevelColumns(metadata.schema);
  const starts = groups.map((_, group) => groups.slice(0, group).reduce((sum, count) => sum + count, 0));
  return {
    name,
    rows,
    names: roots.map(([root]) => root!.name),
    instants: new Set(roots.filter(([root]) => isInstant(root!)).map(([root]) => root!.name)),
    groups,
    async column(column, group) {
      const sort = sortOf(roots, { file: name, column });
      const chunks = await chunksOf({ file, metadata, name, column, rowStart: starts[group]!, rows: groups[group]! });
      return columnOf(sort, chunks, groups[group]!);
    },
  };
}

interface Sort {
  kind: "int64" | "number" | "string";
  isList: boolean;
}

/** The schema is a tree in preorder, its root first: the elements of each column together. */
function topLevelColumns(schema: readonly SchemaElement[]): SchemaElement[][] {
  const columns: SchemaElement[][] = [];
  let at = 1;
  while (at < schema.length) {
    const column: SchemaElement[] = [];
    for (let open = 1; open > 0 && at < schema.length; at++) {
      column.push(schema[at]!);
      open += (schema[at]!.num_children ?? 0) - 1;
    }
    columns.push(column);
  }
  return columns;
}

function sortOf(roots: readonly SchemaElement[][], { file, column }: { file: string; column: string }): Sort {
  const elements = roots.find(([root]) => root!.name === column);
  if (elements === undefined) {
    const names = roots.map(([root]) => root!.name);
    throw badFile(
      file,
      `no column "${column}"; there are ${names.map((each) => `"${each}"`).join(", ")}.${didYouMean(column, names)}`,
    );
  }
  const [root] = elements;
  const leaf = elements.at(-1)!;
  const isChain = elements.every((element, i) => (element.num_children ?? 0) === (i === elements.length - 1 ? 0 : 1));
  const isListed = root!.converted_type === "LIST" || root!.logical_type?.type === "LIST";
  const repeated = elements.filter((element) => element.repetition_type === "REPEATED").length;
  const kind = kindOf(leaf);
  if (elements.length === 1 && repeated === 0 && kind !== undefined) return { kind, isList: false };
  if (isChain && repeated === 1 && (isListed || elements.length === 1) && kind !== undefined)
    return { kind, isList: true };
  const found = [root!.type ?? "a group", root!.logical_type?.type ?? root!.converted_type].filter(
    (word) => word !== undefined,
  );
  throw badFile(
    file,
    `column "${column}" is ${found.join(" ")}; expected numbers, timestamps, strings or lists of them: ` +
      "convert it before training",
  );
}

function isInstant({ type, converted_type: converted, logical_type: logical }: SchemaElement): boolean {
  const isTimestamp =
    converted === "TIMESTAMP_MILLIS" || converted === "TIMESTAMP_MICROS" || logical?.type === "TIMESTAMP";
  return isTimestamp || converted === "DATE" || type === "INT96";
}

function kindOf({ type, converted_type: converted, logical_type: logical }: SchemaElement): Sort["kind"] | undefined {
  if (converted === "UTF8" || converted === "ENUM" || logical?.type === "STRING" || logical?.type === "ENUM")
    return "string";
  if (converted === "DECIMAL" || logical?.type === "FLOAT16") return "number";
  if (converted === "DATE" || type === "INT64" || type === "INT96") return "int64";
  return type === "INT32" || type === "FLOAT" || type === "DOUBLE" || type === "BOOLEAN" ? "number" : undefined;
}

type Value = bigint | number | string | boolean | null | undefined;
type Chunk = ArrayLike<Value>;

/** Timestamps of every unit as microseconds, before dictionaries are dereferenced. */
const MICROSECONDS = {
  timestampFromMilliseconds: (millis: bigint) => millis * 1000n,
  timestampFromMicroseconds: (micros: bigint) => micros,
  timestampFromNanoseconds: (nanos: bigint) => nanos / 1000n,
  dateFromDays: (days: number) => BigInt(days) * 86_400_000_000n,
};

async function chunksOf(o: {
  file: AsyncBuffer;
  metadata: FileMetaData;
  name: string;
  column: string;
  rowStart: number;
  rows: number;
}): Promise<Chunk[]> {
  const { file, metadata, name, column, rowStart, rows } = o;
  const rowEnd = rowStart + rows;
  const chunks: Chunk[] = [];
  if (rows === 0) return chunks;
  await parquetRead({
    file,
    metadata,
    columns: [column],
    rowStart,
    rowEnd,
    compressors,
    parsers: MICROSECONDS,
    onChunk: (chunk) => chunks.push(chunk.columnData as Chunk),
  }).catch((cause: unknown) => {
    throw badFile(name, `column "${column}", rows ${rowStart} to ${rowEnd - 1}: ${messageOf(cause)}`, cause);
  });
  const taken = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  if (taken === rows) return chunks;
  throw badFile(name, `column "${column}": ${taken} values in rows ${rowStart} to ${rowEnd - 1}; expected ${rows}`);
}

function columnOf({ kind, isList }: Sort, chunks: readonly Chunk[], rows: number): Column {
  if (!isList) return scalarsOf(kind, chunks, rows);
  const offsets = new Uint32Array(rows + 1);
  const lists: Chunk[] = [];
  let row = 0;
  for (const chunk of chunks) {
    for (let i = 0; i < chunk.length; i++) {
      const list = (chunk[i] ?? []) as unknown as Chunk;
      lists.push(list);
      offsets[row + 1] = offsets[row]! + list.length;
      row++;
    }
  }
  return { kind: "list", offsets, elements: scalarsOf(kind, lists, offsets[rows]!) };
}

function scalarsOf(kind: Sort["kind"], chunks: readonly Chunk[], count: number): Exclude<Column, { kind: "list" }> {
  switch (kind) {
    case "int64":
      return int64sOf(chunks, count);
    case "number": {
      const values = new Float64Array(count);
      let at = 0;
      for (const chunk of chunks) {
        for (let i = 0; i < chunk.length; i++) {
          const value = chunk[i];
          values[at++] = value === null || value === undefined ? Number.NaN : Number(value);
        }
      }
      return { kind: "number", values };
    }
    case "string":
      return stringsOf(chunks, count);
    default:
      return kind satisfies never;
  }
}

function int64sOf(chunks: readonly Chunk[], count: number): Extract<Column, { kind: "int64" }> {
  const values = new BigInt64Array(count);
  let missing: Uint8Array | undefined;
  let at = 0;
  for (const chunk of chunks) {
    for (let i = 0; i < chunk.length; i++, at++) {
      const value = chunk[i];
      if (typeof value === "bigint") values[at] = value;
      else {
        missing ??= new Uint8Array(count);
        missing[at] = 1;
      }
    }
  }
  return { kind: "int64", values, ...(missing === undefined ? {} : { missing }) };
}

function stringsOf(chunks: readonly Chunk[], count: number): Extract<Column, { kind: "string" }> {
  const codes = new Uint32Array(count);
  const codeOf = new Map<string, number>();
  let lastValue: Value;
  let lastCode = -1;
  let at = 0;
  for (const chunk of chunks) {
    for (let i = 0; i < chunk.length; i++) {
      const value = chunk[i];
      if (value !== lastValue || lastCode < 0) {
        lastValue = value;
        lastCode = codeIn(codeOf, String(value ?? ""));
      }
      codes[at++] = lastCode;
    }
  }
  return { kind: "string", codes, dictionary: [...codeOf.keys()] };
}

function codeIn(codeOf: Map<string, number>, value: string): number {
  let code = codeOf.get(value);
  if (code === undefined) {
    code = codeOf.size;
    codeOf.set(value, code);
  }
  return code;
}

async function metadataOf(file: AsyncBuffer, name: string): Promise<FileMetaData> {
  const magic = file.byteLength >= 12 ? await textAt(file, 0) : "";
  if (magic !== "PAR1")
    throw badFile(name, `not a Parquet file: its ${file.byteLength} bytes do not begin with "PAR1"; check the path`);
  if ((await textAt(file, file.byteLength - 4)) !== "PAR1") {
    throw badFile(name, `truncated: its ${file.byteLength} bytes do not end with "PAR1"; copy or download it again`);
  }
  return parquetMetadataAsync(file).catch((cause: unknown) => {
    throw badFile(name, `broken footer (${messageOf(cause)}); copy or download it again`, cause);
  });
}

async function textAt(file: AsyncBuffer, start: number): Promise<string> {
  return String.fromCharCode(...new Uint8Array(await file.slice(start, start + 4)));
}
