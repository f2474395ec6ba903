import * as tfl from "@tensorflow/tfjs-layers";
import "@tensorflow/tfjs-backend-cpu";
import { expect, test } from "vitest";
import { cross, csv, dayOfWeek, hourOf } from "../data/index.ts";
import { adagrad } from "../optimizer/index.ts";
import { defineJob } from "./define-job.ts";
import { embedding } from "./layers/embedding.ts";
import { input } from "./layers/input.ts";
import { summary } from "./job-manifest.ts";
import { through } from "./layers/through.ts";

test("summary() of a model lists its layers, and tables for embeddings", async () => {
  const model = tfl.sequential({
    layers: [tfl.layers.dense({ units: 4, inputShape: [3], name: "wide" }), tfl.layers.dense({ units: 1 })],
  });
  expect(await summary(model)).toBe(
    ["LAYER (CLASS)    OUTPUT    PARAMS", "wide (Dense)     [null,4]  16", "dense_1 (Dense)  [null,1]  5"].join("\n"),
  );
  model.dispose();
});

test("summary() of a job tells of its tables and dense weights, too, with totals where the keys are known", async () => {
  const job = defineJob({
    name: "clicks",
    data: csv("clicks.csv", { fields: { user: "user", when: cross(dayOfWeek("at"), hourOf("at")) }, label: "clicked" }),
    model() {
      const inputs = [input({ name: "user", dtype: "string" }), input({ name: "when", dtype: "string" })];
      const rows = [
        embedding({ table: "user", dim: 16 }).apply(inputs[0]!),
        embedding({ table: "when", dim: 8, dtype: "int8" }).apply(inputs[1]!),
      ];
      const output = through(rows, tfl.layers.concatenate(), tfl.layers.dense({ units: 1, activation: "sigmoid" }));
      return tfl.model({ inputs, outputs: output });
    },
    compile: { optimizer: "adam", sparseOptimizer: adagrad(), loss: "binaryCrossentropy" },
    fit: { batchSize: 32 },
  });
  const text = await summary(job);
  expect(text.split("\n").map((line) => line.replaceAll(/ {2,}/g, "  "))).toEqual([
    "LAYER (CLASS)  OUTPUT  PARAMS",
    "user (InputLayer)  [null,1]  0",
    "when (InputLayer)  [null,1]  0",
    'volary_embedding_1 (VolaryEmbedding)  [null,16]  table "user"',
    'volary_embedding_2 (VolaryEmbedding)  [null,8]  table "when"',
    "concatenate_1 (Concatenate)  [null,24]  0",
    "dense_1 (Dense)  [null,1]  25",
    "",
    "TABLE  DIM  OPTIMIZER  FIELDS  BYTES/ROW  AT MOST",
    "user  16  adagrad  user  152  as keys come",
    "when  8 int8  adagrad  when  72  168 rows, 12.1 kB",
    "",
    "Dense weights: 25 trained; 300 B on each worker with adam's state",
  ]);
});
