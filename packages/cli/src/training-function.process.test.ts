/** A training function of a plugin file on a real local cluster: matched by hash, trained, evaluated. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Cluster } from "./cluster/cluster.ts";
import { loadJobFile } from "./job-file.ts";
import { loadPlugins } from "./plugin-file.ts";
import { predictFile } from "./saved-model/predict-file.ts";
import { loadModel } from "./saved-model/saved-model.ts";

/** Inside the package, so that files find what they import. */
const DIST = path.join(import.meta.dirname, "../dist");
const USERS = 40;
const ITEMS = 30;

/** Each user likes the items of one half: `item` is one of those, `other` of the rest. The last rows are held out. */
function likes(): string {
  const rows = Array.from({ length: 2400 }, (_, i) => {
    const [user, pick] = [(i * 7) % USERS, (i * 13) % (ITEMS / 2)];
    const [item, other] = user % 2 === 0 ? [pick, pick + ITEMS / 2] : [pick + ITEMS / 2, pick];
    const isLiked = (i >> 1) % 2;
    return isLiked === 1 || i < 2000 ? [user, item, other, 1, i] : [user, other, item, 0, i];
  });
  return ["user,item,other,liked,at", ...rows.map((row) => row.join(","))].join("\n");
}

const PLUGIN = `
import * as tf from "@tensorflow/tfjs";
import { trainingFunction } from "@volary/core";
const score = (user, item) => tf.sum(tf.mul(user, item), -1);
export const bpr = trainingFunction({
  name: "bpr",
  rows: { user: { table: "user", dim: 8 }, item: { table: "item", dim: 8 }, other: { table: "item", dim: 8 } },
  variables: { scale: { shape: [1], initializer: { kind: "constant", value: 2 } } },
  step: ({ rows: { user, item, other }, variables: { scale }, weight }) =>
    tf.sum(tf.mul(weight, tf.softplus(tf.mul(scale, tf.sub(score(user, other), score(user, item)))))),
  predict: ({ rows: { user, item } }) => tf.sigmoid(score(user, item)),
});
export const towers = trainingFunction({
  name: "towers",
  step({ tower, weight, samples }) {
    const [users, items] = tf.split(tower(), 2, 1);
    const ofOwn = tf.sum(tf.mul(tf.logSoftmax(tf.matMul(users, items, false, true)), tf.eye(samples)), 1);
    return tf.neg(tf.sum(tf.mul(weight, ofOwn)));
  },
  predict({ tower }) {
    const [users, items] = tf.split(tower(), 2, 1);
    return tf.sigmoid(score(users, items));
  },
  outputs: 1,
});`;

const jobFile = (loss: "bpr" | "towers") => `
import * as tf from "@tensorflow/tfjs";
import { adagrad, csv, defineJob, embedding, input, where } from "@volary/core";
import { ${loss} } from "./losses.mjs";
export default defineJob({
  name: "likes-${loss}",
  data: csv("likes.csv", {
    fields: { user: "user", item: "item"${loss === "bpr" ? ', other: "other"' : ""} },
    label: "liked",
    test: where("at", Array.from({ length: 400 }, (_, i) => 2000 + i)),
  }),
  ${
    loss === "bpr"
      ? ""
      : `model() {
    const fields = ["user", "item"].map((name) => input({ name, dtype: "int64" }));
    const vectors = fields.map((field, i) => tf.layers.dense({ units: 4 }).apply(embedding({ table: field.name, dim: 8 }).apply(field)));
    return tf.model({ inputs: fields, outputs: tf.layers.concatenate().apply(vectors) });
  },`
  }
  compile: { optimizer: "adam", sparseOptimizer: adagrad({ learningRate: 0.2 }), loss: ${loss}, metrics: ["auc"] },
  fit: { epochs: 6, batchSize: 50 },
});`;

let folder = "";
const at = (name: string) => path.join(folder, name);
beforeAll(async () => {
  await mkdir(DIST, { recursive: true });
  folder = await mkdtemp(path.join(DIST, "functions-"));
  await Promise.all([
    writeFile(at("likes.csv"), likes()),
    writeFile(at("losses.mjs"), PLUGIN),
    writeFile(at("bpr-job.mjs"), jobFile("bpr")),
    writeFile(at("towers-job.mjs"), jobFile("towers")),
  ]);
});
afterAll(() => rm(folder, { recursive: true }));

test("a job whose function no plugin file has is refused before it runs; a worker without the file fails it by name", async () => {
  const job = await loadJobFile(at("bpr-job.mjs"));
  const cluster = await Cluster.local({ ps: 1, workers: 1, device: "cpu", baseDir: folder });
  try {
    await expect(cluster.train(job)).rejects.toThrow(/training function "bpr" is in no plugin file/);
    const withFile = await Cluster.connect(cluster.address, { plugins: [at("losses.mjs")] });
    await expect(withFile.train(job)).rejects.toThrow(
      /the job needs training function "bpr" of a plugin file with SHA-256 [0-9a-f]{12}…, and this node has loaded no plugin: give it that file, as `volary worker --plugin FILE`/,
    );
    await withFile.stop();
  } finally {
    await cluster.stop();
  }
});

test("functions with and without a model are trained and evaluated on two workers", async () => {
  const plugins = [at("losses.mjs")];
  const cluster = await Cluster.local({ ps: 2, workers: 2, device: "cpu", baseDir: folder, plugins });
  try {
    for (const name of ["bpr-job.mjs", "towers-job.mjs"]) {
      const run = await cluster.train(await loadJobFile(at(name)));
      expect(run.status).toMatchObject({ phase: "done", testRows: 400 });
      expect(run.metrics["auc"]).toBeGreaterThan(0.9);
      expect(run.metrics["loss"]).toBeUndefined(); // a function's loss cannot be told from scores
      await run.save(at("model"));
      const o = { saved: await loadModel(at("model")), file: at("likes.csv"), rows: 8, device: "cpu" } as const;
      await expect(predictFile(o)).rejects.toThrow(/training function .* this node has loaded no plugin/);
      const { predictions } = await predictFile({ ...o, plugins: await loadPlugins(plugins) });
      expect(predictions.every((score) => score > 0 && score < 1)).toBe(true);
      run.close();
    }
  } finally {
    await cluster.stop();
  }
});
