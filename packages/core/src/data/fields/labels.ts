/** The labels of a table: L float32 for every row. A row whose label is missing or out of range is a bad row. */
import { cellsOf, columnOf, numbersOf, sortOf, valueInWords, type CellContext, type Cells } from "./cells.ts";
import { ClusterError } from "../../errors.ts";
import type { FieldSpec, LabelSpec } from "../spec/data-spec.ts";
import type { ColumnTable } from "../spec/dataset.ts";
import { floatsOf } from "./field-numbers.ts";
import { FieldCompiler } from "./fields.ts";
import { didYouMean } from "../spec/nearest-name.ts";
import type { FaultSink } from "./row-faults.ts";

export interface Labels {
  width: number;
  /** Shape [rows, width] */
  values: Float32Array;
}

/** Values of a column among which one is looked for that is spelt alike. */
const VALUES_LOOKED_AT = 1_000;

export interface LabelRequest {
  spec: LabelSpec | undefined;
  table: ColumnTable;
  faults: FaultSink;
  /** Of a label that is a column of lists; the first list that is there tells it where it is not given. */
  width?: number | undefined;
}

/** @throws {ClusterError} BAD_DATA: a column is missing or of a wrong sort */
export function labelsOf({ spec, table, faults, width }: LabelRequest): Labels {
  const { rows } = table;
  const context: CellContext = { place: "label", table, faults };
  if (spec === undefined) return { width: 1, values: new Float32Array(rows) };
  switch (spec.kind) {
    case "constant":
      return { width: spec.values.length, values: repeated(spec.values, rows) };
    case "columns":
      return {
        width: spec.columns.length,
        values: sideBySide(spec.columns.map((name) => floatsOf(partOf(name), context))),
      };
    case "column": {
      if (columnOf(table, spec.column, "label").kind !== "list")
        return { width: 1, values: floatsOf(partOf(spec.column), context) };
      const floats = width ?? labelWidthIn(spec, table);
      const compiler = new FieldCompiler(table, faults);
      const read = compiler.numbers({ place: "label", spec: partOf(spec.column), width: floats });
      return { width: floats, values: read(compiler.batch(Uint32Array.from({ length: rows }, (_, row) => row))) };
    }
    case "atLeast":
      return { width: 1, values: atLeast(numbersOf(partOf(spec.column), context), spec, context) };
    case "equals":
      return { width: 1, values: flagsOf(placesOf([spec.value], spec.column, context)) };
    case "classes": {
      const places = placesOf(spec.values, spec.column, context);
      for (let row = 0; row < rows; row++) {
        if (places[row]! >= 0) continue;
        faults.mark(row, () => `${notAClass(table, spec.column, row)}; expected one of ${inWords(spec.values)}`);
        places[row] = 0;
      }
      return { width: 1, values: places };
    }
    default:
      return spec satisfies never;
  }
}

/** How many numbers a label has, as the first rows of `table` tell; 1 where no list of them holds any. */
export function labelWidthIn(spec: LabelSpec | undefined, table: ColumnTable): number {
  if (spec?.kind === "constant") return spec.values.length;
  if (spec?.kind === "columns") return spec.columns.length;
  if (spec?.kind !== "column") return 1;
  const column = columnOf(table, spec.column, "label");
  if (column.kind !== "list") return 1;
  const bad = new Set(table.badRows?.map(({ row }) => row));
  for (let row = 0; row < table.rows; row++) {
    const length = column.offsets[row + 1]! - column.offsets[row]!;
    if (length > 0 && !bad.has(row)) return length;
  }
  return 1;
}

/**
 * Labels that are all 0 teach nothing, and a value that is spelt otherwise makes them so.
 *
 * @throws {ClusterError} BAD_DATA: no row has the value that `equals()` names
 */
export function checkOccurs(spec: LabelSpec | undefined, { values }: Labels, table: ColumnTable): void {
  if (spec?.kind !== "equals" || values.includes(1)) return;
  const { column: name, value } = spec;
  const column = columnOf(table, name, "label");
  const found = new Set<string | number>();
  for (let row = 0; row < table.rows && found.size < VALUES_LOOKED_AT; row++) {
    if (column.kind === "string") found.add(column.dictionary[column.codes[row]!]!);
    else if (column.kind !== "list") found.add(Number(column.values[row]));
  }
  const near = typeof value === "string" ? didYouMean(value, [...found].map(String)) : "";
  throw new ClusterError(
    "BAD_DATA",
    `label: no row has ${JSON.stringify(value)} in column "${name}", so that every label is 0; it has ` +
      `${inWords([...found])}.${near} Name one of them in equals(…)`,
  );
}

