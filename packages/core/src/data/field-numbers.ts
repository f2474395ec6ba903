/** Fields as numbers for the dense tower. Columns are checked when the data set is opened, not while it is read. */
import { ClusterError } from "../errors.ts";
import { bucketsOf, columnOf, sortOf, timestampsOf } from "./column-codes.ts";
import type { FieldSpec } from "./data-spec.ts";
import type { Column, ColumnTable } from "./dataset.ts";
import { datePartsOf } from "./instant.ts";

/** Numbers of the given rows, length B; the caller owns them. */
export type NumberReader = (rows: Uint32Array) => Float32Array;

interface NumberRequest {
  field: string;
  spec: FieldSpec;
  table: ColumnTable;
}

/**
 * @throws {ClusterError} BAD_DATA: strings, NaN, or no timestamps; {TypeError} a hash or cross
 */
export function numberReaderOf({ field, spec, table }: NumberRequest): NumberReader {
  if (spec.kind === "hash" || spec.kind === "cross") {
    throw new TypeError(
      `field "${field}": ${spec.kind}() gives keys, and numbers are wanted here: give its input an embedding`,
    );
  }
  const column = columnOf(table, spec.column, `field "${field}"`);
  const place = `field "${field}": column "${spec.column}"`;
  switch (spec.kind) {
    case "column":
      return scaled(finiteNumbersOf(column, place), 0, 1);
    case "standardise":
      return scaled(finiteNumbersOf(column, place), spec.mean, spec.stddev);
    case "datePart":
      return scaled(datePartsOf(timestampsOf(column, place), spec.part), 0, 1);
    case "bucket":
      return scaled(Float64Array.from(bucketsOf({ column, width: spec.width, place }), Number), 0, 1);
    default:
      return spec satisfies never;
  }
}

/**
 * The column as doubles; an int64 beyond 2^53 is rounded.
 *
 * @throws {ClusterError} BAD_DATA: strings, NaN or an infinity; the message names the first such row
 */
export function finiteNumbersOf(column: Column, place: string): Float64Array {
  if (column.kind === "string") {
    const first = column.dictionary[column.codes[0] ?? 0];
    throw new ClusterError(
      "BAD_DATA",
      `${place} holds ${sortOf(column)} (row 0 is ${JSON.stringify(first)}); expected numbers: ` +
        `store the column as numbers, or use it as keys, input({ dtype: "string" }) with an embedding`,
    );
  }
  const numbers = column.kind === "number" ? column.values : doublesOf(column.values);
  const row = numbers.findIndex((value) => !Number.isFinite(value));
  if (row < 0) return numbers;
  throw new ClusterError(
    "BAD_DATA",
    `${place}, row ${row} is ${numbers[row]}; expected a finite number: drop the row or fill the missing value`,
  );
}

function doublesOf(integers: BigInt64Array): Float64Array {
  const words = new Int32Array(integers.buffer, integers.byteOffset, 2 * integers.length);
  const doubles = new Float64Array(integers.length);
  for (let i = 0; i < doubles.length; i++) doubles[i] = words[2 * i + 1]! * 0x1_0000_0000 + (words[2 * i]! >>> 0);
  return doubles;
}

function scaled(values: Float64Array | Uint16Array, mean: number, stddev: number): NumberReader {
  return (rows) => {
    const out = new Float32Array(rows.length);
    for (let i = 0; i < rows.length; i++) out[i] = (values[rows[i]!]! - mean) / stddev;
    return out;
  };
}
