/**
 * A table as batches: all that a model demands of its fields, the label, weight and group, prepared once. A whole data
 * set in memory is read through one of these, a streamed one through one for each batch, so both give the same bits.
 */
import type { DataSpec } from "../spec/data-spec.ts";
import type { Batch, Column, ColumnTable, FieldDemand, KeyLists, NumberLists, Split } from "../spec/dataset.ts";
import { ClusterError } from "../../errors.ts";
import { floatsOf, gatherFloats } from "./field-numbers.ts";
import { FieldCompiler, type Reader } from "./fields.ts";
import { markLabels, type LabelDemand } from "./label-demand.ts";
import { labelsOf, type Labels } from "./labels.ts";
import { drawNegatives } from "./negatives.ts";
import { RowFaults } from "./row-faults.ts";

export interface TableReaderOptions {
  /** Checked, and its fields fitted. */
  spec: DataSpec;
  table: ColumnTable;
  demands: readonly FieldDemand[];
  /** Of the job, for fields that are drawn. */
  seed: number;
  /** Floats of a label that is a column of lists, where it is known already. */
  labelWidth?: number | undefined;
}

export interface TableReader {
  readonly labels: Labels;
  /** The bad rows that were found; all of them are found before anything is read. */
  readonly faults: RowFaults;
  /** Marks rows whose label is not what is demanded: those given, or all. */
  markLabels(demand: LabelDemand, rows?: Uint32Array): void;
  /**
   * @param at.rows of the table
   * @param at.samples numbers of the same rows in their split
   */
  read(at: { rows: Uint32Array; samples: Uint32Array; split: Split; epoch: number }): Batch;
}

/** @throws {ClusterError} BAD_DATA: a column is missing or of a wrong sort */
export function tableReader({ spec, table, demands, seed, labelWidth }: TableReaderOptions): TableReader {
  const faults = new RowFaults(table);
  const compiler = new FieldCompiler(table, faults);
  const fields = fieldReaders(spec, demands, compiler);
  const group = spec.group && compiler.keys({ field: "group", place: "group", spec: spec.group });
  const weights = spec.weight && weightsOf(spec.weight, table, faults);
  const labels = labelsOf({ spec: spec.label, table, faults, width: labelWidth });

  return {
    labels,
    faults,
    markLabels: (demand, rows) => markLabels({ spec: spec.label, ...labels, weights, faults }, demand, rows),
    read({ rows, samples, split, epoch }) {
      const shared = compiler.batch(rows);
      const keyLists = new Map(readAll(fields.keyLists, shared));
      for (const [field, drawn] of fields.negatives)
        keyLists.set(field, drawNegatives({ field, spec: drawn, seed, split, epoch, samples }));
      const batch = {
        samples: rows.length,
        keys: new Map(readAll(fields.keys, shared)),
        keyLists,
        numbers: new Map(readAll(fields.numbers, shared)),
        numberLists: new Map(readAll(fields.numberLists, shared)),
        label: gatherFloats(labels.values, rows, labels.width),
        weight: weights && gatherFloats(weights, rows, 1),
        group: group?.(shared),
      };
      return faults.rows === undefined ? batch : withoutBadRows(batch, positionsOf(faults.rows, rows));
    },
  };
}

interface FieldReaders {
  keys: [string, Reader<Uint32Array>][];
  keyLists: [string, Reader<KeyLists>][];
  numbers: [string, Reader<Float32Array>][];
  numberLists: [string, Reader<NumberLists>][];
  negatives: [string, Parameters<typeof drawNegatives>[0]["spec"]][];
}

function fieldReaders({ fields }: DataSpec, demands: readonly FieldDemand[], compiler: FieldCompiler): FieldReaders {
  const readers: FieldReaders = { keys: [], keyLists: [], numbers: [], numberLists: [], negatives: [] };
  for (const demand of demands) {
    const { name } = demand;
    const request = { field: name, place: `field "${name}"`, spec: fields[name]! };
    if ("integers" in demand && demand.integers !== undefined)
      compiler.refuseStrings({ ...request, integers: demand.integers });
    switch (demand.as) {
      case "keys":
        readers.keys.push([name, compiler.keys(request)]);
        break;
      case "keyLists":
        if (request.spec.kind === "negatives") readers.negatives.push([name, request.spec]);
        else readers.keyLists.push([name, compiler.keyLists(request)]);
        break;
      case "numbers":
        readers.numbers.push([name, compiler.numbers({ ...request, width: demand.width })]);
        break;
      case "numberLists":
        readers.numberLists.push([name, compiler.numberLists(request)]);
        break;
      default:
        demand satisfies never;
    }
  }
  return readers;
}

function readAll<Values>(
  readers: readonly (readonly [string, Reader<Values>])[],
  batch: Parameters<Reader<Values>>[0],
): [string, Values][] {
  return readers.map(([name, read]) => [name, read(batch)]);
}