/** Compared in full precision, so that a threshold lies where it was written. */
function atLeast(
  values: Float64Array,
  { column, threshold }: Extract<LabelSpec, { kind: "atLeast" }>,
  context: CellContext,
): Float32Array {
  const labels = new Float32Array(values.length);
  for (let row = 0; row < labels.length; row++) {
    const value = values[row]!;
    if (value >= threshold) labels[row] = 1;
    if (Number.isFinite(value)) continue;
    const found = (): string => valueInWords(partOf(column), context, row);
    context.faults.mark(row, () => `label: column "${column}" is ${found()}; expected a finite number`);
  }
  return labels;
}

function partOf(column: string): FieldSpec {
  return { kind: "column", column };
}

/** 1 where the place is the first, else 0. */
function flagsOf(places: Float32Array): Float32Array {
  for (let row = 0; row < places.length; row++) places[row] = places[row] === 0 ? 1 : 0;
  return places;
}

/** The place of each row's value among `values`, −1 where it is none of them. */
function placesOf(values: readonly (string | number)[], name: string, context: CellContext): Float32Array {
  const cells = cellsOf(partOf(name), context);
  const wanted = cells.kind === "string" ? "string" : "number";
  if (!values.some((value) => typeof value === wanted)) {
    const holds = sortOf(columnOf(context.table, name, context.place));
    const example = wanted === "string" ? `"${values[0]}"` : "numbers, without quotes";
    throw new ClusterError(
      "BAD_DATA",
      `label: column "${name}" holds ${holds}, and the label compares it with ${inWords(values)}: write ${example}`,
    );
  }
  const placeOf = new Map<unknown, number>(values.map((value, place) => [value, place]));
  return placesIn(cells, placeOf, (row) =>
    context.faults.mark(row, () => `label: column "${name}" is missing; expected a value`),
  );
}

function placesIn(
  cells: Cells,
  placeOf: ReadonlyMap<unknown, number>,
  markMissing: (row: number) => void,
): Float32Array {
  if (cells.kind === "string") {
    const { codes, dictionary } = cells;
    const places = dictionary.map((entry) => placeOf.get(entry) ?? -1);
    const out = new Float32Array(codes.length);
    for (let row = 0; row < out.length; row++) {
      out[row] = places[codes[row]!]!;
      if (dictionary[codes[row]!] === "") markMissing(row);
    }
    return out;
  }
  const numbers = cells.kind === "small" ? cells.codes : cells.values;
  const missing = cells.kind === "number" ? undefined : cells.missing;
  const out = new Float32Array(numbers.length);
  for (let row = 0; row < out.length; row++) {
    const value = Number(numbers[row]!);
    // An integer that a double rounds is none of the values.
    out[row] =
      (typeof numbers[row] === "bigint" && !Number.isSafeInteger(value) ? undefined : placeOf.get(value)) ?? -1;
    if (missing?.[row] === 1 || Number.isNaN(value)) markMissing(row);
  }
  return out;
}

function notAClass(table: ColumnTable, name: string, row: number): string {
  const column = table.columns.get(name);
  const value =
    column?.kind === "string"
      ? JSON.stringify(column.dictionary[column.codes[row]!])
      : column?.kind === "list"
        ? "a list"
        : column?.values[row];
  return `label: column "${name}" is ${value}`;
}

function inWords(values: readonly (string | number)[]): string {
  const told = values.slice(0, 8).map((value) => JSON.stringify(value));
  return `${told.join(", ")}${values.length > told.length ? `, … (${values.length})` : ""}`;
}

function repeated(values: readonly number[], rows: number): Float32Array {
  const out = new Float32Array(rows * values.length);
  for (let row = 0; row < rows; row++) out.set(values, row * values.length);
  return out;
}

function sideBySide(columns: readonly Float32Array[]): Float32Array {
  const width = columns.length;
  const out = new Float32Array(width * (columns[0]?.length ?? 0));
  for (const [place, values] of columns.entries())
    for (let row = 0; row < values.length; row++) out[row * width + place] = values[row]!;
  return out;
}
