/** What a data file holds, column by column, for somebody who sees it for the first time. */
import {
  decodeTable,
  type Column,
  type ColumnTable,
  type ColumnType,
  type FileSpec,
  type FormatSpec,
} from "@volary/core/data";
import { pickRows } from "@volary/core/data/formats";
import { columnReport, type ColumnReport } from "./column-report.ts";
import { guessFormat } from "./guess-format.ts";
import { openNpy, readNpy } from "./npy-files.ts";
import { closeFiles, openFiles } from "./open-files.ts";
import { openParquet } from "./parquet.ts";
import { badFile, type SourceFile } from "./source-file.ts";
import { headOf, readText } from "./text-table.ts";
import { contentsOf } from "./unpack.ts";

export interface FileReport {
  format: FormatSpec;
  /** Rows that were looked at, from the first, and whether these are all. */
  rows: number;
  isWhole: boolean;
  badRows: number;
  /** Place and fault of the first of them. */
  firstBadRows: string[];
  columns: ColumnReport[];
}

interface Rows {
  table: ColumnTable;
  /** Of the columns, where the file says more than the table. */
  types: ReadonlyMap<string, ColumnType>;
  isWhole: boolean;
}

/**
 * @param o.rowsMax rows to look at
 * @throws {ClusterError} BAD_DATA: no such file, or it cannot be read
 */
export async function inspectFile(
  spec: FileSpec,
  { rowsMax, baseDirs }: { rowsMax: number; baseDirs: readonly string[] },
): Promise<FileReport> {
  const files = await openFiles([spec], baseDirs);
  try {
    const contents = contentsOf(files[0]!);
    const { sample } = await headOf(contents);
    await contents.return(undefined);
    const format = guessFormat(files[0]!.name, sample);
    if (format.kind === "jsonl" && /^\s*\[/.test(new TextDecoder().decode(sample.subarray(0, 100)))) {
      throw badFile(files[0]!.name, "a JSON array; write an object a line with: jq -c '.[]' file.json > file.jsonl");
    }
    const { table, types, isWhole } = await readRows(files, format, rowsMax);
    const badRows = table.badRows ?? [];
    return {
      format,
      rows: table.rows,
      isWhole,
      badRows: badRows.length,
      firstBadRows: badRows.slice(0, 3).map(({ place, fault }) => `${place}: ${fault}`),
      columns: Array.from(table.columns, ([name, column]) => columnReport(name, column, types.get(name))),
    };
  } finally {
    await closeFiles(files);
  }
}

async function readRows(files: readonly SourceFile[], format: FormatSpec, rowsMax: number): Promise<Rows> {
  const [file] = files;
  switch (format.kind) {
    case "csv":
    case "jsonl":
    case "libsvm": {
      const { table, ends, format: opened } = await readText({ format, files, badRowsMax: Infinity, rowsMax });
      const types = new Map(opened.columns.map(({ name, type }) => [name, type]));
      return { table, types, isWhole: ends.length === files.length && table.rows < rowsMax };
    }
    case "parquet":
      return readParquetRows(file!, rowsMax);
    case "npy": {
      const npy = await openNpy({ files: [file!], names: format.columns });
      const rows = Math.min(npy.rows, rowsMax);
      return { table: await readNpy(npy, 0, rows), types: new Map(), isWhole: rows === npy.rows };
    }
    case "table": {
      const table = decodeTable(await file!.slice(0, file!.bytes!));
      return { table, types: new Map(), isWhole: true };
    }
    default:
      return format satisfies never;
  }
}

/** The first row group: it is decoded whole anyway. */
async function readParquetRows(file: SourceFile, rowsMax: number): Promise<Rows> {
  const parquet = await openParquet(file);
  const group = parquet.groups.findIndex((rows) => rows > 0);
  if (group < 0) throw badFile(parquet.name, "no rows");
  const rows = Math.min(parquet.groups[group]!, rowsMax);
  const wanted = Uint32Array.from({ length: rows }, (_, row) => row);
  const columns = new Map<string, Column>();
  const types = new Map<string, ColumnType>();
  for (const name of parquet.names) {
    // A column of a sort that cannot be trained on is left out, as it would be of a job.
    const column = await parquet.column(name, group).catch(() => undefined);
    if (column === undefined) continue;
    columns.set(name, pickRows(column, wanted));
    if (parquet.instants.has(name)) types.set(name, "timestamp");
  }
  return { table: { rows, columns }, types, isWhole: rows === parquet.rows };
}
