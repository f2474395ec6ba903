/**
 * The values of a field's parts, row by row, before they become keys or numbers: a column, or what dates, buckets,
 * quantiles and the transforms of numbers make of one. A missing value stays missing through all of them.
 *
 * A column of a wrong sort ends the job at once; a value that is out of range makes its row a bad one.
 */
import { ClusterError } from "../../errors.ts";
import type { FieldSpec } from "../spec/data-spec.ts";
import type { Column, ColumnTable } from "../spec/dataset.ts";
import { callOf, unaryLeaf } from "./field-demand.ts";
import { DATE_PART_SIZES, datePartsOf } from "./instant.ts";
import { didYouMean, quoted } from "../spec/nearest-name.ts";
import type { FaultSink } from "./row-faults.ts";

export type Cells =
  | Exclude<Column, { kind: "list" }>
  /** Integers in [0, size). */
  | {
      kind: "small";
      codes: Uint8Array | Uint16Array | Uint32Array;
      size: number;
      missing?: Uint8Array | undefined;
    };

export interface CellContext {
  /** What messages begin with, as `field "age"`. */
  place: string;
  table: ColumnTable;
  faults: FaultSink;
}

/** @throws {ClusterError} BAD_DATA: no such column, or one of a wrong sort */
export function cellsOf(spec: FieldSpec, context: CellContext): Cells {
  switch (spec.kind) {
    case "column":
      return scalarsOf(columnOf(context.table, spec.column, context.place), context, spec.column);
    case "datePart": {
      const column = columnOf(context.table, spec.column, context.place);
      const { values, missing } = timestampsOf(column, `${context.place}: column "${spec.column}"`);
      return { kind: "small", codes: datePartsOf(values, spec.part), size: DATE_PART_SIZES[spec.part], missing };
    }
    case "bucket":
      return bucketsOf(spec, context);
    case "quantiles":
      return quantilesOf(numbersOf(spec.of, context, callOf(spec)), spec.edges ?? []);
    case "standardise": {
      const { mean = 0, stddev = 1 } = spec;
      return mapped(numbersOf(spec.of, context, callOf(spec)), (x) => (x - mean) / stddev);
    }
    case "log": {
      const { plus } = spec;
      return mapped(numbersOf(spec.of, context, callOf(spec)), (x) => Math.log(x + plus));
    }
    case "clip": {
      const { min, max } = spec;
      return mapped(numbersOf(spec.of, context, callOf(spec)), (x) => (x < min ? min : x > max ? max : x));
    }
    case "withDefault":
      return filled(cellsOf(spec.of, context), spec, context);
    case "hash":
    case "cross":
    case "split":
    case "negatives":
      throw new TypeError(`${context.place}: ${callOf(spec)} gives keys, and no values`);
    default:
      return spec satisfies never;
  }
}

/**
 * The cells of a part as doubles, NaN where a value is missing; an int64 beyond 2^53 is rounded. Not to be written to.
 *
 * @param wantedBy the call that needs numbers, for the message; undefined where the model does
 * @throws {ClusterError} BAD_DATA: strings
 */
export function numbersOf(spec: FieldSpec, context: CellContext, wantedBy?: string): Float64Array {
  return doublesIn(cellsOf(spec, context), spec, context, wantedBy);
}

function doublesIn(cells: Cells, spec: FieldSpec, context: CellContext, wantedBy: string | undefined): Float64Array {
  switch (cells.kind) {
    case "number":
      return cells.values;
    case "int64":
      return withNaN(doublesOf(cells.values), cells.missing);
    case "small":
      return withNaN(new Float64Array(cells.codes), cells.missing);
    case "string": {
      const example = JSON.stringify(cells.dictionary[cells.codes[0] ?? 0] ?? "");
      const column = JSON.stringify("column" in spec ? spec.column : "…");
      const remedy = context.place.startsWith("label")
        ? `say which one counts as 1, as equals(${column}, ${example}), or name the classes, as classes(${column}, [${example}, …])`
        : wantedBy === undefined
          ? 'store the column as numbers, or use it as keys, input({ dtype: "string" }) with an embedding'
          : `${wantedBy} needs them; use hash() or column() for strings`;
      throw new ClusterError(
        "BAD_DATA",
        `${leafPlace(spec, context)} holds strings (the first is ${example}); expected numbers: ${remedy}`,
      );
    }
    default:
      return cells satisfies never;
  }
}

