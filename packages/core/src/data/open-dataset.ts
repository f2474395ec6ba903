/**
 * From a table of columns to a data set: checks everything a training loop relies on, cuts train from test, and
 * prepares the fields. After it returns, reading cannot fail on the data's account.
 */
import { ClusterError } from "../errors.ts";
import { columnOf, timestampsOf } from "./column-codes.ts";
import type { DataSpec, FieldSpec, LabelSpec } from "./data-spec.ts";
import type { Batch, Column, ColumnTable, Dataset, FieldDemand, Split } from "./dataset.ts";
import { finiteNumbersOf, type NumberReader } from "./field-numbers.ts";
import { fieldCompiler, type FieldCompiler, type KeyReader } from "./fields.ts";
import { fingerprintOf } from "./fingerprint.ts";
import { microsOf } from "./instant.ts";
import { didYouMean, quoted } from "./nearest-name.ts";

export interface OpenDatasetOptions {
  spec: DataSpec;
  /** At least the columns of {@link columnsOf}. */
  table: ColumnTable;
  /** The fields the model reads; the others are not prepared. */
  demands: readonly FieldDemand[];
}

/**
 * @throws {ClusterError} BAD_DATA: the data does not hold what `spec` says
 * @throws {TypeError} the spec and the demands do not fit each other, whatever the data
 */
export function openDataset({ spec, table, demands }: OpenDatasetOptions): Dataset {
  checkDemands(spec, demands);
  checkTable(table);
  const compiler = fieldCompiler(table);
  const { keyReaders, numberReaders } = compileDemands({ spec, demands, compiler });
  const labels = labelsOf(spec.label, table);
  const rowsOf = splitRows(spec, table);

  return {
    trainRows: rowsOf.train.length,
    testRows: rowsOf.test.length,
    fingerprint: fingerprintOf(table, columnsOf(spec)),
    read(split, samples): Batch {
      const rows = rowsAt(rowsOf[split], samples, split);
      const batch = compiler.batch(rows);
      return {
        samples: rows.length,
        keys: new Map(keyReaders.map(([name, read]) => [name, read(batch)])),
        numbers: new Map(numberReaders.map(([name, read]) => [name, read(rows)])),
        label: labelsAt(labels, rows),
      };
    },
  };
}

/** The columns a spec reads, each once, ascending. */
export function columnsOf(spec: DataSpec): string[] {
  const columns = new Set([spec.label.column]);
  if (spec.test !== undefined) columns.add(spec.test.column);
  for (const field of Object.values(spec.fields)) addColumns(field, columns);
  return [...columns].toSorted();
}

function addColumns(spec: FieldSpec, columns: Set<string>): void {
  switch (spec.kind) {
    case "hash":
      addColumns(spec.of, columns);
      return;
    case "cross":
      for (const part of spec.of) addColumns(part, columns);
      return;
    case "column":
    case "datePart":
    case "bucket":
    case "standardise":
      columns.add(spec.column);
      return;
    default:
      spec satisfies never;
  }
}

function checkDemands(spec: DataSpec, demands: readonly FieldDemand[]): void {
  const seen = new Set<string>();
  const fields = Object.keys(spec.fields);
  for (const { name, as } of demands) {
    if (seen.has(`${as} ${name}`)) throw new TypeError(`field "${name}" is demanded twice as ${as}; name it once`);
    seen.add(`${as} ${name}`);
    if (!Object.hasOwn(spec.fields, name)) {
      throw new TypeError(
        `the model reads a field "${name}", which the data spec does not have; it has ${quoted(fields)}.` +
          `${didYouMean(name, fields)} Fields are named in parquet(…, { fields: { … } })`,
      );
    }
  }
}

/** Readers hand tables in, and so do callers with arrays of their own. */
function checkTable(table: ColumnTable): void {
  for (const [name, column] of table.columns) {
    const rows = column.kind === "string" ? column.codes.length : column.values.length;
    if (rows !== table.rows) {
      throw new RangeError(
        `column "${name}" has ${rows} rows, the table ${table.rows}: all columns must be of one length`,
      );
    }
    if (column.kind === "string") checkCodes(name, column);
  }
  if (table.rows === 0) {
    throw new ClusterError("BAD_DATA", "the data set has no rows: check the file it was read from");
  }
}

