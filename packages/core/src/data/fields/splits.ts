/**
 * Which rows are for training and which are held out. Samples of a split are numbered in the order of their rows; a row
 * whose date or value is missing is a bad row of the training split.
 */
import { cellsOf, columnOf, sortOf, timestampsOf, type CellContext } from "./cells.ts";
import { ClusterError } from "../../errors.ts";
import type { SplitSpec } from "../spec/data-spec.ts";
import type { ColumnTable, Split } from "../spec/dataset.ts";
import type { FaultSink } from "./row-faults.ts";
import { microsOf } from "./instant.ts";
import { mix } from "./xoshiro.ts";

/** The rows of each split. */
export interface SplitRows {
  readonly trainRows: number;
  readonly testRows: number;
  /**
   * The rows of samples; a new array.
   *
   * @throws {RangeError} a sample past the end of the split
   */
  rowsAt(split: Split, samples: Uint32Array): Uint32Array;
}

export interface HeldOutRequest {
  /** Not one of files. */
  spec: Exclude<SplitSpec, { kind: "files" }>;
  table: ColumnTable;
  /** Number of the table's first row in the data set. */
  firstRow: number;
  faults: FaultSink;
}

/**
 * 1 where a row of the table is held out.
 *
 * @throws {ClusterError} BAD_DATA: the column is missing or of a wrong sort
 */
export function heldOutRows({ spec, table, firstRow, faults }: HeldOutRequest): Uint8Array {
  const heldOut = new Uint8Array(table.rows);
  switch (spec.kind) {
    case "fraction":
      for (let row = 0; row < heldOut.length; row++) heldOut[row] = isDrawn(spec, firstRow + row) ? 1 : 0;
      break;
    case "since": {
      const place = `test split: column "${spec.column}"`;
      const { values, missing } = timestampsOf(columnOf(table, spec.column, "test split"), place);
      const instant = microsOf(spec.instant);
      for (let row = 0; row < heldOut.length; row++) {
        if (missing?.[row] === 1) faults.mark(row, () => `${place} is missing; expected a timestamp`);
        else heldOut[row] = values[row]! >= instant ? 1 : 0;
      }
      break;
    }
    case "where":
      heldOutWhere(spec, { place: "test split", table, faults }, heldOut);
      break;
    default:
      spec satisfies never;
  }
  for (const { row } of table.badRows ?? []) if (spec.kind !== "fraction") heldOut[row] = 0;
  return heldOut;
}

/** The split of `rows` rows of which the first `testFrom` are for training. */
export function rangeSplit(rows: number, testFrom: number): SplitRows {
  const from = { train: 0, test: testFrom };
  const length = { train: testFrom, test: rows - testFrom };
  return {
    trainRows: length.train,
    testRows: length.test,
    rowsAt(split, samples) {
      const out = new Uint32Array(samples.length);
      for (let i = 0; i < out.length; i++) {
        if (samples[i]! >= length[split]) throw pastTheEnd({ i, samples, split, rows: length[split] });
        out[i] = from[split] + samples[i]!;
      }
      return out;
    },
  };
}

/** The split that `heldOut` says, as lists of row numbers: four bytes a row. */
export function listedSplit(heldOut: Uint8Array): SplitRows {
  let tested = 0;
  for (const each of heldOut) tested += each;
  const train = new Uint32Array(heldOut.length - tested);
  const test = new Uint32Array(tested);
  for (let row = 0, trainAt = 0, testAt = 0; row < heldOut.length; row++) {
    if (heldOut[row] === 1) test[testAt++] = row;
    else train[trainAt++] = row;
  }
  const rows = { train, test };
  return {
    trainRows: rows.train.length,
    testRows: rows.test.length,
    rowsAt(split, samples) {
      const own = rows[split];
      const out = new Uint32Array(samples.length);
      for (let i = 0; i < out.length; i++) {
        if (samples[i]! >= own.length) throw pastTheEnd({ i, samples, split, rows: own.length });
        out[i] = own[samples[i]!]!;
      }
      return out;
    },
  };
}

/**
 * @param table of all rows, where there is one: what its dates are helps the message
 * @throws {ClusterError} BAD_DATA: no row is left for training, or none is held out where some should be
 */
