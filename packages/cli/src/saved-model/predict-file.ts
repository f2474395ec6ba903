/** A saved model's predictions for the rows of a file. The file needs the columns of the fields, but no label. */
import path from "node:path";
import { columnsOf, openDataset, type Dataset, type DataSpec, type FieldDemand } from "@volary/core/data";
import type { JobManifest } from "@volary/core/job";
import { TrainingModel } from "@volary/core/model";
import { openDevice, readColumns, type DeviceName } from "@volary/node-worker";
import { predictRows, rowLookup } from "./model-rows.ts";
import type { SavedModel } from "./saved-model.ts";
import { withoutGreeting } from "../tfjs-greeting.ts";

export interface FilePredictions {
  /** float32, of the first rows of the file. */
  predictions: Float32Array;
  rowsInFile: number;
}

/** Rows of one pass through the tower. */
const ROWS_PER_BATCH = 4_096;
/** A data set has a label; the rows to predict may have none. */
const NO_LABEL = "~no label";

/**
 * @param o.device the first that works, unless said otherwise
 * @param o.rows how many, from the first
 * @throws {ClusterError} BAD_DATA: the file is missing, broken, or lacks a column
 */
export async function predictFile(o: {
  saved: SavedModel;
  file: string;
  rows: number;
  device?: DeviceName;
}): Promise<FilePredictions> {
  const dataset = await openRows(o.saved.manifest, o.file);
  return withoutGreeting(async () => {
    const device = await openDevice(o.device);
    try {
      return await predict({ ...o, dataset });
    } finally {
      device.close();
    }
  });
}

async function predict(o: { saved: SavedModel; rows: number; dataset: Dataset }): Promise<FilePredictions> {
  const { saved, rows, dataset } = o;
  const { manifest, dense } = saved;
  const model = await TrainingModel.create(manifest.model, manifest.compile.loss);
  model.setDense(dense);
  const lookup = rowLookup(saved);
  const predictions = new Float32Array(Math.min(rows, dataset.trainRows));
  for (let from = 0; from < predictions.length; from += ROWS_PER_BATCH) {
    const count = Math.min(ROWS_PER_BATCH, predictions.length - from);
    const batch = dataset.read(
      "train",
      Uint32Array.from({ length: count }, (_, i) => from + i),
    );
    predictions.set(await predictRows({ saved, lookup, model, batch }), from);
  }
  model.dispose();
  return { predictions, rowsInFile: dataset.trainRows };
}

async function openRows({ data, model }: JobManifest, file: string): Promise<Dataset> {
  const { test: _, ...rest } = data;
  const spec: DataSpec = {
    ...rest,
    file: { kind: "file", path: path.resolve(file) },
    label: { kind: "column", column: NO_LABEL },
  };
  const columns = columnsOf(spec).filter((column) => column !== NO_LABEL);
  const table = await readColumns(spec, { baseDirs: [process.cwd()], columns });
  const noLabel = { kind: "number", values: new Float64Array(table.rows) } as const;
  const keys = new Set(model.embeddings.map(({ field }) => field));
  const demands: FieldDemand[] = [
    ...Array.from(keys, (name) => ({ name, as: "keys" as const })),
    ...model.numbers.map(({ field }) => ({ name: field, as: "numbers" as const })),
  ];
  return openDataset({
    spec,
    table: { rows: table.rows, columns: new Map([...table.columns, [NO_LABEL, noLabel]]) },
    demands,
  });
}
