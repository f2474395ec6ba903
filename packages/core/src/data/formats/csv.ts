/**
 * CSV and its kin with another delimiter (RFC 4180): cells in quotes may hold delimiters, line ends and doubled
 * quotes. A quote means something only where a cell begins; elsewhere it is text, as in `5" pipe`. Lines end in LF or
 * CR LF, the last one in either or in nothing.
 */
import { ClusterError } from "../../errors.ts";
import type { FormatSpec } from "../spec/data-spec.ts";
import type { ColumnTable } from "../spec/dataset.ts";
import { isUtf8 } from "./byte-dictionary.ts";
import type { RecordGrammar } from "./record-splitter.ts";
import { RowCells, shown, type RowFault, type WantedColumn } from "./row-cells.ts";

const QUOTE = 34;
const LINE_FEED = 10;
const RETURN = 13;

export class CsvGrammar implements RecordGrammar {
  lines = 1;
  readonly #delimiter: number;

  constructor(delimiter: string) {
    this.#delimiter = delimiterByte(delimiter);
  }

  end(bytes: Uint8Array, from: number, to: number): number {
    let at = from;
    this.lines = 1;
    for (;;) {
      // Line feed and quote are among the few bytes up to 34, so most bytes cost one comparison.
      while (at < to && (bytes[at]! > QUOTE || (bytes[at] !== LINE_FEED && bytes[at] !== QUOTE))) at++;
      if (at >= to) return -1;
      if (bytes[at] === LINE_FEED) return at + 1;
      const opens = at === from || bytes[at - 1] === this.#delimiter;
      at++;
      if (!opens) continue;
      for (; at < to; at++) {
        if (bytes[at] === LINE_FEED) this.lines++;
        if (bytes[at] !== QUOTE) continue;
        if (at + 1 === to) return -1;
        if (bytes[at + 1] !== QUOTE) break;
        at++;
      }
      // The closing quote; one right after it cannot open a cell.
      at++;
    }
  }
}

type CsvFormat = Extract<FormatSpec, { kind: "csv" }>;

export interface CsvParserOptions {
  format: CsvFormat;
  /** The file's columns. */
  names: readonly string[];
  /** Those that are read. */
  columns: readonly WantedColumn[];
}

export class CsvParser {
  readonly #delimiter: number;
  readonly #columns: number;
  /** Column of the file → column of the table, or −1. */
  readonly #places: Int32Array;
  readonly #cells: RowCells;

  constructor({ format, names, columns }: CsvParserOptions) {
    this.#delimiter = delimiterByte(format.delimiter);
    this.#columns = names.length;
    this.#places = Int32Array.from(names, (name) => columns.findIndex((column) => column.name === name));
    this.#cells = new RowCells({ columns, missing: format.missing });
  }

  get rows(): number {
    return this.#cells.rows;
  }

  get faults(): number {
    return this.#cells.faults;
  }

  add(bytes: Uint8Array, from: number, to: number): void {
    this.#cells.begin(bytes);
    this.#cells.end(this.#record(bytes, from, to));
  }

  flush(): void {
    this.#cells.flush();
  }

  take(): { table: ColumnTable; faults: RowFault[] } {
    return this.#cells.take();
  }

  /** @returns what is wrong with the record */
  #record(bytes: Uint8Array, from: number, to: number): string | undefined {
    const delimiter = this.#delimiter;
    const places = this.#places;
    let at = from;
    let column = 0;
    for (; ; column++) {
      const place = column < places.length ? places[column]! : -1;
      if (at < to && bytes[at] === QUOTE) {
        const end = this.#quoted(bytes, at, to, place);
        if (end < 0) return unquotedFault(bytes, at, to, column);
        at = end;
      } else {
        const start = at;
        while (at < to && bytes[at] !== delimiter) at++;
        if (place >= 0) this.#cells.set(place, start, at);
      }
      if (at >= to) break;
      at++;
    }
    return column + 1 === this.#columns ? undefined : `${column + 1} columns; expected ${this.#columns}`;
  }

  /** @returns where the delimiter after the quoted cell stands, or `to`; −1 where the cell is broken */
  #quoted(bytes: Uint8Array, open: number, to: number, place: number): number {
    let at = open + 1;
    let doubled = 0;
    for (; at < to; at++) {
      if (bytes[at] !== QUOTE) continue;
      if (at + 1 >= to || bytes[at + 1] !== QUOTE) break;
      doubled++;
      at++;
    }
    if (at >= to) return -1;
    if (at + 1 < to && bytes[at + 1] !== this.#delimiter) return -1;
    if (place < 0) return at + 1;
    if (doubled === 0) this.#cells.set(place, open + 1, at);
    else this.#cells.setText(place, withoutDoubledQuotes(bytes, open + 1, at, doubled));
    return at + 1;
  }
}