/** Float32, shape [rows]; a negative weight makes a bad row. */
function weightsOf(spec: NonNullable<DataSpec["weight"]>, table: ColumnTable, faults: RowFaults): Float32Array {
  const context = { place: "weight", table, faults };
  const weights = floatsOf(spec, context);
  for (let row = 0; row < weights.length; row++) {
    const weight = weights[row]!;
    if (weight < 0) faults.mark(row, () => `weight is ${weight}; expected 0 or more`);
  }
  return weights;
}

/** Where in the batch the bad rows are. */
function positionsOf(bad: Uint8Array, rows: Uint32Array): number[] {
  const positions: number[] = [];
  for (let i = 0; i < rows.length; i++) if (bad[rows[i]!] === 1) positions.push(i);
  return positions;
}

/** Whatever the cells of a bad row held, it gives zeros and empty lists, and weighs nothing. */
function withoutBadRows(batch: Batch, positions: readonly number[]): Batch {
  if (positions.length === 0) return batch;
  const weight = batch.weight ?? new Float32Array(batch.samples).fill(1);
  for (const values of [...batch.keys.values(), ...batch.numbers.values(), batch.label, weight, batch.group])
    if (values !== undefined) blank(values, positions, values.length / batch.samples);
  return {
    ...batch,
    weight,
    keyLists: new Map(Array.from(batch.keyLists, ([name, lists]) => [name, withoutKeys(lists, positions)])),
    numberLists: new Map(Array.from(batch.numberLists, ([name, lists]) => [name, withoutNumbers(lists, positions)])),
  };
}

function blank(values: Float32Array | Uint32Array, positions: readonly number[], width: number): void {
  for (const at of positions) values.fill(0, at * width, (at + 1) * width);
}

function withoutKeys({ offsets, keys }: KeyLists, positions: readonly number[]): KeyLists {
  const kept = emptied(offsets, positions);
  const own = new Uint32Array(2 * kept.at(-1)!);
  for (let b = 0; b + 1 < offsets.length; b++)
    if (kept[b + 1]! > kept[b]!) own.set(keys.subarray(2 * offsets[b]!, 2 * offsets[b + 1]!), 2 * kept[b]!);
  return { offsets: kept, keys: own };
}

function withoutNumbers({ offsets, values }: NumberLists, positions: readonly number[]): NumberLists {
  const kept = emptied(offsets, positions);
  const own = new Float32Array(kept.at(-1)!);
  for (let b = 0; b + 1 < offsets.length; b++)
    if (kept[b + 1]! > kept[b]!) own.set(values.subarray(offsets[b], offsets[b + 1]), kept[b]);
  return { offsets: kept, values: own };
}

/** The offsets with the lists at `positions` empty. */
function emptied(offsets: Uint32Array, positions: readonly number[]): Uint32Array {
  const empty = new Set(positions);
  const out = new Uint32Array(offsets.length);
  for (let b = 0; b + 1 < offsets.length; b++)
    out[b + 1] = out[b]! + (empty.has(b) ? 0 : offsets[b + 1]! - offsets[b]!);
  return out;
}

/**
 * Readers hand tables in, and so do callers with arrays of their own.
 *
 * @throws {RangeError} columns of different lengths, codes beyond their dictionary, lists beyond their elements
 * @throws {ClusterError} BAD_DATA: no rows
 */
export function checkTable(table: ColumnTable): void {
  for (const [name, column] of table.columns) {
    if (column.kind === "list") checkLists(name, column.offsets, lengthOf(column.elements));
    const rows = column.kind === "list" ? column.offsets.length - 1 : lengthOf(column);
    if (rows !== table.rows) {
      throw new RangeError(
        `column "${name}" has ${rows} rows, the table ${table.rows}: all columns must be of one length`,
      );
    }
    const scalars = column.kind === "list" ? column.elements : column;
    // A reader of ours made the codes with the strings.
    if (scalars.kind === "string" && scalars.utf8 === undefined) checkCodes(name, scalars);
  }
  if (table.rows === 0) {
    throw new ClusterError("BAD_DATA", "the data set has no rows: check the file it was read from");
  }
}

type ScalarColumn = Parameters<typeof checkCodes>[1] | { kind: "number" | "int64"; values: ArrayLike<unknown> };

function lengthOf(column: ScalarColumn): number {
  return column.kind === "string" ? column.codes.length : column.values.length;
}

function checkCodes(name: string, column: Extract<Column, { kind: "string" }>): void {
  const { codes } = column;
  const size = column.dictionary.length;
  const row = codes.findIndex((code) => code >= size);
  if (row < 0) return;
  throw new RangeError(`column "${name}", row ${row} has code ${codes[row]}; its dictionary has ${size} entries`);
}

function checkLists(name: string, offsets: Uint32Array, elements: number): void {
  if (offsets[0] !== 0 || offsets.at(-1) !== elements) {
    throw new RangeError(
      `column "${name}": its lists run from ${offsets[0]} to ${offsets.at(-1)}; expected 0 to its ${elements} elements`,
    );
  }
  const row = offsets.findIndex((start, i) => i > 0 && start < offsets[i - 1]!);
  if (row > 0) throw new RangeError(`column "${name}": offsets[${row}] is below the one before it`);
}
