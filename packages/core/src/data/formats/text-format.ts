/**
 * What a text format is to those that read it: a grammar that cuts records, and a parser that makes columns of them.
 * Opened with the first bytes of the first file, which name the columns and show what they hold.
 */
import { ClusterError } from "../../errors.ts";
import type { ColumnType, FormatSpec } from "../spec/data-spec.ts";
import type { ColumnTable } from "../spec/dataset.ts";
import { didYouMean, quoted } from "../spec/nearest-name.ts";
import { cellCount, CsvGrammar, CsvParser, headerOf } from "./csv.ts";
import { JsonlParser, jsonlKinds } from "./jsonl.ts";
import { TypeGuess } from "./infer-types.ts";
import { LibsvmParser, LIBSVM_TYPES } from "./libsvm.ts";
import { LineGrammar, RecordSplitter, type RecordGrammar } from "./record-splitter.ts";
import type { RowFault, WantedColumn } from "./row-cells.ts";

export type TextFormatSpec = Extract<FormatSpec, { kind: "csv" | "jsonl" | "libsvm" }>;

export interface RecordParser {
  /** Rows since the last {@link take}, and how many of them are known to be bad. */
  readonly rows: number;
  readonly faults: number;
  /**
   * Appends the row of the record `bytes[from, to)`, missing cells where it cannot be read. The bytes must stay as they
   * are until {@link flush}.
   */
  add(bytes: Uint8Array, from: number, to: number): void;
  flush(): void;
  /** The rows so far, and what is wrong with some of them, by row; the parser begins anew. */
  take(): { table: ColumnTable; faults: RowFault[] };
}

export interface TextFormat {
  /** The columns of the file, as far as its first rows tell. */
  readonly names: readonly string[];
  /** Those that are read. */
  readonly columns: readonly WantedColumn[];
  /** Whether each file begins with a record that names its columns. */
  readonly hasHeader: boolean;
  grammar(): RecordGrammar;
  /** @param columns some of {@link TextFormat.columns}, by name; all without it */
  parser(columns?: readonly string[]): RecordParser;
  /** @throws {ClusterError} BAD_DATA: a further file names other columns than the first */
  checkHeader(bytes: Uint8Array, place: string): void;
}

/** Rows and bytes of the first file that column types are inferred from. */
const SAMPLE_ROWS = 1000;
export const SAMPLE_BYTES = 4 * 1024 * 1024;

export interface OpenTextFormatOptions {
  format: TextFormatSpec;
  /** The first {@link SAMPLE_BYTES} of the first file, or all of a smaller one. */
  sample: Uint8Array;
  /** Of the first file, for messages. */
  name: string;
  /** The columns to read; all without it. */
  columns?: readonly string[] | undefined;
}

/**
 * Column types that are not declared are inferred from the first {@link SAMPLE_ROWS} rows, the same on every machine:
 * `int64` where every cell is a plain integer, else `number`, else `timestamp`, else `string`.
 *
 * @throws {ClusterError} BAD_DATA: UTF-16, no such column, a header that names one column twice
 */
export function openTextFormat(o: OpenTextFormatOptions): TextFormat {
  switch (o.format.kind) {
    case "csv":
      return openCsv(o, o.format);
    case "jsonl":
      return openJsonl(o, o.format);
    case "libsvm": {
      const names = Object.keys(LIBSVM_TYPES);
      const columns = wanted({ ...o, names, typeOf: (name) => LIBSVM_TYPES[name as keyof typeof LIBSVM_TYPES] });
      return {
        names,
        columns,
        hasHeader: false,
        grammar: () => new LineGrammar(),
        parser: (names) => new LibsvmParser(picked(columns, names).map(({ name }) => name)),
        checkHeader: () => {},
      };
    }
    default:
      return o.format satisfies never;
  }
}

function openCsv(o: OpenTextFormatOptions, format: Extract<TextFormatSpec, { kind: "csv" }>): TextFormat {
  const grammar = () => new CsvGrammar(format.delimiter);
  const records = sampled(o, grammar());
  const first = records.next();
  if (first.done === true) throw bad(o.name, "no rows: the file is empty");
  const header = format.header ? headerOf(first.value, format.delimiter, `${o.name}:1`) : undefined;
  const names = format.names ?? header ?? unnamed(first.value, format.delimiter);
  if (header !== undefined && format.names !== undefined && header.length !== format.names.length) {
    throw bad(
      o.name,
      `the header has ${header.length} columns, and names has ${format.names.length}: give one a column`,
    );
  }
  const undeclared = (o.columns ?? names).filter(
    (name) => declaredType(format, name) === undefined && names.includes(name),
  );
  const guesses = guessCsv({
    format,
    names,
    columns: undeclared,
    first: format.header ? undefined : first.value,
    records,
  });
  const columns = wanted({ ...o, names, typeOf: (name) => declaredType(format, name) ?? guesses.get(name) });
  return {
    names,
    columns,
    hasHeader: format.header,
    grammar,
    parser: (some) => new CsvParser({ format, names, columns: picked(columns, some) }),
    checkHeader(bytes, place) {
      const other = headerOf(bytes, format.delimiter, place);
      const at = other.findIndex((name, i) => name !== (header ?? names)[i]);
      if (other.length === (header ?? names).length && at < 0) return;
      const what = at < 0 ? `${other.length} columns` : `column ${at + 1} ${JSON.stringify(other[at])}`;
      throw bad(
        place,
        `the header has ${what}, where ${o.name} has ${at < 0 ? names.length : JSON.stringify(names[at])}: ` +
          "files of one data set need the same columns in the same order",
      );
    },
  };
}

