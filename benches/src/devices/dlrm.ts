/**
 * The step that devices with a GPU are made for, after Naumov et al. 2019 (DLRM): 26 embeddings of 64 floats and 13
 * numbers, which a layer brings to 64; the dot products of all pairs, and a tower of 512, 256 and 1 units.
 * `scripts/gpu-check.py` computes the same with PyTorch.
 */
import * as tf from "@tensorflow/tfjs";
import { column, defineJob, embedding, file, input, pairwiseDot, parquet, through } from "@volary/core";
import type { JobManifest } from "@volary/core/job";
import { manifestOf } from "@volary/core/model";

const TABLES = Array.from({ length: 26 }, (_, i) => `table${i + 1}`);
const NUMBERS = 13;
const DIM = 64;

const relu = (units: number) => tf.layers.dense({ units, activation: "relu" });

const job = defineJob({
  name: "dlrm",
  data: parquet(file("none.parquet"), {
    fields: { ...Object.fromEntries(TABLES.map((name) => [name, name])), numbers: "numbers" },
    label: column("label"),
  }),
  model: () => {
    const keys = TABLES.map((name) => input({ name, dtype: "string" }));
    const numbers = input({ name: "numbers", dtype: "float32", shape: [NUMBERS] });
    const rows = keys.map((field, i) => embedding({ table: TABLES[i]!, dim: DIM }).apply(field));
    const bottom = through(numbers, relu(DIM));
    const pairs = through([bottom, ...rows], pairwiseDot());
    const outputs = through(
      [bottom, pairs],
      tf.layers.concatenate(),
      relu(512),
      relu(256),
      tf.layers.dense({ units: 1, activation: "sigmoid" }),
    );
    return tf.model({ inputs: [...keys, numbers], outputs });
  },
  compile: { optimizer: "adam", loss: "binaryCrossentropy" },
  fit: { batchSize: 4096 },
});

export async function dlrm(): Promise<JobManifest> {
  return (await manifestOf(job, { workersMin: 1 })).manifest;
}
