/**
 * Scores rows with a trained model outside of training: to predict them, or to evaluate the model on them. Where the
 * model's embedding rows come from is an argument: the PS nodes, or a saved model's files.
 *
 * Shapes: B samples, O numbers the model gives.
 */
import type { Batch, Dataset, Split } from "@volary/core/data";
import type { JobManifest } from "@volary/core/job";
import { newMetrics } from "@volary/core/metrics";
import { openModel } from "@volary/core/model";
import type { Plugins } from "@volary/core/plugin";
import type { GradientModel, StepRows } from "@volary/core/training";
import { withDevice, type DeviceName } from "@volary/node-worker";
import { withoutGreeting } from "../tfjs-greeting.ts";
import type { OpenedRows } from "./scored-data.ts";

export interface TrainedRows {
  manifest: JobManifest;
  plugins: Plugins;
  /** float32, all variables in order. */
  dense: Float32Array;
  /** The batch with its embedding rows. */
  rowsOf(batch: Batch): Promise<StepRows>;
  /** The first that works, unless said otherwise. */
  device?: DeviceName | undefined;
}

/** What a model says of rows. */
export interface Predictions {
  /** float32, row after row, shape [B, O]; NaN of a bad row. */
  readonly values: Float32Array;
  /** [B, O] */
  readonly shape: readonly [rows: number, outputs: number];
}

/** Rows of one pass through the tower. */
const ROWS_PER_BATCH = 4_096;

/** @param rowsMax how many, from the first */
export async function predictRows(
  trained: TrainedRows,
  { dataset, split }: OpenedRows,
  rowsMax = Infinity,
): Promise<Predictions> {
  const { outputs } = trained.manifest.model;
  const rows = Math.min(rowsMax, rowsIn(dataset, split));
  const values = new Float32Array(rows * outputs);
  let at = 0;
  await eachBatch(trained, { dataset, split, rows }, ({ batch, scores }) => {
    values.set(scores, at);
    batch.weight?.forEach((weight, b) => {
      if (weight === 0) values.fill(Number.NaN, at + b * outputs, at + (b + 1) * outputs);
    });
    at += scores.length;
  });
  return { values, shape: [rows, outputs] };
}

/** The job's metrics, and its loss, over the rows of a split. */
export async function evaluateRows(
  trained: TrainedRows,
  { dataset, split }: OpenedRows,
): Promise<Record<string, number>> {
  const metrics = newMetrics(trained.manifest);
  const { outputs } = trained.manifest.model;
  const { labelWidth } = dataset;
  await eachBatch(trained, { dataset, split, rows: rowsIn(dataset, split) }, ({ batch, scores }) => {
    const { samples, label: labels, weight, group } = batch;
    metrics.update({ samples, labels, labelWidth, scores, outputs, weight, group });
  });
  return Object.fromEntries(
    Object.entries(metrics.result()).filter((entry): entry is [string, number] => Number.isFinite(entry[1])),
  );
}

/** Rows of a split of a data set. */
function rowsIn({ trainRows, testRows }: Dataset, split: Split): number {
  return split === "train" ? trainRows : testRows;
}

function eachBatch(
  trained: TrainedRows,
  { dataset, split, rows }: OpenedRows & { rows: number },
  take: (scored: { batch: Batch; scores: Float32Array }) => void,
): Promise<void> {
  return withoutGreeting(() =>
    withDevice(trained.device, async () => {
      const model = await openModel(trained.manifest, trained.plugins);
      try {
        model.setDense(trained.dense);
        for (let from = 0; from < rows; from += ROWS_PER_BATCH) {
          const samples = Uint32Array.from({ length: Math.min(ROWS_PER_BATCH, rows - from) }, (_, i) => from + i);
          const batch = await dataset.read(split, samples, 0);
          take({ batch, scores: await scoresOf(model, await trained.rowsOf(batch)) });
        }
      } finally {
        model.dispose();
      }
    }),
  );
}

function scoresOf(model: GradientModel, rows: StepRows): Promise<Float32Array> {
  const { batch, numbers, masks } = rows;
  return model.predict({ samples: batch.samples, rows: rows.gather(), numbers, masks });
}