/** What messages call a field's column, as `field "age": column "years"`. */
export function leafPlace(spec: FieldSpec, { place }: Pick<CellContext, "place">): string {
  const leaf = unaryLeaf(spec);
  return "column" in leaf ? `${place}: column "${leaf.column}"` : place;
}

/** What a bad value is, in words: the value of the column, and what became of it. */
export function valueInWords(spec: FieldSpec, { table }: Pick<CellContext, "table">, row: number): string {
  const leaf = unaryLeaf(spec);
  const column = "column" in leaf ? table.columns.get(leaf.column) : undefined;
  if (column === undefined) return "out of range";
  switch (column.kind) {
    case "number": {
      const value = column.values[row]!;
      if (Number.isNaN(value)) return "missing (NaN)";
      return leaf === spec || !Number.isFinite(value)
        ? `${value}`
        : `${value}, of which ${callOf(spec)} makes no number`;
    }
    case "int64":
      if (column.missing?.[row] === 1) return "missing";
      return leaf === spec
        ? `${column.values[row]}`
        : `${column.values[row]}, of which ${callOf(spec)} makes no number`;
    case "string": {
      const value = column.dictionary[column.codes[row]!] ?? "";
      return value === "" ? "missing" : JSON.stringify(value);
    }
    case "list":
      return "a list";
    default:
      return column satisfies never;
  }
}

/** @throws {ClusterError} BAD_DATA: no such column; the message names those there are */
export function columnOf(table: ColumnTable, name: string, wantedBy: string): Column {
  const column = table.columns.get(name);
  if (column !== undefined) return column;
  const names = [...table.columns.keys()];
  throw new ClusterError(
    "BAD_DATA",
    `${wantedBy}: no column "${name}" in the data, which has ${quoted(names)}.${didYouMean(name, names)}`,
  );
}

/** The column's microseconds since 1970. */
export function timestampsOf(column: Column, place: string): Extract<Column, { kind: "int64" }> {
  if (column.kind === "int64") return column;
  throw new ClusterError(
    "BAD_DATA",
    `${place} holds ${sortOf(column)}; expected timestamps (int64 microseconds since 1970): store it as a timestamp, ` +
      `or declare it so with types`,
  );
}

/** What a column holds, in words for messages. */
export function sortOf(column: Column): string {
  switch (column.kind) {
    case "string":
      return "strings";
    case "int64":
      return "64-bit integers";
    case "number":
      return "numbers";
    case "list":
      return "lists";
    default:
      return column satisfies never;
  }
}

/** int64s as doubles, without a BigInt for each. */
function doublesOf(integers: BigInt64Array): Float64Array {
  const words = new Int32Array(integers.buffer, integers.byteOffset, 2 * integers.length);
  const doubles = new Float64Array(integers.length);
  for (let i = 0; i < doubles.length; i++) doubles[i] = words[2 * i + 1]! * 0x1_0000_0000 + (words[2 * i]! >>> 0);
  return doubles;
}

/** The u32 pairs of int64s, low word first: every platform with WebGPU, WebGL or Node is little-endian. */
export function wordsOf(integers: BigInt64Array): Uint32Array {
  return new Uint32Array(integers.buffer, integers.byteOffset, 2 * integers.length);
}

function scalarsOf(column: Column, { place }: CellContext, name: string): Exclude<Column, { kind: "list" }> {
  if (column.kind !== "list") return column;
  throw new ClusterError(
    "BAD_DATA",
    `${place}: column "${name}" holds lists; one value a row was expected: give its input the shape of a list, [null]`,
  );
}

