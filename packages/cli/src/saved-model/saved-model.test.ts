import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { JobManifest } from "@volary/core/job";
import type { TableSpec } from "@volary/core/table";
import { afterEach, beforeEach, expect, test } from "vitest";
import { loadModel, prepareFolder, saveModel, type ModelToSave } from "./saved-model.ts";

const table = (id: number, name: string, dim: number): TableSpec => ({
  id,
  name,
  dim,
  initializer: { kind: "uniform", min: -0.05, max: 0.05 },
  optimizer: { kind: "sgd", learningRate: 0.1 },
});

const manifest: JobManifest = {
  name: "small",
  seed: 7,
  model: {
    topology: {},
    embeddings: [{ input: "rows", field: "route", table: "route", dim: 2, usage: { kind: "one" } }],
    numbers: [],
    variables: [{ name: "dense/kernel", shape: [2, 1], trainable: true }],
    outputs: 1,
  },
  tables: [table(1, "route", 2), table(2, "../odd name", 1)],
  data: {
    format: { kind: "parquet" },
    files: [{ kind: "file", path: "a.parquet" }],
    badRowsMax: 0,
    fields: { route: { kind: "column", column: "route" } },
    label: { kind: "column", column: "late" },
  },
  compile: { optimizer: { kind: "sgd", learningRate: 0.1 }, loss: "binaryCrossentropy", metrics: ["auc"] },
  fit: { epochs: 1, batchSize: 8, consistency: { mode: "bsp" }, shuffle: true, validate: "end" },
  workersMin: 1,
};

const keys = BigUint64Array.of(3n, 0xffff_ffff_ffff_ffffn, 1n << 40n);
const values = Float32Array.of(0.5, -0.5, 1e-30, 3.4e38, -0, 7);

const model: ModelToSave = {
  manifest,
  metrics: { auc: 0.81 },
  dense: Float32Array.of(1.5, -2.5),
  async *rowsOf({ name }) {
    if (name !== "route") return;
    yield { keys: keys.slice(0, 1), values: values.slice(0, 2) };
    yield { keys: keys.slice(1), values: values.slice(2) };
  },
};

let folder = "";
beforeEach(async () => {
  folder = path.join(await mkdtemp(path.join(tmpdir(), "volary-model-")), "model");
});
afterEach(() => rm(path.dirname(folder), { recursive: true }));

test("a saved model comes back bit for bit", async () => {
  expect(await saveModel(folder, model)).toMatchObject({ folder, rows: 3 });
  const loaded = await loadModel(folder);
  expect(loaded.manifest).toEqual(manifest);
  expect(loaded.metrics).toEqual({ auc: 0.81 });
  expect(loaded.dense).toEqual(model.dense);
  expect(loaded.tables.get("route")).toEqual({ keys, rows: values });
  expect(loaded.tables.get("../odd name")).toEqual({ keys: new BigUint64Array(), rows: new Float32Array() });
  expect(await readFile(path.join(folder, "tables/route.keys.bin"))).toHaveLength(24);
  expect((await readdir(path.join(folder, "tables"))).toSorted()).toEqual([
    "route.keys.bin",
    "route.rows.bin",
    "table-2.keys.bin",
    "table-2.rows.bin",
  ]);
});

test("a save that fails leaves the model before as it was, and nothing else", async () => {
  await saveModel(folder, model);
  const failing: ModelToSave = {
    ...model,
    dense: new Float32Array(2),
    // oxlint-disable-next-line require-yield
    async *rowsOf() {
      throw new Error("a PS node is gone");
    },
  };
  await expect(saveModel(folder, failing)).rejects.toThrow("a PS node is gone");
  expect((await loadModel(folder)).dense).toEqual(model.dense);
  expect((await readdir(folder)).toSorted()).toEqual(["dense.bin", "model.json", "tables"]);
});

test("a folder that cannot be written is told, before there is a model too", async () => {
  await prepareFolder(folder);
  expect(await readdir(folder)).toEqual(["tables"]);
  await rm(folder, { recursive: true });
  await writeFile(folder, "a file");
  await expect(prepareFolder(folder)).rejects.toThrow(`cannot save the model to ${folder}: `);
  await expect(saveModel(folder, model)).rejects.toThrow(`cannot save the model to ${folder}: `);
});

test.each(["dense.bin", "tables/route.keys.bin", "tables/route.rows.bin"])(
  "loadModel() names a truncated %s with the bytes it has and should have",
  async (file) => {
    await saveModel(folder, model);
    const { length } = await readFile(path.join(folder, file));
    await truncate(path.join(folder, file), length - 3);
    await expect(loadModel(folder)).rejects.toThrow(`${file} has ${length - 3} bytes, expected ${length}`);
    await rm(path.join(folder, file));
    await expect(loadModel(folder)).rejects.toThrow(`${file} is missing, expected ${length} bytes`);
  },
);

test("loadModel() notices a flipped byte", async () => {
  await saveModel(folder, model);
  const bytes = await readFile(path.join(folder, "dense.bin"));
  bytes[2]! ^= 1;
  await writeFile(path.join(folder, "dense.bin"), bytes);
  await expect(loadModel(folder)).rejects.toThrow("dense.bin has its 8 bytes, but not those that were saved");
});

test.each([
  ["no folder", async () => {}, "does not exist; give the folder that `volary train --save` wrote"],
  ["a folder whose saving was interrupted", () => rm(path.join(folder, "model.json")), "it has no model.json"],
  ["a truncated index", () => truncate(path.join(folder, "model.json"), 40), "is not JSON"],
  [
    "another program's model.json",
    () => writeFile(path.join(folder, "model.json"), `{"format":"layers-model"}`),
    'its "format" is "layers-model"',
  ],
  ["JSON that is no object", () => writeFile(path.join(folder, "model.json"), "null"), "is not from Volary"],
  [
    "a later version",
    () => writeFile(path.join(folder, "model.json"), `{"format":"volary-model","version":2}`),
    "format version 2",
  ],
  [
    "a broken manifest",
    () => writeFile(path.join(folder, "model.json"), `{"format":"volary-model","version":1,"manifest":{"name":"x"}}`),
    "manifest.",
  ],
])("loadModel() refuses %s", async (_, spoil, message) => {
  if (!message.startsWith("does not exist")) await saveModel(folder, model);
  await spoil();
  await expect(loadModel(folder)).rejects.toThrow(message);
});
