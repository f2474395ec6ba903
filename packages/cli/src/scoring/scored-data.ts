/** The data that a trained model is to predict or to be evaluated on: files as those it was trained on, or arrays. */
import {
  columnsOf,
  openDataset,
  openStreamedDataset,
  type ColumnTable,
  type Dataset,
  type DataSpec,
  type LabelDemand,
  type Split,
} from "@volary/core/data";
import { fieldDemands, labelDemandsOf, type JobManifest } from "@volary/core/job";
import { openData } from "@volary/node-worker";
import { arrayTable, LABEL_COLUMN, WEIGHT_COLUMN, type ArrayColumn, type ArrayData } from "./array-table.ts";

/** Values of the columns that the model's fields are made of, by their names; or of the one column there is. */
export type ColumnArrays = ArrayColumn | Readonly<Record<string, ArrayColumn>>;

export function isDataSpec(data: object): data is DataSpec {
  return "format" in data && "files" in data && "fields" in data;
}

export interface ScoredRows {
  /** Where files are looked for. */
  baseDirs: readonly string[];
  /** Only the rows of this split, of files; all rows without it. */
  split?: Split | undefined;
}

/** Rows of files or arrays, and the split of the data set that they are. */
export interface OpenedRows {
  dataset: Dataset;
  split: Split;
}

/**
 * Rows to predict: the model's fields are made of them as they were in training; labels are not read. Of files as many
 * bad rows are allowed as their data says; of arrays, none.
 *
 * @throws {TypeError} a split of arrays, or where nothing is held out
 * @throws {ClusterError} BAD_DATA: a file or a column is missing, or too many rows cannot be used
 */
export async function openForPrediction(
  manifest: JobManifest,
  data: DataSpec | ColumnArrays,
  o: ScoredRows,
): Promise<OpenedRows> {
  const { label: _l, weight: _w, group: _g, test: _t, ...fields } = manifest.data;
  if (isDataSpec(data)) {
    const { format, files, badRowsMax } = data;
    return open(manifest, { ...fields, format, files, badRowsMax, ...heldOut(manifest, data, o) }, o);
  }
  refuseSplit(o);
  const spec: DataSpec = { ...fields, badRowsMax: 0 };
  return openTable(manifest, spec, await arrayTable({ x: data }, columnsOf(spec)));
}

/**
 * Rows to evaluate the model on; fields, label, weight and group are made as they were in training.
 *
 * @param data of arrays, x by column; y and sampleWeight may say label and weight
 * @throws {TypeError} a split of arrays, or where nothing is held out
 * @throws {ClusterError} BAD_DATA: a file or a column is missing, or too many rows cannot be used
 */
export async function openForEvaluation(
  manifest: JobManifest,
  data: DataSpec | ArrayData,
  o: ScoredRows,
): Promise<OpenedRows> {
  const { test: _, ...spec } = manifest.data;
  if (isDataSpec(data)) {
    const { format, files, badRowsMax } = data;
    return open(manifest, { ...spec, format, files, badRowsMax, ...heldOut(manifest, data, o) }, o);
  }
  refuseSplit(o);
  const wanted = withArrays(spec, data);
  if (data.y === undefined && columnsOf(wanted).includes(LABEL_COLUMN))
    throw new TypeError("to evaluate, give the labels too, as { x, y }");
  const inputs = columnsOf(wanted).filter((column) => column !== LABEL_COLUMN && column !== WEIGHT_COLUMN);
  return openTable(manifest, wanted, await arrayTable(data, inputs));
}

/** Label and weight of the arrays, where they have them; weights that are arrays are not those of other rows. */
function withArrays(spec: DataSpec, { y, sampleWeight }: ArrayData): DataSpec {
  const { weight, ...rest } = spec;
  const ownLabel = y === undefined ? {} : { label: { kind: "column", column: LABEL_COLUMN } as const };
  if (sampleWeight !== undefined) return { ...rest, ...ownLabel, weight: { kind: "column", column: WEIGHT_COLUMN } };
  const isOfColumns = weight !== undefined && !(weight.kind === "column" && weight.column === WEIGHT_COLUMN);
  return { ...rest, ...ownLabel, ...(isOfColumns ? { weight } : {}) };
}

/** Which rows are held out, where that is asked for: as the data says, or else as the job's did. */
function heldOut(manifest: JobManifest, data: DataSpec, { split }: ScoredRows): Pick<DataSpec, "test"> {
  if (split === undefined) return {};
  const test = data.test ?? manifest.data.test;
  if (test !== undefined) return { test };
  throw new TypeError(
    `split: "${split}", and neither this data nor that of the job holds rows out; leave the split out, or give the data ` +
      `a test, as test: fraction(0.2)`,
  );
}

function refuseSplit({ split }: ScoredRows): void {
  if (split === undefined) return;
  throw new TypeError(`split: "${split}" goes with files, as csv(…); of arrays, give the rows that are meant`);
}

async function open(
  manifest: JobManifest,
  spec: DataSpec,
  { baseDirs, split = "train" }: ScoredRows,
): Promise<OpenedRows> {
  const opened = await openData(spec, { baseDirs, columns: columnsOf(spec) });
  if (opened.kind === "memory") return openTable(manifest, spec, opened.table, split);
  const { source } = opened;
  return { dataset: await openStreamedDataset({ source, ...datasetOptions(manifest, spec) }), split };
}

function openTable(manifest: JobManifest, spec: DataSpec, table: ColumnTable, split: Split = "train"): OpenedRows {
  return { dataset: openDataset({ table, purpose: "score", ...datasetOptions(manifest, spec) }), split };
}

function datasetOptions(manifest: JobManifest, spec: DataSpec) {
  const { seed } = manifest;
  // Metrics are of the rows that are scored, which are the first split where none is held out.
  const labelDemands = (labelWidth: number): LabelDemand[] =>
    labelDemandsOf({ ...manifest, data: spec }, labelWidth).map((demand) =>
      spec.test === undefined ? { ...demand, rows: "all" } : demand,
    );
  return { spec, demands: fieldDemands(manifest), seed, ...(spec.label === undefined ? {} : { labelDemands }) };
}