/** floor(value / width) of every row. An int64 beyond ±2^53 is divided exactly by a whole width. */
function bucketsOf(spec: Extract<FieldSpec, { kind: "bucket" }>, context: CellContext): Cells {
  const { of, width } = spec;
  const cells = cellsOf(of, context);
  const values = cells.kind === "int64" ? cells.values : doublesIn(cells, of, context, callOf(spec));
  const missing = cells.kind === "int64" || cells.kind === "small" ? cells.missing : undefined;
  let absent = missing;
  const buckets = new BigInt64Array(values.length);
  const words = wordsOf(buckets);
  for (let row = 0; row < values.length; row++) {
    const value = values[row]!;
    if (typeof value === "bigint" && Number.isInteger(width) && !isSafe(value)) {
      buckets[row] = floorDivide(value, BigInt(width));
      continue;
    }
    const bucket = Math.floor(Number(value) / width);
    if (Number.isSafeInteger(bucket)) {
      words[2 * row] = bucket;
      words[2 * row + 1] = Math.floor(bucket / 0x1_0000_0000);
    } else if (Number.isNaN(bucket)) {
      if (absent === missing) absent = missing?.slice() ?? new Uint8Array(values.length);
      absent![row] = 1;
    } else {
      context.faults.mark(
        row,
        () => `${leafPlace(spec, context)} is ${value}; expected a number to divide by ${width} (within ±2^53)`,
      );
    }
  }
  return { kind: "int64", values: buckets, missing: absent };
}

/** How many edges are at most the value. */
function quantilesOf(values: Float64Array, edges: readonly number[]): Cells {
  const size = edges.length + 1;
  const codes = size <= 256 ? new Uint8Array(values.length) : new Uint32Array(values.length);
  const sorted = Float64Array.from(edges).sort();
  let missing: Uint8Array | undefined;
  for (let row = 0; row < values.length; row++) {
    const value = values[row]!;
    if (Number.isNaN(value)) {
      missing ??= new Uint8Array(values.length);
      missing[row] = 1;
      continue;
    }
    let low = 0;
    let high = sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (sorted[middle]! <= value) low = middle + 1;
      else high = middle;
    }
    codes[row] = low;
  }
  return { kind: "small", codes, size, missing };
}

function mapped(values: Float64Array, of: (x: number) => number): Cells {
  const out = new Float64Array(values.length);
  for (let row = 0; row < out.length; row++) out[row] = of(values[row]!);
  return { kind: "number", values: out };
}

function filled(cells: Cells, spec: Extract<FieldSpec, { kind: "withDefault" }>, context: CellContext): Cells {
  const { value } = spec;
  if ((typeof value === "string") !== (cells.kind === "string")) {
    const holds = cells.kind === "string" ? "strings" : "numbers";
    throw new ClusterError(
      "BAD_DATA",
      `${leafPlace(spec, context)} gives ${holds}, and its default is ${JSON.stringify(value)}: ` +
        `write withDefault(…, ${cells.kind === "string" ? '"none"' : "0"})`,
    );
  }
  switch (cells.kind) {
    case "string": {
      if (!cells.dictionary.includes("")) return cells;
      const dictionary = cells.dictionary.map((entry) => (entry === "" ? (value as string) : entry));
      return { kind: "string", codes: cells.codes, dictionary };
    }
    case "number":
      return mapped(cells.values, (x) => (Number.isNaN(x) ? (value as number) : x));
    case "int64":
    case "small":
      return cells.missing === undefined ? cells : filledIntegers(cells, cells.missing, value as number);
    default:
      return cells satisfies never;
  }
}

function filledIntegers(cells: Extract<Cells, { kind: "int64" | "small" }>, missing: Uint8Array, value: number): Cells {
  if (!Number.isSafeInteger(value)) {
    const values = cells.kind === "int64" ? doublesOf(cells.values) : new Float64Array(cells.codes);
    return { kind: "number", values: values.map((x, row) => (missing[row] === 1 ? value : x)) };
  }
  if (cells.kind === "small" && value >= 0 && value < cells.size) {
    return { kind: "small", size: cells.size, codes: cells.codes.map((x, row) => (missing[row] === 1 ? value : x)) };
  }
  const integers = cells.kind === "int64" ? cells.values.slice() : BigInt64Array.from(cells.codes, BigInt);
  const filling = BigInt(value);
  for (let row = 0; row < integers.length; row++) if (missing[row] === 1) integers[row] = filling;
  return { kind: "int64", values: integers };
}

function withNaN(doubles: Float64Array, missing: Uint8Array | undefined): Float64Array {
  if (missing !== undefined)
    for (let row = 0; row < doubles.length; row++) if (missing[row] === 1) doubles[row] = Number.NaN;
  return doubles;
}

function isSafe(value: bigint): boolean {
  return Number.isSafeInteger(Number(value));
}

function floorDivide(value: bigint, by: bigint): bigint {
  const quotient = value / by;
  return value < 0n && quotient * by !== value ? quotient - 1n : quotient;
}