function checkCodes(name: string, { codes, dictionary }: Extract<Column, { kind: "string" }>): void {
  const row = codes.findIndex((code) => code >= dictionary.length);
  if (row < 0) return;
  throw new RangeError(
    `column "${name}", row ${row} has code ${codes[row]}; its dictionary has ${dictionary.length} entries`,
  );
}

interface Compiled {
  keyReaders: (readonly [string, KeyReader])[];
  numberReaders: (readonly [string, NumberReader])[];
}

interface CompileRequest {
  spec: DataSpec;
  demands: readonly FieldDemand[];
  compiler: FieldCompiler;
}

function compileDemands({ spec, demands, compiler }: CompileRequest): Compiled {
  const compiled: Compiled = { keyReaders: [], numberReaders: [] };
  for (const { name, as } of demands) {
    const field = spec.fields[name]!;
    switch (as) {
      case "keys":
        compiled.keyReaders.push([name, compiler.keys(name, field)]);
        break;
      case "numbers":
        compiled.numberReaders.push([name, compiler.numbers(name, field)]);
        break;
      default:
        as satisfies never;
    }
  }
  return compiled;
}

function labelsOf(spec: LabelSpec, table: ColumnTable): Float32Array {
  const column = columnOf(table, spec.column, "label");
  const values = finiteNumbersOf(column, `label: column "${spec.column}"`);
  const labels = new Float32Array(values.length);
  switch (spec.kind) {
    case "atLeast":
      for (let row = 0; row < values.length; row++) labels[row] = values[row]! >= spec.threshold ? 1 : 0;
      return labels;
    case "column":
      labels.set(values);
      return labels;
    default:
      return spec satisfies never;
  }
}

function splitRows(spec: DataSpec, table: ColumnTable): Record<Split, Uint32Array> {
  const { test } = spec;
  if (test === undefined)
    return { train: Uint32Array.from({ length: table.rows }, (_, row) => row), test: new Uint32Array(0) };
  const place = `test split: column "${test.column}"`;
  const micros = timestampsOf(columnOf(table, test.column, "test split"), place);
  const split = splitSince(micros, microsOf(test.instant));
  if (split.train.length > 0 && split.test.length > 0) return split;
  throw new ClusterError(
    "BAD_DATA",
    `${place}: ${split.train.length === 0 ? "every" : "no"} row is at or after ${test.instant}, so the ` +
      `${split.train.length === 0 ? "train" : "test"} split is empty; the rows run from ${describeSpan(micros)}: move the instant`,
  );
}

function splitSince(micros: BigInt64Array, since: bigint): Record<Split, Uint32Array> {
  const train = new Uint32Array(micros.length);
  const test = new Uint32Array(micros.length);
  let trained = 0;
  let tested = 0;
  for (let row = 0; row < micros.length; row++) {
    if (micros[row]! >= since) test[tested++] = row;
    else train[trained++] = row;
  }
  return { train: train.slice(0, trained), test: test.slice(0, tested) };
}

function describeSpan(micros: BigInt64Array): string {
  let first = micros[0]!;
  let last = first;
  for (const at of micros) {
    if (at < first) first = at;
    if (at > last) last = at;
  }
  return `${isoOf(first)} to ${isoOf(last)}`;
}

function isoOf(micros: bigint): string {
  const date = new Date(Number(micros / 1000n));
  return Number.isNaN(date.getTime()) ? `${micros} µs` : date.toISOString();
}

function rowsAt(rows: Uint32Array, samples: Uint32Array, split: Split): Uint32Array {
  const out = new Uint32Array(samples.length);
  for (let i = 0; i < samples.length; i++) {
    const sample = samples[i]!;
    if (sample >= rows.length) {
      throw new RangeError(
        `samples[${i}]=${sample} is past the end of the ${split} split, which has ${rows.length} rows`,
      );
    }
    out[i] = rows[sample]!;
  }
  return out;
}

function labelsAt(labels: Float32Array, rows: Uint32Array): Float32Array {
  const out = new Float32Array(rows.length);
  for (let i = 0; i < rows.length; i++) out[i] = labels[rows[i]!]!;
  return out;
}