function openJsonl(o: OpenTextFormatOptions, format: Extract<TextFormatSpec, { kind: "jsonl" }>): TextFormat {
  const kinds = jsonlKinds(sampled(o, new LineGrammar()));
  const names = [...new Set([...kinds.keys(), ...Object.keys(format.types)])];
  const readable = names.filter((name) => declaredType(format, name) !== undefined || kinds.get(name)!.isReadable);
  const columns = wanted({
    ...o,
    columns: o.columns ?? readable,
    names,
    typeOf: (name) => declaredType(format, name) ?? kinds.get(name)?.type(),
  });
  return {
    names,
    columns,
    hasHeader: false,
    grammar: () => new LineGrammar(),
    parser: (some) => new JsonlParser(picked(columns, some)),
    checkHeader: () => {},
  };
}

/** A column may have the name of something that every object has, as "constructor". */
function declaredType(
  { types }: Extract<TextFormatSpec, { kind: "csv" | "jsonl" }>,
  name: string,
): ColumnType | undefined {
  return Object.hasOwn(types, name) ? types[name] : undefined;
}

const unnamed = (record: Uint8Array, delimiter: string): string[] =>
  Array.from({ length: cellCount(record, delimiter) }, (_, column) => String(column));

/** Reads the sample as strings: a type depends on which cells there are, not on how often. */
function guessCsv(o: {
  format: Extract<TextFormatSpec, { kind: "csv" }>;
  names: readonly string[];
  columns: readonly string[];
  first: Uint8Array | undefined;
  records: Iterator<Uint8Array, undefined>;
}): Map<string, ColumnType> {
  const guesses = new Map<string, ColumnType>();
  if (o.columns.length === 0) return guesses;
  const parser = new CsvParser({ ...o, columns: o.columns.map((name) => ({ name, type: "string" })) });
  if (o.first !== undefined) parser.add(o.first, 0, o.first.length);
  for (let next = o.records.next(); next.done !== true; next = o.records.next()) {
    parser.add(next.value, 0, next.value.length);
  }
  const encoder = new TextEncoder();
  for (const [name, column] of parser.take().table.columns) {
    const guess = new TypeGuess();
    for (const cell of column.kind === "string" ? column.dictionary : []) {
      const text = encoder.encode(cell);
      if (cell !== "") guess.see(text, 0, text.length);
    }
    guesses.set(name, guess.type());
  }
  return guesses;
}

function picked(columns: readonly WantedColumn[], names: readonly string[] | undefined): readonly WantedColumn[] {
  return names === undefined ? columns : names.map((name) => columns.find((column) => column.name === name)!);
}

function wanted(o: {
  name: string;
  columns?: readonly string[] | undefined;
  names: readonly string[];
  typeOf: (name: string) => ColumnType | undefined;
}): WantedColumn[] {
  return (o.columns ?? o.names).map((name) => {
    const type = o.names.includes(name) ? o.typeOf(name) : undefined;
    if (type !== undefined) return { name, type };
    throw bad(o.name, `no column "${name}"; there are ${quoted(o.names)}.${didYouMean(name, o.names)}`);
  });
}

/** The complete records of the sample, up to {@link SAMPLE_ROWS} and a header. */
function sampled(o: OpenTextFormatOptions, grammar: RecordGrammar): Iterator<Uint8Array, undefined> {
  const splitter = new RecordSplitter({ grammar, name: o.name });
  splitter.push(o.sample.subarray(0, SAMPLE_BYTES));
  if (o.sample.length < SAMPLE_BYTES) splitter.finish();
  let left = SAMPLE_ROWS + 1;
  return {
    next: () =>
      left-- > 0 && splitter.next()
        ? { done: false, value: splitter.bytes.slice(splitter.from, splitter.to) }
        : { done: true, value: undefined },
  };
}

function bad(place: string, what: string): ClusterError {
  return new ClusterError("BAD_DATA", `${place}: ${what}`);
}
