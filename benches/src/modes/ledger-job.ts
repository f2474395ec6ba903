/**
 * A small job whose table "visits" has a row for each sample, which counts how often the sample's gradient was applied:
 * what the parameter servers did, whatever the coordinator says.
 */
import { writeFile } from "node:fs/promises";
import path from "node:path";
import * as tf from "@tensorflow/tfjs";
import {
  adagrad,
  adam,
  defineJob,
  embedding,
  file,
  input,
  parquet,
  sgd,
  through,
  zeros,
  type ConsistencySpec,
  type JobDefinition,
  type OptimizerSpec,
} from "@volary/core";
import { seededRandom } from "@volary/core/testing";
import { parquetWriteBuffer } from "hyparquet-writer";
import type { Run } from "volary";
import { zipfRanks } from "../keys/zipf.ts";

const ITEMS = 5_000;
const SEED = 5;

export interface LedgerJob {
  /** A file of `writeSamples`. */
  file: string;
  batchSize: number;
  epochs?: number;
  consistency: ConsistencySpec;
}

export async function writeSamples(folder: string, { samples }: { samples: number }): Promise<string> {
  const random = seededRandom(SEED);
  const itemOf = zipfRanks(ITEMS);
  const items = Array.from({ length: samples }, () => itemOf(random.next()));
  const columnData = [
    { name: "sample", type: "INT64" as const, data: items.map((_, i) => BigInt(i)) },
    { name: "item", type: "INT64" as const, data: items.map(BigInt) },
    { name: "clicked", type: "DOUBLE" as const, data: items.map((item) => (random.next() < 1 / (1 + item) ? 1 : 0)) },
  ];
  const at = path.join(folder, `samples-${samples}.parquet`);
  await writeFile(at, new Uint8Array(parquetWriteBuffer({ columnData })));
  return at;
}

/** Its workers must note visits: `ledger` of their pacing. */
export function ledgerJob({ file: at, batchSize, epochs = 1, consistency }: LedgerJob): JobDefinition {
  return defineJob({
    name: consistency.mode,
    seed: SEED,
    data: parquet(file(at), { fields: { sample: "sample", item: "item" }, label: "clicked" }),
    model() {
      const sample = input({ name: "sample", dtype: "int64" });
      const item = input({ name: "item", dtype: "int64" });
      // The first float of a sample's rows is that of its visits.
      const count = { table: "visits", dim: 1, initializer: zeros(), optimizer: counterOf(consistency) };
      const rows = [embedding(count).apply(sample), embedding({ table: "item", dim: 8 }).apply(item)];
      const clicked = through(rows, tf.layers.concatenate(), tf.layers.dense({ units: 1, activation: "sigmoid" }));
      return tf.model({ inputs: [sample, item], outputs: clicked });
    },
    compile: {
      optimizer: sgd({ learningRate: 0.001 }),
      sparseOptimizer: adagrad({ learningRate: 0.05 }),
      loss: "binaryCrossentropy",
    },
    fit: { epochs, batchSize, consistency },
  });
}

/**
 * What adds 1 to a row at each visit, whose gradient is −1. Where a step closes without all slots its gradients are
 * scaled up, and Adam does not care how long a gradient is; but it sees one update where a step has a sample twice.
 */
function counterOf(consistency: ConsistencySpec): OptimizerSpec {
  const isScaled = consistency.mode === "bsp" && consistency.quorum !== undefined;
  return isScaled ? adam({ learningRate: 1 }) : sgd({ learningRate: 1 });
}

/** How often gradients of samples were applied, as the rows of a ledger say. */
export interface Visits {
  /** Samples that have a row. */
  samples: number;
  least: number;
  most: number;
}

/** Of a run that is not closed yet. */
export async function visitsOf(run: Run): Promise<Visits> {
  const visits: Visits = { samples: 0, least: Infinity, most: -Infinity };
  for await (const { values } of run.rowsOf("visits")) {
    visits.samples += values.length;
    for (const visited of values) {
      visits.least = Math.min(visits.least, visited);
      visits.most = Math.max(visits.most, visited);
    }
  }
  return visits;
}
