/** The data that a trained model is to predict or to be evaluated on: files as those it was trained on, or arrays. */
import {
  columnsOf,
  openDataset,
  openStreamedDataset,
  type ColumnTable,
  type Dataset,
  type DataSpec,
} from "@volary/core/data";
import { fieldDemands, type JobManifest } from "@volary/core/job";
import { openData } from "@volary/node-worker";
import { arrayTable, LABEL_COLUMN, WEIGHT_COLUMN, type ArrayColumn, type ArrayData } from "./array-table.ts";

/** Values of the columns that the model's fields are made of, by their names; or of the one column there is. */
export type ColumnArrays = ArrayColumn | Readonly<Record<string, ArrayColumn>>;

export function isDataSpec(data: object): data is DataSpec {
  return "format" in data && "files" in data && "fields" in data;
}

/**
 * Rows to predict: the model's fields are made of them as they were in training; labels are not read.
 *
 * @throws {ClusterError} BAD_DATA: a file or a column is missing, or a row cannot be used
 */
export async function openForPrediction(
  manifest: JobManifest,
  data: DataSpec | ColumnArrays,
  o: { baseDirs: readonly string[] },
): Promise<Dataset> {
  const { label: _l, weight: _w, group: _g, test: _t, ...fields } = manifest.data;
  const spec: DataSpec = { ...fields, badRowsMax: 0 };
  if (isDataSpec(data)) return open(manifest, { ...spec, format: data.format, files: data.files }, o);
  return openTable(manifest, spec, await arrayTable({ x: data }, columnsOf(spec)));
}

/**
 * Rows to evaluate the model on, all of them; fields, label, weight and group are made as they were in training.
 *
 * @param data of arrays, x by column; y and sampleWeight may say label and weight
 * @throws {ClusterError} BAD_DATA: a file or a column is missing, or too many rows cannot be used
 */
export async function openForEvaluation(
  manifest: JobManifest,
  data: DataSpec | ArrayData,
  o: { baseDirs: readonly string[] },
): Promise<Dataset> {
  const { test: _, ...spec } = manifest.data;
  if (isDataSpec(data)) {
    const { format, files, badRowsMax } = data;
    return open(manifest, { ...spec, format, files, badRowsMax }, o);
  }
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

async function open(manifest: JobManifest, spec: DataSpec, o: { baseDirs: readonly string[] }): Promise<Dataset> {
  const opened = await openData(spec, { ...o, columns: columnsOf(spec) });
  if (opened.kind === "memory") return openTable(manifest, spec, opened.table);
  const { seed } = manifest;
  return openStreamedDataset({ spec, source: opened.source, demands: fieldDemands(manifest), seed });
}

function openTable(manifest: JobManifest, spec: DataSpec, table: ColumnTable): Dataset {
  return openDataset({ spec, table, demands: fieldDemands(manifest), seed: manifest.seed });
}
