/** A small job for tests: users click on items, by tastes that can be learnt. */
import { adagrad, bsp, cross, defineJob, embedding, file, input, parquet, sgd, through } from "@volary/core";
import type { JobDefinition } from "@volary/core/model";
import { seededRandom } from "@volary/core/testing";
import * as tf from "@tensorflow/tfjs";
import { parquetWriteBuffer } from "hyparquet-writer";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import type { Run } from "../cluster/run.ts";

/** The last batch is not full. */
export const CLICKS = 100_000;
export const BATCH = 512;
export const STEPS_PER_EPOCH = Math.ceil(CLICKS / BATCH);

/** Writes clicks of users and items of a skewed popularity. */
export async function writeClicks(folder: string): Promise<void> {
  const random = seededRandom(1);
  const draws = Array.from({ length: CLICKS }, () => ({
    user: Math.floor(1000 * random.next() ** 2),
    item: Math.floor(200 * random.next() ** 2),
    chance: random.next(),
  }));
  const taste = ({ user, item }: { user: number; item: number }) =>
    1 / (1 + Math.exp(3 * Math.sin(user) - Math.cos(7 * item)));
  const columnData = [
    { name: "user", type: "INT64" as const, data: draws.map(({ user }) => BigInt(user)) },
    { name: "item", type: "STRING" as const, data: draws.map(({ item }) => `item ${item}`) },
    { name: "clicked", type: "DOUBLE" as const, data: draws.map((draw) => (draw.chance < taste(draw) ? 1 : 0)) },
  ];
  await writeFile(fileOf(folder), new Uint8Array(parquetWriteBuffer({ columnData })));
}

/** Learns from the clicks that were written to a folder, for an epoch unless said otherwise. */
export function clicksJob(
  folder: string,
  { epochs = 1, stepsMax }: { epochs?: number; stepsMax?: number } = {},
): JobDefinition {
  return defineJob({
    name: "clicks",
    seed: 3,
    data: parquet(file(fileOf(folder)), {
      fields: { user: "user", item: "item", both: cross("user", "item") },
      label: "clicked",
    }),
    model() {
      const fields = ["user", "item", "both"];
      const inputs = fields.map((name) => input({ name, dtype: "string" }));
      const rows = inputs.map((field, i) => embedding({ table: fields[i]!, dim: 8 }).apply(field));
      const clicked = through(
        rows,
        tf.layers.concatenate(),
        tf.layers.dense({ units: 16, activation: "relu" }),
        tf.layers.dense({ units: 1, activation: "sigmoid" }),
      );
      return tf.model({ inputs, outputs: clicked });
    },
    compile: {
      optimizer: sgd({ learningRate: 0.3 }),
      sparseOptimizer: adagrad({ learningRate: 0.3 }),
      loss: "binaryCrossentropy",
    },
    fit: { epochs, batchSize: BATCH, consistency: bsp(), ...(stepsMax === undefined ? {} : { stepsMax }) },
  });
}

/** Weights by table and key; the dense ones are those of key 0 of "dense". */
export type LearntWeights = ReadonlyMap<string, ReadonlyMap<bigint, Float32Array>>;

export async function weightsOf(run: Run): Promise<LearntWeights> {
  const weights = new Map([["dense", new Map([[0n, await run.denseWeights()]])]]);
  for (const { name, dim } of run.manifest.tables) {
    const rows = new Map<bigint, Float32Array>();
    for await (const { keys, values } of run.rowsOf(name)) {
      keys.forEach((key, i) => rows.set(key, values.subarray(i * dim, (i + 1) * dim)));
    }
    weights.set(name, rows);
  }
  return weights;
}

/** Rows that differ in any bit, or are in one of both only, as "table key". */
export function differingRows(a: LearntWeights, b: LearntWeights): string[] {
  const tables = new Set([...a.keys(), ...b.keys()]);
  return [...tables].flatMap((table) => {
    const [mine, theirs] = [a.get(table), b.get(table)];
    const keys = new Set([...(mine?.keys() ?? []), ...(theirs?.keys() ?? [])]);
    return [...keys].filter((key) => !sameBits(mine?.get(key), theirs?.get(key))).map((key) => `${table} ${key}`);
  });
}

function sameBits(a: Float32Array | undefined, b: Float32Array | undefined): boolean {
  if (!a || !b) return false;
  return Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength));
}

const fileOf = (folder: string): string => path.join(folder, "clicks.parquet");
