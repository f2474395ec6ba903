/** A saved model's predictions for the rows of a file. The file needs the columns of the fields, but no label. */
import path from "node:path";
import type { BadRow, Dataset, DataSpec, FormatSpec } from "@volary/core/data";
import { Plugins } from "@volary/core/plugin";
import type { DeviceName } from "@volary/node-worker";
import { openForPrediction } from "../scoring/scored-data.ts";
import { predictRows } from "../scoring/scored-rows.ts";
import { rowLookup, savedRows } from "./model-rows.ts";
import { UserError } from "../user-error.ts";
import type { SavedModel } from "./saved-model.ts";

/** What a saved model says of the first rows of a file. */
export interface FilePredictions {
  /** float32, of the first rows of the file, shape [rows, outputs]. */
  predictions: Float32Array;
  /** Numbers the model gives for a row. */
  outputs: number;
  rowsInFile: number;
  /** Rows that cannot be used, whose predictions are NaN. */
  badRows: { count: number; first: readonly BadRow[] };
}

/**
 * Predicts the rows of a file with a saved model, in this process; no cluster is needed.
 *
 * @param o.device the first that works, unless said otherwise
 * @param o.rows how many, from the first
 * @param o.badRowsMax none, unless said otherwise
 * @throws {ClusterError} BAD_DATA: the file is missing, broken, or lacks a column
 * @throws {UserError} too many rows cannot be used
 */
export async function predictFile(o: {
  saved: SavedModel;
  file: string;
  rows: number;
  badRowsMax?: number | undefined;
  device?: DeviceName;
  plugins?: Plugins;
}): Promise<FilePredictions> {
  const { saved, device, badRowsMax = 0, plugins = Plugins.none } = o;
  const { manifest, dense } = saved;
  const data: DataSpec = {
    ...manifest.data,
    format: formatOf(manifest.data.format, o.file),
    files: [{ kind: "file", path: path.resolve(o.file) }],
    // Counted below, to name the command's own remedy.
    badRowsMax: Number.MAX_SAFE_INTEGER,
  };
  const opened = await openForPrediction(manifest, data, { baseDirs: [process.cwd()] });
  const { dataset } = opened;
  try {
    refuseBadRows(dataset, badRowsMax);
    const lookup = rowLookup(saved);
    const trained = {
      manifest,
      dense,
      plugins,
      device,
      rowsOf: async (batch: Parameters<typeof savedRows>[0]["batch"]) => savedRows({ manifest, lookup, batch }),
    };
    const { values, shape } = await predictRows(trained, opened, o.rows);
    refuseBadRows(dataset, badRowsMax);
    return { predictions: values, outputs: shape[1], rowsInFile: dataset.trainRows, badRows: dataset.badRows() };
  } finally {
    await dataset.close();
  }
}

/** A file in memory tells its bad rows when it is opened, a larger one when it is read. */
function refuseBadRows(dataset: Dataset, badRowsMax: number): void {
  const { count, first } = dataset.badRows();
  if (count <= badRowsMax) return;
  const told = first.slice(0, 3).map(({ place, fault }) => `${place}: ${fault}. `);
  throw new UserError(
    `${count} of ${dataset.trainRows} rows cannot be predicted, and at most ${badRowsMax} may be left out. ${told.join("")}` +
      `Correct them, or leave their predictions empty with --bad-rows-max ${count}`,
  );
}

/** A model that was trained on arrays reads whatever its file's name says, by the names of its inputs. */
function formatOf(trained: FormatSpec, file: string): FormatSpec {
  if (trained.kind !== "table") return trained;
  const text = { header: true, types: {}, missing: [] };
  switch (path.extname(file.replace(/\.(gz|zst)$/, ""))) {
    case ".csv":
      return { kind: "csv", delimiter: ",", ...text };
    case ".tsv":
      return { kind: "csv", delimiter: "\t", ...text };
    case ".jsonl":
      return { kind: "jsonl", types: {} };
    case ".parquet":
      return { kind: "parquet" };
    default:
      return trained;
  }
}
