/**
 * Parquet larger than memory. Row groups are what can be decoded, so blocks are as long as the longest of them; the
 * decoded columns of the groups used last stay, within a bound. Files of small row groups (up to 128 K rows) shuffle
 * best: more of them fit.
 */
import type { Column, ColumnTable, RowSource } from "@volary/core/data";
import { concatTables, pickRows } from "@volary/core/data/formats";
import { blockSource, tableGatherer } from "./block-source.ts";
import { fingerprintOfFiles } from "./fingerprint-files.ts";
import type { ParquetFile } from "./parquet.ts";
import type { SourceFile } from "./source-file.ts";

export interface ParquetSourceOptions {
  files: readonly ParquetFile[];
  sources: readonly SourceFile[];
  columns: readonly string[];
  testFiles: { from: number } | undefined;
  close: () => Promise<void>;
}

/** Of decoded columns, counted as 12 bytes a value. */
const CACHE_BYTES = 128 * 1024 * 1024;
const VALUE_BYTES = 12;
const WINDOW_BLOCKS_MAX = 128;
const BLOCK_ROWS_MIN = 1024;

export async function openParquetSource(o: ParquetSourceOptions): Promise<RowSource> {
  const groups = o.files.flatMap((file) => {
    let firstRow = 0;
    return file.groups.map((rows, group) => {
      const found = { file, group, rows, firstRow };
      firstRow += rows;
      return found;
    });
  });
  const starts = [0];
  for (const { rows } of groups) starts.push(starts.at(-1)! + rows);
  const rows = starts.at(-1)!;
  const blockRows = Math.max(BLOCK_ROWS_MIN, ...new Set(groups.map((group) => group.rows)));
  const blockBytes = blockRows * Math.max(1, o.columns.length) * VALUE_BYTES;
  const windowBlocks = Math.max(1, Math.min(WINDOW_BLOCKS_MAX, Math.floor(CACHE_BYTES / blockBytes)));
  const testFile = o.testFiles && o.files[o.testFiles.from];
  const testGroup = testFile === undefined ? -1 : groups.findIndex(({ file }) => file === testFile);
  // Where groups are not of one length, a block shares a group with its neighbour.
  const decoded = new Map<number, Promise<ReadonlyMap<string, Column>>>();
  const decode = (group: number): Promise<ReadonlyMap<string, Column>> => {
    const found = decoded.get(group) ?? decodeGroup(groups[group]!, o.columns);
    decoded.delete(group);
    decoded.set(group, found);
    if (decoded.size > 2) decoded.delete(decoded.keys().next().value!);
    return found;
  };
  return blockSource<ColumnTable>({
    rows,
    fingerprint: await fingerprintOfFiles(o.sources),
    testFrom: o.testFiles === undefined ? undefined : testGroup < 0 ? rows : starts[testGroup],
    blockRows,
    windowBlocks,
    async load(block) {
      const [from, to] = [block * blockRows, Math.min(rows, (block + 1) * blockRows)];
      const pieces: ColumnTable[] = [];
      for (let group = 0; group < groups.length && starts[group]! < to; group++) {
        if (starts[group + 1]! <= from) continue;
        const first = Math.max(0, from - starts[group]!);
        const count = Math.min(groups[group]!.rows, to - starts[group]!) - first;
        pieces.push(pieceOf(groups[group]!, await decode(group), { first, count }));
      }
      return concatTables(pieces);
    },
    gatherer: tableGatherer,
    close: o.close,
  });
}

interface Group {
  file: ParquetFile;
  group: number;
  rows: number;
  /** Row of the file that the group begins at. */
  firstRow: number;
}

async function decodeGroup({ file, group }: Group, names: readonly string[]): Promise<ReadonlyMap<string, Column>> {
  const columns = new Map<string, Column>();
  for (const name of names) columns.set(name, await file.column(name, group));
  return columns;
}

function pieceOf(
  { file, firstRow, rows }: Group,
  columns: ReadonlyMap<string, Column>,
  { first, count }: { first: number; count: number },
): ColumnTable {
  const placeOf = (row: number): string => `${file.name}, row ${firstRow + first + row}`;
  if (count === rows) return { rows, columns, placeOf };
  const wanted = Uint32Array.from({ length: count }, (_, row) => first + row);
  return {
    rows: count,
    columns: new Map(Array.from(columns, ([name, column]) => [name, pickRows(column, wanted)])),
    placeOf,
  };
}