/**
 * The names that a header gives to the columns.
 *
 * @param place file and line, for messages
 * @throws {ClusterError} BAD_DATA: a quote is not closed, a name stands twice, the lines end in CR alone
 */
export function headerOf(record: Uint8Array, delimiter: string, place: string): string[] {
  const comma = delimiterByte(delimiter);
  const names: string[] = [];
  if (record.includes(RETURN)) {
    throw bad(place, "the lines end in CR alone; convert them with: tr '\\r' '\\n' < file > new-file");
  }
  if (record.includes(0)) throw bad(place, "the text holds zero bytes, as UTF-16 does; convert it with iconv -t UTF-8");
  if (!isUtf8(record)) throw bad(place, "the first line is not UTF-8; convert the file with iconv -t UTF-8");
  let at = 0;
  for (;;) {
    let text = record;
    let from = at;
    if (at < record.length && record[at] === QUOTE) {
      const close = closingQuote(record, at + 1);
      if (close < 0 || (close + 1 < record.length && record[close + 1] !== comma)) {
        throw bad(
          place,
          `${unquotedFault(record, at, record.length, names.length)} of the first line; is ${JSON.stringify(delimiter)} ` +
            "what stands between its columns? Otherwise name that as delimiter",
        );
      }
      text = withoutDoubledQuotes(record, at + 1, close, 0);
      from = 0;
      at = close + 1;
    } else {
      while (at < record.length && record[at] !== comma) at++;
      text = record.subarray(from, at);
    }
    names.push(new TextDecoder().decode(text));
    if (at >= record.length) break;
    at++;
  }
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) {
    throw bad(place, `the header names column ${JSON.stringify(twice)} twice: rename one, or give names of your own`);
  }
  return names;
}

/** How many cells a record has. */
export function cellCount(record: Uint8Array, delimiter: string): number {
  const comma = delimiterByte(delimiter);
  let cells = 1;
  for (let at = 0; at < record.length; at++) {
    if (record[at] === comma) cells++;
    const opens = record[at] === QUOTE && (at === 0 || record[at - 1] === comma);
    const close = opens ? closingQuote(record, at + 1) : at;
    if (close < 0) return cells;
    at = close;
  }
  return cells;
}

function closingQuote(bytes: Uint8Array, from: number): number {
  for (let at = from; at < bytes.length; at++) {
    if (bytes[at] !== QUOTE) continue;
    if (bytes[at + 1] !== QUOTE) return at;
    at++;
  }
  return -1;
}

function unquotedFault(bytes: Uint8Array, open: number, to: number, column: number): string {
  const close = closingQuote(bytes.subarray(0, to), open + 1);
  return close < 0
    ? `a quote is not closed in column ${column + 1}, which begins ${shown(bytes, open, Math.min(to, open + 20))}`
    : `text after the closing quote in column ${column + 1}: ${shown(bytes, open, Math.min(to, close + 10))}`;
}

function withoutDoubledQuotes(bytes: Uint8Array, from: number, to: number, doubled: number): Uint8Array {
  const text = new Uint8Array(to - from - doubled);
  let length = 0;
  for (let at = from; at < to; at++) {
    text[length++] = bytes[at]!;
    if (bytes[at] === QUOTE) at++;
  }
  return text.subarray(0, length);
}

function delimiterByte(delimiter: string): number {
  const byte = delimiter.charCodeAt(0);
  if (delimiter.length === 1 && byte < 128 && byte !== QUOTE && byte !== LINE_FEED && byte !== RETURN) return byte;
  throw new TypeError(`csv delimiter ${JSON.stringify(delimiter)}: expected one ASCII character, no quote or line end`);
}

function bad(place: string, what: string): ClusterError {
  return new ClusterError("BAD_DATA", `${place}: ${what}`);
}
