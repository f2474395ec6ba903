/**
 * What a job's loss and metrics want of the numbers of a label. A row whose label is another number is a bad row: found
 * where the data is, it can be told by file and line.
 */
import type { LabelSpec } from "../spec/data-spec.ts";
import type { FaultSink } from "./row-faults.ts";

export interface LabelDemand {
  /** For people, as `loss "hinge"`. */
  readonly wantedBy: string;
  /** A loss reads the labels of all rows, a metric those of the held-out rows. */
  readonly rows: "all" | "test";
  readonly numbers: LabelNumbers;
}

export type LabelNumbers =
  | { readonly kind: "between"; readonly min: number; readonly max: number }
  | { readonly kind: "one-of"; readonly values: readonly number[] }
  /** 0 … count − 1 */
  | { readonly kind: "class"; readonly count: number };

export interface LabelledRows {
  /** Undefined where every label is 0. */
  spec: LabelSpec | undefined;
  /** Shape [rows, width] */
  values: Float32Array;
  width: number;
  /** Shape [rows]; labels of rows that weigh 0 are never read. */
  weights: Float32Array | undefined;
  faults: FaultSink;
}

/**
 * Marks the rows whose label is not what is demanded.
 *
 * @param rows to look at; all of them where undefined
 */
export function markLabels(
  { spec, values, width, weights, faults }: LabelledRows,
  { wantedBy, numbers }: LabelDemand,
  rows?: Uint32Array,
): void {
  const fits = fitting(numbers);
  const count = rows?.length ?? values.length / width;
  for (let i = 0; i < count; i++) {
    const row = rows === undefined ? i : rows[i]!;
    if (weights?.[row] === 0) continue;
    for (let at = row * width; at < (row + 1) * width; at++) {
      const value = values[at]!;
      if (fits(value)) continue;
      const found = `${labelPlace(spec, at - row * width, width)} is ${Number(value.toPrecision(7))}`;
      faults.mark(row, () => `${found}; ${wantedBy} expects ${inWords(numbers)}`);
      break;
    }
  }
}

function fitting(numbers: LabelNumbers): (value: number) => boolean {
  switch (numbers.kind) {
    case "between": {
      const { min, max } = numbers;
      return (value) => value >= min && value <= max;
    }
    case "one-of": {
      const { values } = numbers;
      return (value) => values.includes(value);
    }
    case "class": {
      const { count } = numbers;
      return (value) => Number.isInteger(value) && value >= 0 && value < count;
    }
    default:
      return numbers satisfies never;
  }
}

function inWords(numbers: LabelNumbers): string {
  const made = "as atLeast(…) and equals(…) make of a column";
  switch (numbers.kind) {
    case "between":
      return numbers.max === Infinity ? `${numbers.min} or more` : `${numbers.min} to ${numbers.max}, ${made}`;
    case "one-of":
      return `${numbers.values.join(" or ")}, ${made}`;
    case "class":
      return (
        `the number of a class, 0 to ${numbers.count - 1}, as classes(…) makes of a column; ` +
        `a model with more classes ends in more units`
      );
    default:
      return numbers satisfies never;
  }
}

/** @param number which of the label's numbers, from 0 */
function labelPlace(spec: LabelSpec | undefined, number: number, width: number): string {
  if (spec === undefined || spec.kind === "constant") return `label: number ${number}`;
  if (spec.kind === "columns") return `label: column "${spec.columns[number]}"`;
  if (spec.kind === "classes") return `label: the class of column "${spec.column}"`;
  return `label: column "${spec.column}"${width > 1 ? `, element ${number} of its list` : ""}`;
}
