/**
 * The numbers in a data spec that come from the data: mean and deviation of standardise(), edges of quantiles(). They
 * are fitted once, over the training rows, by whoever submits a job; from then on they stand in its manifest, so every
 * worker, and a saved model, computes with the same ones.
 */
import { ClusterError } from "../../errors.ts";
import { leafPlace, numbersOf } from "./cells.ts";
import type { DataSpec, FieldSpec } from "../spec/data-spec.ts";
import type { ColumnTable } from "../spec/dataset.ts";
import { callOf, unfittedPart } from "./field-demand.ts";
import { listsOf } from "./field-lists.ts";
import { QuantileSketch } from "./quantile-sketch.ts";
import { RowFaults } from "./row-faults.ts";
import { heldOutRows } from "./splits.ts";

/** Whether a field, the weight or the group has numbers that are still to be fitted. */
export function needsFitting(spec: DataSpec): boolean {
  return namedFields(spec).some(([, field]) => unfittedPart(field) !== undefined);
}

/**
 * The spec with all its numbers: mean and standard deviation of the population (1 for a constant, as scikit-learn has
 * it), and quantiles, exact up to 16,384 values and within 0.05 % of the rank beyond ({@link QuantileSketch}). Held-out
 * rows, rows that could not be read and missing values are left out.
 *
 * @param tables all rows of the data set, in order, each once; read only where there is something to fit. A table's
 *   `testFrom` says where the files of a `files` split begin; the tables after it are held out too
 * @throws {TypeError} a part to be fitted inside of another
 * @throws {ClusterError} BAD_DATA: a column is missing or of a wrong sort, or has no value to fit to
 */
export async function fitFields(spec: DataSpec, tables: AsyncIterable<ColumnTable>): Promise<DataSpec> {
  const fits = fitsOf(spec);
  if (fits.size === 0) return spec;
  let firstRow = 0;
  let isHeldOut = false;
  for await (const table of tables) {
    const isTraining = trainingRows(spec, { table, firstRow, isHeldOut });
    for (const fit of fits.values()) addTable(fit, table, isTraining);
    firstRow += table.rows;
    isHeldOut ||= table.testFrom !== undefined && table.testFrom < table.rows;
  }
  const fitted = new Map(Array.from(fits, ([identity, fit]) => [identity, fittedPart(fit)]));
  return {
    ...spec,
    fields: Object.fromEntries(Object.entries(spec.fields).map(([name, field]) => [name, withFits(field, fitted)])),
    ...(spec.weight === undefined ? {} : { weight: withFits(spec.weight, fitted) }),
    ...(spec.group === undefined ? {} : { group: withFits(spec.group, fitted) }),
  };
}

type UnfittedPart = Extract<FieldSpec, { kind: "standardise" | "quantiles" }>;

interface Fit {
  place: string;
  part: UnfittedPart;
  moments: Moments;
  sketch: QuantileSketch;
}

/** Welford's running moments ("Note on a method for calculating corrected sums", 1962). */
interface Moments {
  count: number;
  mean: number;
  /** Σ (x − mean)² */
  squares: number;
}

function namedFields(spec: DataSpec): [string, FieldSpec][] {
  const fields = Object.entries(spec.fields).map(([name, field]): [string, FieldSpec] => [`field "${name}"`, field]);
  if (spec.weight !== undefined) fields.push(["weight", spec.weight]);
  if (spec.group !== undefined) fields.push(["group", spec.group]);
  return fields;
}

/** Each unfitted part once, by what it is made of. */
function fitsOf(spec: DataSpec): Map<string, Fit> {
  const fits = new Map<string, Fit>();
  for (const [place, field] of namedFields(spec)) {
    eachUnfitted(field, (part) => {
      const inner = unfittedPart(part.of);
      if (inner !== undefined) {
        throw new TypeError(
          `${place}: ${callOf(inner)} inside of ${callOf(part)} cannot be fitted with it: ` +
            `${part.kind === "quantiles" ? "quantiles need no standardise()" : "one of the two is enough"}, or give the inner one its numbers`,
        );
      }
      const identity = JSON.stringify(part);
      if (fits.has(identity)) return;
      fits.set(identity, { place, part, moments: { count: 0, mean: 0, squares: 0 }, sketch: new QuantileSketch() });
    });
  }
  return fits;
}

function eachUnfitted(spec: FieldSpec, found: (part: UnfittedPart) => void): void {
  const part = unfittedPart(spec);
  if (part === undefined) return;
  if (part === spec) found(part);
  else if ("of" in spec) for (const inner of Array.isArray(spec.of) ? spec.of : [spec.of]) eachUnfitted(inner, found);
}

interface TablePlace {
  table: ColumnTable;
  firstRow: number;
  /** All of it is held out. */
  isHeldOut: boolean;
}

/** 1 where a row is for training and could be read. */
function trainingRows({ test }: DataSpec, { table, firstRow, isHeldOut }: TablePlace): Uint8Array {
  const isTraining = new Uint8Array(table.rows);
  if (test?.kind === "files") isTraining.fill(1, 0, isHeldOut ? 0 : table.testFrom);
  else if (test === undefined) isTraining.fill(1);
  else {
    const heldOut = heldOutRows({ spec: test, table, firstRow, faults: new RowFaults(table) });
    for (let row = 0; row < table.rows; row++) isTraining[row] = 1 - heldOut[row]!;
  }
  for (const { row } of table.badRows ?? []) isTraining[row] = 0;
  return isTraining;
}

function addTable(fit: Fit, table: ColumnTable, isTraining: Uint8Array): void {
  const { place, part } = fit;
  const lists = listsOf({ place, spec: part.of, table, copies: 1 });
  const context = { place, table: lists?.elements ?? table, faults: new RowFaults(lists?.elements ?? table) };
  const values = numbersOf(lists?.spec ?? part.of, context, callOf(part));
  for (let row = 0; row < table.rows; row++) {
    if (isTraining[row] === 0) continue;
    const end = lists === undefined ? row + 1 : lists.offsets[row + 1]!;
    for (let at = lists === undefined ? row : lists.offsets[row]!; at < end; at++) {
      if (Number.isFinite(values[at]!)) addValue(fit, values[at]!);
    }
  }
}

function addValue({ part, moments, sketch }: Fit, value: number): void {
  if (part.kind === "quantiles") {
    sketch.add(value);
    return;
  }
  moments.count++;
  const off = value - moments.mean;
  moments.mean += off / moments.count;
  moments.squares += off * (value - moments.mean);
}

function fittedPart({ place, part, moments, sketch }: Fit): UnfittedPart {
  if (moments.count + sketch.count === 0) {
    throw new ClusterError(
      "BAD_DATA",
      `${leafPlace(part, { place })} has no number in the training rows, and ${callOf(part)} is fitted to them: ` +
        `leave the field out, or give it its numbers`,
    );
  }
  if (part.kind === "quantiles") return { ...part, edges: sketch.edges(part.buckets) };
  const { mean, squares, count } = moments;
  const deviation = Math.sqrt(squares / count);
  return { ...part, mean: part.mean ?? mean, stddev: part.stddev ?? (deviation > 0 ? deviation : 1) };
}

function withFits(spec: FieldSpec, fitted: ReadonlyMap<string, UnfittedPart>): FieldSpec {
  const own = fitted.get(JSON.stringify(spec));
  if (own !== undefined) return own;
  if (!("of" in spec)) return spec;
  const of = Array.isArray(spec.of) ? spec.of.map((part) => withFits(part, fitted)) : withFits(spec.of, fitted);
  return { ...spec, of } as FieldSpec;
}