export function checkSplit(spec: SplitSpec | undefined, { trainRows, testRows }: SplitRows, table?: ColumnTable): void {
  if (spec === undefined || (trainRows > 0 && testRows > 0)) return;
  const every = trainRows === 0;
  const empty = `so the ${every ? "train" : "test"} split is empty`;
  throw new ClusterError("BAD_DATA", `test split: ${emptiness(spec, every ? "every" : "no", empty, table)}`);
}

function emptiness(spec: SplitSpec, which: "every" | "no", empty: string, table?: ColumnTable): string {
  switch (spec.kind) {
    case "since": {
      const span = table && spanOf(table, spec.column);
      return (
        `column "${spec.column}": ${which} row is at or after ${spec.instant}, ${empty}` +
        `${span === undefined ? "" : `; the rows run from ${span}`}: move the instant`
      );
    }
    case "where":
      return `column "${spec.column}": ${which} row is ${spec.values.map((value) => JSON.stringify(value)).join(" or ")}, ${empty}: name other values`;
    case "fraction":
      return `a share of ${spec.fraction} drew ${which} row, ${empty}: use more rows, or another share`;
    case "files":
      return which === "every"
        ? `the files for training have no rows, ${empty}`
        : `the held-out files have no rows, ${empty}`;
    default:
      return spec satisfies never;
  }
}

/** The first and last instant of a column, for a message. */
function spanOf(table: ColumnTable, column: string): string | undefined {
  const dates = table.columns.get(column);
  if (dates?.kind !== "int64" || dates.values.length === 0) return undefined;
  let first = dates.values[0]!;
  let last = first;
  for (const at of dates.values) {
    if (at < first) first = at;
    if (at > last) last = at;
  }
  return `${isoOf(first)} to ${isoOf(last)}`;
}

export function pastTheEnd(o: { i: number; samples: Uint32Array; split: Split; rows: number }): RangeError {
  const { i, samples, split, rows } = o;
  return new RangeError(`samples[${i}]=${samples[i]} is past the end of the ${split} split, which has ${rows} rows`);
}

function isDrawn({ fraction, seed }: { fraction: number; seed: number }, row: number): boolean {
  return (mix(mix(row + mix(seed)) ^ seed) >>> 0) / 0x1_0000_0000 < fraction;
}

function heldOutWhere(spec: Extract<SplitSpec, { kind: "where" }>, context: CellContext, heldOut: Uint8Array): void {
  const cells = cellsOf({ kind: "column", column: spec.column }, context);
  const wanted = cells.kind === "string" ? "string" : "number";
  if (!spec.values.some((value) => typeof value === wanted)) {
    const holds = sortOf(columnOf(context.table, spec.column, "test split"));
    throw new ClusterError(
      "BAD_DATA",
      `test split: column "${spec.column}" holds ${holds}, and where() names ${wanted === "string" ? "numbers" : "strings"}: ` +
        `write the values as the column has them`,
    );
  }
  const values = new Set<unknown>(spec.values);
  const missing = (row: number): void =>
    context.faults.mark(row, () => `test split: column "${spec.column}" is missing; expected a value`);
  if (cells.kind === "string") {
    const isHeldOut = cells.dictionary.map((entry) => (values.has(entry) ? 1 : 0));
    const isEmpty = cells.dictionary.map((entry) => entry === "" && !values.has(""));
    for (let row = 0; row < heldOut.length; row++) {
      if (isEmpty[cells.codes[row]!]) missing(row);
      heldOut[row] = isHeldOut[cells.codes[row]!]!;
    }
    return;
  }
  const numbers = cells.kind === "small" ? cells.codes : cells.values;
  for (let row = 0; row < heldOut.length; row++) {
    const value = Number(numbers[row]!);
    const isMissing = Number.isNaN(value) || (cells.kind === "int64" && cells.missing?.[row] === 1);
    if (isMissing) missing(row);
    else heldOut[row] = values.has(value) ? 1 : 0;
  }
}

function isoOf(micros: bigint): string {
  const date = new Date(Number(micros / 1000n));
  return Number.isNaN(date.getTime()) ? `${micros} µs` : date.toISOString();
}
