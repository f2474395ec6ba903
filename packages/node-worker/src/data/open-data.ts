/**
 * From a data spec to rows: all of them in memory where they fit, else a source that reads them block by block. Which
 * of the two depends on the data alone, so all workers of a job decide alike.
 */
import type { ColumnTable, DataSpec, FormatSpec, RowSource } from "@volary/core/data";
import { decodeTable } from "@volary/core/data";
import { concatTables, type TextFormatSpec } from "@volary/core/data/formats";
import { LIMITS } from "@volary/core/limits";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { openNpy, openNpySource, readNpy } from "./npy-files.ts";
import { closeFiles, onDisk, openFiles } from "./open-files.ts";
import { openParquet, readParquetFile } from "./parquet.ts";
import { openParquetSource } from "./parquet-source.ts";
import { badFile, type SourceFile } from "./source-file.ts";
import { openTextSource } from "./text-source.ts";
import { readText } from "./text-table.ts";
import { contentsOf, isPacked } from "./unpack.ts";

export interface OpenDataOptions {
  /** Where relative paths and `node_modules` are looked for, in this order. */
  baseDirs: readonly string[];
  /** Usually `columnsOf(spec)`. */
  columns: readonly string[];
  /** Bytes that are still read to memory whole; `LIMITS.dataInMemoryBytesMax` without it. */
  memory?: number | undefined;
  log?: ((message: string) => void) | undefined;
}

export type OpenedData = { kind: "memory"; table: ColumnTable } | { kind: "stream"; source: RowSource };

/**
 * Opens the files of `spec`. Bytes count as they lie on disk, packed text four times, Parquet as its decoded values.
 *
 * @throws {ClusterError} BAD_DATA: a file is missing, broken, denied, has changed, or lacks a column
 */
export async function openData(spec: DataSpec, o: OpenDataOptions): Promise<OpenedData> {
  const train = await openFiles(spec.files, o.baseDirs);
  const open: OpenFiles = { files: train, testFiles: undefined, folder: undefined };
  try {
    if (spec.test?.kind === "files") {
      open.testFiles = { from: train.length };
      open.files = [...train, ...(await openFiles(spec.test.files, o.baseDirs))];
    }
    const opened = await openFormat(spec, open, o);
    if (opened.kind === "memory") await closeAll(open);
    return opened;
  } catch (error) {
    await closeAll(open);
    throw error;
  }
}

interface OpenFiles {
  files: SourceFile[];
  /** The first of the files that are held out. */
  testFiles: { from: number } | undefined;
  /** Of unpacked and downloaded copies. */
  folder: string | undefined;
}

/** Text is packed to a quarter or a third of its bytes. */
const PACKED_TIMES = 4;
const VALUE_BYTES = 8;

async function openFormat(spec: DataSpec, open: OpenFiles, o: OpenDataOptions): Promise<OpenedData> {
  const { format } = spec;
  switch (format.kind) {
    case "csv":
    case "jsonl":
    case "libsvm":
      return openText(spec, format, open, o);
    case "parquet":
      return openParquets(open, o);
    case "npy":
      return openArrays(format, open, o);
    case "table": {
      const tables: ColumnTable[] = [];
      for (const file of open.files) tables.push(await readTable(file, o.columns));
      const from = open.testFiles?.from;
      const trainRows = tables.slice(0, from).reduce((rows, table) => rows + table.rows, 0);
      const own = tables[0]?.testFrom;
      return inMemory(concatTables(tables), from === undefined ? own : trainRows);
    }
    default:
      return format satisfies never;
  }
}

async function openText(
  spec: DataSpec,
  format: TextFormatSpec,
  open: OpenFiles,
  { columns, memory = LIMITS.dataInMemoryBytesMax, log }: OpenDataOptions,
): Promise<OpenedData> {
  if (open.files.some(({ bytes }) => bytes === undefined)) await copyToDisk(open, log);
  if (weightOf(open.files) <= memory) {
    const { table, ends } = await readText({ format, files: open.files, columns, badRowsMax: spec.badRowsMax });
    return inMemory(table, open.testFiles === undefined ? undefined : ends[open.testFiles.from - 1]);
  }
  await copyToDisk(open, log);
  log?.(`data: ${weightOf(open.files)} bytes are more than ${memory}; finding where rows begin`);
  const source = await openTextSource({
    format,
    files: open.files,
    columns,
    testFiles: open.testFiles,
    close: () => closeAll(open),
  });
  return { kind: "stream", source };
}

