/** A training job on clicks of users on items, drawn from Zipf laws, as many as a bench asks for. */
import { writeFile } from "node:fs/promises";
import path from "node:path";
import * as tf from "@tensorflow/tfjs";
import { adagrad, adam, bsp, defineJob, embedding, input, through, type JobDefinition } from "@volary/core";
import { file, parquet } from "@volary/core/data";
import { seededRandom } from "@volary/core/testing";
import { parquetWriteBuffer } from "hyparquet-writer";
import { zipfRanks } from "../keys/zipf.ts";

const USERS = 50_000;
const ITEMS = 5_000;
/** Of the order of samples. */
const SEED = 7;
export const CLICK_DIM = 16;
export const CLICK_FIELDS = ["user", "item"] as const;

/** Clicks in the order of their rows; the columns are what fields are made from. */
export interface Clicks {
  file: string;
  columns: Readonly<Record<(typeof CLICK_FIELDS)[number], Uint32Array>>;
}

export async function writeClicks(
  folder: string,
  { rows, seed = 1 }: { rows: number; seed?: number },
): Promise<Clicks> {
  const random = seededRandom(seed);
  const [userOf, itemOf] = [zipfRanks(USERS), zipfRanks(ITEMS)];
  const user = Uint32Array.from({ length: rows }, () => userOf(random.next()));
  const item = Uint32Array.from({ length: rows }, () => itemOf(random.next()));
  const clicked = Array.from(user, (u, i) => (random.next() < 1 / (1 + Math.exp(2 * Math.sin(u + item[i]!))) ? 1 : 0));
  const columnData = [
    { name: "user", type: "INT64" as const, data: Array.from(user, BigInt) },
    { name: "item", type: "INT64" as const, data: Array.from(item, BigInt) },
    { name: "clicked", type: "DOUBLE" as const, data: clicked },
  ];
  const at = path.join(folder, "clicks.parquet");
  await writeFile(at, new Uint8Array(parquetWriteBuffer({ columnData })));
  return { file: at, columns: { user, item } };
}

/** @param o.stepsMax without it, training goes on until it is asked to end */
export function clicksJob(o: { clicks: Clicks; batchSize: number; stepsMax?: number }): JobDefinition {
  return defineJob({
    name: "clicks",
    seed: SEED,
    data: parquet(file(o.clicks.file), { fields: { user: "user", item: "item" }, label: "clicked" }),
    model() {
      const inputs = CLICK_FIELDS.map((name) => input({ name, dtype: "string" }));
      const rows = inputs.map((field, i) => embedding({ table: CLICK_FIELDS[i]!, dim: CLICK_DIM }).apply(field));
      const clicked = through(
        rows,
        tf.layers.concatenate(),
        tf.layers.dense({ units: 16, activation: "relu" }),
        tf.layers.dense({ units: 1, activation: "sigmoid" }),
      );
      return tf.model({ inputs, outputs: clicked });
    },
    compile: {
      optimizer: adam({ learningRate: 0.001 }),
      sparseOptimizer: adagrad({ learningRate: 0.05 }),
      loss: "binaryCrossentropy",
    },
    fit: {
      batchSize: o.batchSize,
      epochs: 1_000_000,
      consistency: bsp(),
      ...(o.stepsMax === undefined ? {} : { stepsMax: o.stepsMax }),
    },
  });
}
