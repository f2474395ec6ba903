/** A column in a few figures. */
import type { Column, ColumnType } from "@volary/core/data";

export interface ColumnReport {
  name: string;
  type: ColumnType;
  missing: number;
  /** Exact; where there are more than {@link DISTINCT_MAX}, that. Of a list's elements. */
  distinct: number;
  /** Of numbers, exact for integers; of instants in ISO 8601; of lists their shortest and longest length. */
  min?: string;
  max?: string;
  mean?: number;
  /** The first few values that differ. */
  examples: string[];
}

export const DISTINCT_MAX = 65_536;
const EXAMPLES = 3;

type Scalar = Exclude<Column, { kind: "list" }>;

/** @param type where the file says more than the column, as that its integers are instants */
export function columnReport(name: string, column: Column, type?: ColumnType): ColumnReport {
  if (column.kind !== "list")
    return { name, ...scalarReport(column, type === "timestamp" ? "timestamp" : column.kind) };
  const { offsets, elements } = column;
  const { distinct, examples } = scalarReport(elements, elements.kind);
  const lengths = offsets.subarray(1).map((end, row) => end - offsets[row]!);
  return {
    name,
    type: `${elements.kind}[]`,
    missing: lengths.filter((length) => length === 0).length,
    distinct,
    min: String(lengths.reduce((least, length) => Math.min(least, length), Infinity)),
    max: String(lengths.reduce((most, length) => Math.max(most, length), 0)),
    mean: lengthOf(elements) / Math.max(1, lengths.length),
    examples,
  };
}

function scalarReport(column: Scalar, type: "number" | "int64" | "string" | "timestamp"): Omit<ColumnReport, "name"> {
  const distinct = new Set<string | number | bigint>();
  const rows = lengthOf(column);
  let missing = 0;
  let sum = 0;
  let least: number | bigint | undefined;
  let most: number | bigint | undefined;
  for (let row = 0; row < rows; row++) {
    const value = valueAt(column, row);
    if (value === undefined) {
      missing++;
      continue;
    }
    if (distinct.size < DISTINCT_MAX) distinct.add(value);
    if (typeof value === "string") continue;
    sum += Number(value);
    if (least === undefined || value < least) least = value;
    if (most === undefined || value > most) most = value;
  }
  const text = (value: string | number | bigint): string =>
    type === "timestamp" ? isoOf(BigInt(value)) : String(value);
  return {
    type,
    missing,
    distinct: distinct.size,
    ...(least === undefined || most === undefined ? {} : { min: text(least), max: text(most) }),
    ...(least === undefined || type === "timestamp" ? {} : { mean: sum / (rows - missing) }),
    examples: [...distinct].slice(0, EXAMPLES).map(text),
  };
}

function valueAt(column: Scalar, row: number): string | number | bigint | undefined {
  switch (column.kind) {
    case "number":
      return Number.isNaN(column.values[row]) ? undefined : column.values[row];
    case "int64":
      return column.missing?.[row] === 1 ? undefined : column.values[row];
    case "string":
      return column.dictionary[column.codes[row]!] || undefined;
    default:
      return column satisfies never;
  }
}

const lengthOf = (column: Scalar): number => (column.kind === "string" ? column.codes.length : column.values.length);

function isoOf(micros: bigint): string {
  const date = new Date(Number(micros / 1000n));
  return Number.isNaN(date.getTime()) ? `${micros} µs` : date.toISOString().replace(".000Z", "Z");
}
