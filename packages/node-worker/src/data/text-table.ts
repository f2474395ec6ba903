/** CSV, JSON Lines and libsvm read whole: every file once, in chunks, straight into columns. */
import type { ColumnTable } from "@volary/core/data";
import { ClusterError } from "@volary/core/errors";
import {
  openTextFormat,
  RecordSplitter,
  RowPlaces,
  SAMPLE_BYTES,
  type RecordParser,
  type TextFormat,
  type TextFormatSpec,
} from "@volary/core/data/formats";
import type { SourceFile } from "./source-file.ts";
import { contentsOf } from "./unpack.ts";

/** Bad rows are kept with their places up to this many over the limit; the rest of such a file is not worth reading. */
const BAD_ROWS_OVER = 1000;

export interface TextFiles {
  format: TextFormatSpec;
  files: readonly SourceFile[];
  /** All without it. */
  columns?: readonly string[] | undefined;
  badRowsMax: number;
  /** Stop after this many rows; all without it. */
  rowsMax?: number | undefined;
}

/**
 * @returns the table, and for each file the row after its last
 * @throws {ClusterError} BAD_DATA: a file cannot be read, or lacks a column, or far too many rows are bad
 */
export async function readText(o: TextFiles): Promise<{ table: ColumnTable; ends: number[]; format: TextFormat }> {
  const [first] = o.files;
  const { sample, rest } = await headOf(contentsOf(first!));
  const format = openTextFormat({ format: o.format, sample, name: first!.name, columns: o.columns });
  const rows = new TextRows(format.parser(), o);
  const ends: number[] = [];
  for (const file of o.files) {
    await readFile(file === first ? rest : contentsOf(file), { file, format, rows });
    ends.push(rows.count);
    if (rows.isFull) break;
  }
  return { table: rows.take(), ends, format };
}

/** The first bytes, and all bytes, those included. */
export async function headOf(
  contents: AsyncGenerator<Uint8Array>,
): Promise<{ sample: Uint8Array; rest: AsyncGenerator<Uint8Array> }> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  while (bytes < SAMPLE_BYTES) {
    const { value, done } = await contents.next();
    if (done === true) break;
    chunks.push(value);
    bytes += value.length;
  }
  const sample = Buffer.concat(chunks);
  async function* rest(): AsyncGenerator<Uint8Array> {
    yield sample;
    yield* contents;
  }
  return { sample, rest: rest() };
}

async function readFile(
  contents: AsyncGenerator<Uint8Array>,
  { file, format, rows }: { file: SourceFile; format: TextFormat; rows: TextRows },
): Promise<void> {
  const splitter = new RecordSplitter({ grammar: format.grammar(), name: file.name });
  let isHeader = format.hasHeader;
  const drain = (): void => {
    while (!rows.isFull && splitter.next()) {
      if (isHeader) {
        format.checkHeader(splitter.bytes.subarray(splitter.from, splitter.to), `${file.name}:${splitter.line}`);
        isHeader = false;
      } else rows.add(splitter, file.name);
    }
    rows.flush();
  };
  for await (const chunk of contents) {
    splitter.push(chunk);
    drain();
    if (rows.isFull) return;
  }
  splitter.finish();
  drain();
}

/** The rows read so far, and where they were. */
class TextRows {
  readonly #parser: RecordParser;
  readonly #places = new RowPlaces();
  readonly #badRowsMax: number;
  readonly #rowsMax: number;

  constructor(parser: RecordParser, { badRowsMax, rowsMax = Infinity }: TextFiles) {
    this.#parser = parser;
    this.#badRowsMax = badRowsMax;
    this.#rowsMax = rowsMax;
  }

  get count(): number {
    return this.#parser.rows;
  }

  get isFull(): boolean {
    return this.#parser.rows >= this.#rowsMax;
  }

  add(record: RecordSplitter, file: string): void {
    this.#places.note(this.#parser.rows, file, record.line);
    this.#parser.add(record.bytes, record.from, record.to);
  }

  /** Before the bytes of the records change. */
  flush(): void {
    this.#parser.flush();
    if (this.#parser.faults > this.#badRowsMax + BAD_ROWS_OVER) throw this.#tooMany();
  }

  take(): ColumnTable {
    const { table, faults } = this.#parser.take();
    const badRows = faults.map(({ row, fault }) => ({ row, place: this.#places.placeOf(row), fault }));
    return { ...table, badRows, placeOf: (row) => this.#places.placeOf(row) };
  }

  #tooMany(): ClusterError {
    const { rows, badRows = [] } = this.take();
    const first = badRows.slice(0, 3).map(({ place, fault }) => `${place}: ${fault}`);
    return new ClusterError(
      "BAD_DATA",
      `${badRows.length} of the first ${rows} rows are bad, and badRowsMax is ${this.#badRowsMax}: ` +
        `${first.join("; ")}; declare other column types, or check the format`,
    );
  }
}