async function openParquets(
  open: OpenFiles,
  { columns, memory = LIMITS.dataInMemoryBytesMax, log }: OpenDataOptions,
): Promise<OpenedData> {
  if (open.files.some((file) => !file.hasSlices || isPacked(file.name))) await copyToDisk(open, log);
  let files = await Promise.all(open.files.map((file) => openParquet(file)));
  const rows = files.reduce((sum, file) => sum + file.rows, 0);
  if (rows * Math.max(1, columns.length) * VALUE_BYTES <= memory) {
    const tables: ColumnTable[] = [];
    for (const file of files) tables.push(await readParquetFile(file, columns));
    const trainRows = tables.slice(0, open.testFiles?.from).reduce((sum, table) => sum + table.rows, 0);
    return inMemory(concatTables(tables), open.testFiles === undefined ? undefined : trainRows);
  }
  if (open.files.some(({ isLocal }) => !isLocal)) {
    await copyToDisk(open, log);
    files = await Promise.all(open.files.map((file) => openParquet(file)));
  }
  const source = await openParquetSource({
    files,
    sources: open.files,
    columns,
    testFiles: open.testFiles,
    close: () => closeAll(open),
  });
  return { kind: "stream", source };
}

async function openArrays(
  format: Extract<FormatSpec, { kind: "npy" }>,
  open: OpenFiles,
  { columns, memory = LIMITS.dataInMemoryBytesMax, log }: OpenDataOptions,
): Promise<OpenedData> {
  if (open.files.some((file) => !file.hasSlices || isPacked(file.name))) await copyToDisk(open, log);
  const from = open.testFiles?.from;
  const train = await openNpy({ files: open.files.slice(0, from), names: format.columns, columns });
  if (from !== undefined) {
    const test = await openNpy({ files: open.files.slice(from), names: format.columns, columns });
    const tables = [await readNpy(train, 0, train.rows), await readNpy(test, 0, test.rows)];
    return inMemory(concatTables(tables), train.rows);
  }
  if (train.rows * train.rowBytes <= memory) return inMemory(await readNpy(train, 0, train.rows), undefined);
  if (open.files.some(({ isLocal }) => !isLocal)) {
    await copyToDisk(open, log);
    const copied = await openNpy({ files: open.files, names: format.columns, columns });
    return { kind: "stream", source: await openNpySource(copied, () => closeAll(open)) };
  }
  return { kind: "stream", source: await openNpySource(train, () => closeAll(open)) };
}

async function readTable(file: SourceFile, columns: readonly string[]): Promise<ColumnTable> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of contentsOf(file)) chunks.push(chunk);
  const table = decodeTable(new Uint8Array(Buffer.concat(chunks)));
  const absent = columns.find((name) => !table.columns.has(name));
  if (absent === undefined)
    return { ...table, columns: new Map(columns.map((name) => [name, table.columns.get(name)!])) };
  throw badFile(file.name, `no column "${absent}"; there are ${[...table.columns.keys()].join(", ")}`);
}

const weightOf = (files: readonly SourceFile[]): number =>
  files.reduce((sum, { name, bytes }) => sum + (bytes ?? 0) * (isPacked(name) ? PACKED_TIMES : 1), 0);

function inMemory(table: ColumnTable, testFrom: number | undefined): OpenedData {
  return { kind: "memory", table: testFrom === undefined ? table : { ...table, testFrom } };
}

async function copyToDisk(open: OpenFiles, log: OpenDataOptions["log"]): Promise<void> {
  const toCopy = open.files.filter((file) => !file.isLocal || isPacked(file.name));
  if (toCopy.length === 0) return;
  open.folder ??= await mkdtemp(path.join(tmpdir(), "volary-data-"));
  for (let number = 0; number < open.files.length; number++) {
    const file = open.files[number]!;
    if (!toCopy.includes(file)) continue;
    log?.(`data: ${file.name} is unpacked or downloaded to ${open.folder}, until the job ends`);
    open.files[number] = await onDisk(file, { folder: open.folder, number });
  }
}

async function closeAll({ files, folder }: OpenFiles): Promise<void> {
  await closeFiles(files);
  if (folder !== undefined) await rm(folder, { recursive: true, force: true });
}
