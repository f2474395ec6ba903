/**
 * CSV, JSON Lines and libsvm larger than memory. One pass over the bytes notes where each block of rows begins and
 * takes the fingerprint; from then on a block is read when rows of it are wanted, and only those rows are parsed.
 */
import type { RowSource } from "@volary/core/data";
import {
  openTextFormat,
  RecordSplitter,
  SAMPLE_BYTES,
  type RecordParser,
  type TextFormat,
  type TextFormatSpec,
} from "@volary/core/data/formats";
import { createHash } from "node:crypto";
import { blockSource, type RowGatherer } from "./block-source.ts";
import { badFile, type SourceFile } from "./source-file.ts";

export interface TextSourceOptions {
  format: TextFormatSpec;
  /** On this machine, unpacked. */
  files: readonly SourceFile[];
  columns: readonly string[];
  /** The first of the files that are held out. */
  testFiles: { from: number } | undefined;
  close: () => Promise<void>;
}

/** Bytes of a block, about, and how many blocks stay in memory: 32 MB of text. */
const BLOCK_BYTES = 256 * 1024;
const WINDOW_BLOCKS = 128;
const BLOCK_ROWS_MAX = 16_384;
/** Row numbers are u32. */
const ROWS_MAX = 0xffff_ffff;

/** @throws {ClusterError} BAD_DATA: a file cannot be read, or lacks a column */
export async function openTextSource(o: TextSourceOptions): Promise<RowSource> {
  const first = o.files[0]!;
  const sample = await first.slice(0, Math.min(first.bytes!, SAMPLE_BYTES));
  const format = openTextFormat({ format: o.format, sample, name: first.name, columns: o.columns });
  const blockRows = blockRowsOf(sample, format);
  const index = await indexOf(o, format, blockRows);
  return blockSource<TextBlock>({
    rows: index.rows,
    fingerprint: index.fingerprint,
    testFrom: o.testFiles === undefined ? undefined : index.firstRows[o.testFiles.from],
    blockRows,
    windowBlocks: WINDOW_BLOCKS,
    load: (block) => loadBlock({ files: o.files, format, index, block }),
    gatherer: gatherers(format),
    close: o.close,
  });
}

/** Where blocks begin. */
interface TextIndex {
  rows: number;
  fingerprint: string;
  /** Per file: its first row. */
  firstRows: number[];
  /** Per block: its file, the byte and the line it begins at. */
  starts: { file: number; offset: number; line: number }[];
}

interface TextBlock {
  bytes: Uint8Array;
  /** Row r is `bytes[from[r], to[r])`. */
  from: Uint32Array;
  to: Uint32Array;
  lines: Uint32Array;
  /** Rows before `before` and after those of the piece before it are of `file`. */
  files: { name: string; before: number }[];
}

/** The same on every machine: it depends on the first bytes alone. */
function blockRowsOf(sample: Uint8Array, format: TextFormat): number {
  const splitter = new RecordSplitter({ grammar: format.grammar(), name: "" });
  splitter.push(sample);
  let records = 0;
  while (records < BLOCK_ROWS_MAX && splitter.next()) records++;
  const recordBytes = records === 0 ? Math.max(1, sample.length) : splitter.position / records;
  return Math.min(BLOCK_ROWS_MAX, 2 ** Math.max(0, Math.round(Math.log2(BLOCK_BYTES / recordBytes))));
}

async function indexOf({ files }: TextSourceOptions, format: TextFormat, blockRows: number): Promise<TextIndex> {
  const hash = createHash("sha256");
  const index: TextIndex = { rows: 0, fingerprint: "", firstRows: [], starts: [] };
  for (let file = 0; file < files.length; file++) {
    index.firstRows.push(index.rows);
    const { name } = files[file]!;
    const splitter = new RecordSplitter({ grammar: format.grammar(), name });
    let isHeader = format.hasHeader;
    const drain = (): void => {
      while (splitter.next()) {
        if (isHeader) {
          format.checkHeader(splitter.bytes.subarray(splitter.from, splitter.to), `${name}:${splitter.line}`);
          isHeader = false;
          continue;
        }
        if (index.rows % blockRows === 0) index.starts.push({ file, offset: splitter.offset, line: splitter.line });
        index.rows++;
      }
    };
    for await (const chunk of files[file]!.stream()) {
      hash.update(chunk);
      splitter.push(chunk);
      drain();
    }
    splitter.finish();
    drain();
    if (index.rows > ROWS_MAX) throw badFile(name, `more than ${ROWS_MAX} rows: train on fewer files at a time`);
  }
  return { ...index, fingerprint: hash.digest("hex").slice(0, 32) };
}

async function loadBlock(o: {
  files: readonly SourceFile[];
  format: TextFormat;
  index: TextIndex;
  block: number;
}): Promise<TextBlock> {
  const { files, format, index, block } = o;
  const start = index.starts[block]!;
  const end = index.starts[block + 1] ?? { file: files.length - 1, offset: files.at(-1)!.bytes! };
  const from: number[] = [];
  const to: number[] = [];
  const lines: number[] = [];
  const names: TextBlock["files"] = [];
  const pieces: Uint8Array[] = [];
  let base = 0;
  for (let file = start.file; file <= end.file; file++) {
    const { name, bytes } = files[file]!;
    const offset = file === start.file ? start.offset : 0;
    const line = file === start.file ? start.line : 1;
    const piece = await files[file]!.slice(offset, file === end.file ? end.offset : bytes!);
    const splitter = new RecordSplitter({ grammar: format.grammar(), name, offset, line });
    splitter.push(piece);
    splitter.finish();
    if (format.hasHeader && offset === 0) splitter.next();
    while (splitter.next()) {
      from.push(base + splitter.from);
      to.push(base + splitter.to);
      lines.push(splitter.line);
    }
    names.push({ name, before: from.length });
    pieces.push(piece);
    base += piece.length;
  }
  const bytes = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
  return {
    bytes,
    from: Uint32Array.from(from),
    to: Uint32Array.from(to),
    lines: Uint32Array.from(lines),
    files: names,
  };
}

/** Parsers that are done are used again: their memory is as large as a batch needs already. */
function gatherers(format: TextFormat): (columns: readonly string[]) => RowGatherer<TextBlock> {
  const idle = new Map<string, RecordParser[]>();
  return (columns) => {
    const key = JSON.stringify(columns);
    const parsers = idle.get(key) ?? [];
    idle.set(key, parsers);
    const parser = parsers.pop() ?? format.parser(columns);
    return gatherer(parser, () => parsers.push(parser));
  };
}

function gatherer(parser: RecordParser, done: () => void): RowGatherer<TextBlock> {
  const blocks: TextBlock[] = [];
  const rowsInBlocks: number[] = [];
  const placeOf = (row: number): string => placeIn(blocks[row]!, rowsInBlocks[row]!);
  const addRow = (block: TextBlock, row: number): void => {
    blocks.push(block);
    rowsInBlocks.push(row);
    parser.add(block.bytes, block.from[row]!, block.to[row]!);
  };
  return {
    add(block, rowsInBlock) {
      for (const row of rowsInBlock) addRow(block, row);
    },
    addRow,
    take() {
      const { table, faults } = parser.take();
      done();
      return { ...table, badRows: faults.map(({ row, fault }) => ({ row, place: placeOf(row), fault })), placeOf };
    },
  };
}

const placeIn = ({ files, lines }: TextBlock, row: number): string =>
  `${files.find(({ before }) => row < before)!.name}:${lines[row]}`;
