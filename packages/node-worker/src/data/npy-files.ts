/** NumPy arrays, a file a column, read whole or, where they are larger than memory, in blocks of rows. */
import type { Column, ColumnTable, RowSource } from "@volary/core/data";
import { npyColumn, npyHeader, NPY_HEADER_BYTES_MAX, type NpyHeader } from "@volary/core/data/formats";
import { didYouMean } from "@volary/core/data";
import { blockSource, tableGatherer } from "./block-source.ts";
import { fingerprintOfFiles } from "./fingerprint-files.ts";
import { badFile, type SourceFile } from "./source-file.ts";

export interface NpyFiles {
  rows: number;
  /** Bytes of a row over all columns. */
  rowBytes: number;
  columns: ReadonlyMap<string, { file: SourceFile; header: NpyHeader }>;
}

const BLOCK_BYTES = 512 * 1024;
const WINDOW_BLOCKS = 128;

/**
 * @param names the column of each file, in order
 * @param columns those to read
 * @throws {ClusterError} BAD_DATA: not npy, arrays of different lengths, no such column, as many names as files
 */
export async function openNpy(o: {
  files: readonly SourceFile[];
  names: readonly string[];
  columns?: readonly string[] | undefined;
}): Promise<NpyFiles> {
  const { files, names, columns = names } = o;
  if (files.length !== names.length) {
    throw badFile(files[0]!.name, `${files.length} npy files for ${names.length} columns: name one file a column`);
  }
  const opened: NpyFiles["columns"] = new Map(
    await Promise.all(
      columns.map(async (column) => {
        const file = files[names.indexOf(column)];
        if (file === undefined) {
          const there = names.map((name) => `"${name}"`).join(", ");
          throw badFile(files[0]!.name, `no column "${column}"; there are ${there}.${didYouMean(column, names)}`);
        }
        const head = await file.slice(0, Math.min(file.bytes!, NPY_HEADER_BYTES_MAX));
        return [column, { file, header: npyHeader(head, file.bytes!, file.name) }] as const;
      }),
    ),
  );
  const [first, ...others] = opened.values();
  for (const { file, header } of others) {
    if (header.rows === first!.header.rows) continue;
    throw badFile(file.name, `${header.rows} rows, where ${first!.file.name} has ${first!.header.rows}`);
  }
  const rowBytes = [...opened.values()].reduce((sum, { header }) => sum + header.width * header.elementBytes, 0);
  return { rows: first?.header.rows ?? 0, rowBytes, columns: opened };
}

/** Rows [from, to). */
export async function readNpy(npy: NpyFiles, from: number, to: number): Promise<ColumnTable> {
  const columns = new Map<string, Column>();
  for (const [name, { file, header }] of npy.columns) {
    const bytes = header.width * header.elementBytes;
    const data = await file.slice(header.dataFrom + from * bytes, header.dataFrom + to * bytes);
    columns.set(name, npyColumn(header, data));
  }
  const [first] = npy.columns.values();
  return { rows: to - from, columns, placeOf: (row) => `${first!.file.name}, row ${from + row}` };
}

export async function openNpySource(npy: NpyFiles, close: () => Promise<void>): Promise<RowSource> {
  const blockRows = Math.max(1, Math.floor(BLOCK_BYTES / Math.max(1, npy.rowBytes)));
  return blockSource<ColumnTable>({
    rows: npy.rows,
    fingerprint: await fingerprintOfFiles([...npy.columns.values()].map(({ file }) => file)),
    testFrom: undefined,
    blockRows,
    windowBlocks: WINDOW_BLOCKS,
    load: (block) => readNpy(npy, block * blockRows, Math.min(npy.rows, (block + 1) * blockRows)),
    gatherer: tableGatherer,
    close,
  });
}
