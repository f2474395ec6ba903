/** `cluster.fit` as code uses it, on a local cluster of real processes. */
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import * as tf from "@tensorflow/tfjs";
import { adagrad, csv, embedding, input, sgd, standardise, through } from "@volary/core";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Cluster } from "./cluster/cluster.ts";
import type { ArrayData } from "./scoring/array-table.ts";
import type { FitOptions } from "./cluster/train-options.ts";
import { loadModel } from "./saved-model/saved-model.ts";

let cluster: Cluster;
/** Where temporary files go: those of others are elsewhere. */
let temporary = "";
beforeAll(async () => {
  temporary = await mkdtemp(path.join(tmpdir(), "volary-fit-"));
  vi.stubEnv("TMPDIR", temporary);
  cluster = await Cluster.local({ ps: 2, workers: 2, device: "cpu" });
});
afterAll(async () => {
  await cluster.stop();
  vi.unstubAllEnvs();
  await rm(temporary, { recursive: true });
});

/** Rows [from, to) of an endless table: who clicks depends on the user and the hour. */
function clicks(from: number, to: number) {
  const rows = Array.from({ length: to - from }, (_, i) => from + i);
  const user = rows.map((row) => row % 97);
  const hour = rows.map((row) => (row * 7) % 24);
  return {
    x: { user: user.map((u) => `user ${u}`), hour },
    y: rows.map((_, i) => (Math.sin(user[i]!) + Math.cos(hour[i]!) > 0 ? 1 : 0)),
  } satisfies ArrayData;
}

/** First weights that are the same in every run. */
const kernelInitializer = tf.initializers.glorotNormal({ seed: 1 });

function clickModel(): tf.LayersModel {
  const user = input({ name: "user", dtype: "string" });
  const hour = input({ name: "hour", dtype: "int32" });
  const rows = [embedding({ table: "user", dim: 4 }).apply(user), embedding({ table: "hour", dim: 4 }).apply(hour)];
  const output = tf.layers.dense({ units: 1, activation: "sigmoid", kernelInitializer });
  const late = through(rows, tf.layers.concatenate(), output);
  return tf.model({ inputs: [user, hour], outputs: late, name: "clicks" });
}

const OPTIONS = {
  compile: {
    optimizer: "adam",
    sparseOptimizer: adagrad({ learningRate: 0.1 }),
    loss: "binaryCrossentropy",
    metrics: ["auc", "accuracy"],
  },
  epochs: 3,
  batchSize: 100,
} satisfies FitOptions;

describe("cluster.fit()", () => {
  test("refuses what does not fit, before anything runs", async () => {
    const model = clickModel();
    const { x, y } = clicks(0, 10);
    const before = (await cluster.status()).jobs.length;
    await expect(cluster.fit(model, { x, y })).rejects.toThrow(
      /the model is not compiled, and compile says no optimizer/,
    );
    await expect(cluster.fit(model, { x: { user: x.user }, y }, OPTIONS)).rejects.toThrow(
      `x has no values for the model's input "hour"; it has "user"`,
    );
    await expect(cluster.fit(model, { x, y: y.slice(1) }, OPTIONS)).rejects.toThrow(`y has 9 rows and x["user"] 10`);
    await expect(cluster.fit(model, { x, y }, { ...OPTIONS, validationSplit: 2 })).rejects.toThrow(/between 0 and 1/);
    await expect(cluster.fit(model, { x, y }, { ...OPTIONS, earlyStopping: { monitor: "auc" } })).rejects.toThrow(
      /the data holds none out/,
    );
    expect((await cluster.status()).jobs).toHaveLength(before);
    model.dispose();
  });

  test("trains on arrays, validates after each epoch, evaluates, predicts and saves", async () => {
    const model = clickModel();
    const told: string[] = [];
    const run = await cluster.fit(model, clicks(0, 2_000), {
      ...OPTIONS,
      validationData: clicks(2_000, 2_500),
      callbacks: {
        onTrainBegin: () => told.push("train"),
        onEpochBegin: (epoch) => told.push(`epoch ${epoch}`),
        onBatchEnd: (batch, logs) => batch === 19 && told.push(`batch ${batch} of ${logs!["size"]}`),
        onEpochEnd: (epoch, logs) => told.push(`end ${epoch}: ${Object.keys(logs!).join(" ")}`),
        onTrainEnd: () => told.push("over"),
      },
    });
    const logs = "loss val_loss val_auc val_accuracy";
    expect(told).toEqual([
      "train",
      ...[0, 1, 2].flatMap((epoch) => [`epoch ${epoch}`, "batch 19 of 100", `end ${epoch}: ${logs}`]),
      "over",
    ]);
    expect(run.history.epoch).toEqual([0, 1, 2]);
    const { loss, val_auc: auc } = run.history.history;
    expect(loss![2]).toBeLessThan(loss![0]!);
    expect(auc![2]).toBeGreaterThan(0.8);
    expect(run.validations.map(({ step }) => step)).toEqual([20, 40, 60]);
    expect(run.steps).toHaveLength(60);
    expect(run.metrics["auc"]).toBe(auc![2]);

    const held = await run.evaluate(clicks(2_000, 2_500), { device: "cpu" });
    expect(held["auc"]).toBeCloseTo(run.metrics["auc"]!, 6);
    expect(held["loss"]).toBeCloseTo(run.metrics["loss"]!, 5);
    const { x } = clicks(2_000, 2_010);
    const { values, shape } = await run.predict(x, { device: "cpu" });
    expect(shape).toEqual([10, 1]);
    const folder = await mkdtemp(path.join(tmpdir(), "volary-fit-"));
    await run.save(folder);
    expect((await loadModel(folder)).tables.get("user")!.keys).toHaveLength(97);
    await rm(folder, { recursive: true });
    const clicked = Array.from(clicks(2_000, 2_010).y, (y, i) => (y === 1) === values[i]! > 0.5);
    expect(clicked.filter(Boolean).length).toBeGreaterThan(6);
    await expect(run.model()).rejects.toThrow(/has embedding tables \("user", "hour"\), whose rows/);
    run.close();
    model.dispose();
  });

  test("trains the same bits with validation and without", async () => {
    const dense: Float32Array[] = [];
    const model = clickModel();
    for (const validate of ["end", { everySteps: 3 }] as const) {
      const run = await cluster.fit(model, clicks(0, 1_000), { ...OPTIONS, validationSplit: 0.2, validate, epochs: 2 });
      expect(run.status.samples).toBe(1_600);
      dense.push(await run.denseWeights());
      run.close();
    }
    expect(dense[1]).toEqual(dense[0]);
    model.dispose();
  });

  test("stops early by itself, or when a callback says so, and the job is done", async () => {
    const model = clickModel();
    const data = clicks(0, 1_000);
    const early = await cluster.fit(model, data, {
      ...OPTIONS,
      epochs: 50,
      validationSplit: 0.2,
      earlyStopping: { monitor: "auc", minDelta: 0.5, patience: 2 },
    });
    expect(early.history.epoch).toEqual([0, 1, 2]);
    expect(early.status).toMatchObject({ phase: "done", step: 24, steps: 400 });
    expect(early.status.message).toMatch(/stopped early after step 24: auc is/);
    early.close();
    let seen = 0;
    const stopped = await cluster.fit(model, data, {
      ...OPTIONS,
      epochs: 4_000,
      callbacks: new tf.CustomCallback({ onEpochEnd: async () => void (model.stopTraining = ++seen >= 2) }),
    });
    expect(stopped.status).toMatchObject({ phase: "done", message: "stopped by a callback" });
    expect(stopped.status.step).toBeLessThan(40_000);
    expect(stopped.status.step).toBeGreaterThanOrEqual(20);
    stopped.close();
    model.dispose();
  });

  test("rejects with what a callback threw, and the job does not run on", async () => {
    const model = clickModel();
    const fit = cluster.fit(model, clicks(0, 1_000), {
      ...OPTIONS,
      epochs: 4_000,
      callbacks: {
        onEpochEnd: () => {
          throw new Error("no more");
        },
      },
    });
    await expect(fit).rejects.toThrow("no more");
    expect((await cluster.status()).jobs.at(-1)!.phase).toBe("stopped");
    model.dispose();
  });

  test("takes a compiled tfjs model and tensors as model.fit does, and gives the trained model back", async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.dense({ units: 8, activation: "relu", inputShape: [3], kernelInitializer }),
        tf.layers.dense({ units: 3, activation: "softmax", kernelInitializer }),
      ],
    });
    model.compile({ optimizer: tf.train.adam(0.05), loss: "sparseCategoricalCrossentropy", metrics: ["accuracy"] });
    const rows = Array.from({ length: 300 }, (_, i) => [Math.sin(i), Math.cos(i), Math.sin(2 * i)]);
    const classes = rows.map((row) => row.indexOf(Math.max(...row)));
    const [xs, ys] = [tf.tensor2d(rows), tf.tensor1d(classes)];
    const run = await cluster.fit(model, { x: xs, y: ys }, { epochs: 30, batchSize: 64, validationSplit: 0.1 });
    expect(run.metrics["accuracy"]).toBeGreaterThan(0.8);
    const trained = await run.model();
    const theirs = await (trained.predict(xs) as tf.Tensor).data();
    const { values, shape } = await run.predict(xs, { device: "cpu" });
    expect(shape).toEqual([300, 3]);
    values.forEach((value, i) => expect(value).toBeCloseTo(theirs[i]!, 5));
    run.close();
    const batches = tf.data.zip({ xs: tf.data.array(rows), ys: tf.data.array(classes) }).batch(50);
    const again = await cluster.fit(model, batches, { epochs: 1, batchSize: 64 });
    expect(again.status.samples).toBe(300);
    again.close();
    tf.dispose([xs, ys]);
    for (const each of [model, trained]) each.dispose();
  });

  test("makes tables of tfjs's embeddings, which start from their rows", async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.embedding({ inputDim: 50, outputDim: 4, inputLength: 3, name: "items" }),
        tf.layers.flatten(),
        tf.layers.dense({ units: 1 }),
      ],
    });
    const rows = Array.from({ length: 64 }, (_, i) => [i % 50, (i * 7) % 50, (i * 11) % 50]);
    const xs = tf.tensor2d(rows, [64, 3], "int32");
    const before = await (model.predict(xs) as tf.Tensor).data();
    const compile = { optimizer: sgd({ learningRate: 0 }), loss: "meanSquaredError" } as const;
    const run = await cluster.fit(model, { x: xs, y: rows.map(([first]) => first!) }, { compile, epochs: 1 });
    const { values } = await run.predict(xs, { device: "cpu" });
    values.forEach((value, i) => expect(value).toBeCloseTo(before[i]!, 5));
    expect(run.manifest.tables).toMatchObject([{ name: "items", dim: 4 }]);
    run.close();
    model.dispose();
    xs.dispose();
  });

  test("trains on a source, with statistics fitted here and bad rows left out as far as they may be", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "volary-fit-"));
    const file = path.join(folder, "clicks.csv");
    const { x, y } = clicks(0, 500);
    const lines = y.map((clicked, i) => `${x.user[i]},${i === 7 ? "" : x.hour[i]},${clicked}`);
    await writeFile(file, ["user,hour,clicked", ...lines].join("\n"));
    const user = input({ name: "user", dtype: "string" });
    const hour = input({ name: "hour", dtype: "float32" });
    const rows = [embedding({ table: "user", dim: 4 }).apply(user), hour];
    const output = through(rows, tf.layers.concatenate(), tf.layers.dense({ units: 1, activation: "sigmoid" }));
    const model = tf.model({ inputs: [user, hour], outputs: output });
    const data = (badRowsMax: number) =>
      csv(file, { fields: { user: "user", hour: standardise("hour") }, label: "clicked", badRowsMax });
    await expect(cluster.fit(model, data(0), OPTIONS)).rejects.toThrow(/clicks\.csv:9/);
    const run = await cluster.fit(model, data(1), { ...OPTIONS, validationSplit: 0.2, validationFreq: 2 });
    const hours = x.hour.filter((_, i) => i !== 7);
    const { mean } = run.manifest.data.fields["hour"] as { mean: number };
    expect(mean).toBeGreaterThan(Math.min(...hours));
    expect(mean).toBeCloseTo(hours.reduce((a, b) => a + b, 0) / hours.length, 0);
    expect(run.status.badRows).toMatchObject({ count: 1, first: [expect.stringContaining("clicks.csv:9")] });
    expect(run.validations).toHaveLength(2);
    const same = csv(file, { fields: { user: "user" } });
    await expect(run.predict(same, { device: "cpu" })).rejects.toThrow("clicks.csv:9");
    const lenient = csv(file, { fields: { user: "user" }, badRowsMax: 1 });
    const all = await run.predict(lenient, { device: "cpu" });
    expect(all.values.findIndex(Number.isNaN)).toBe(7);
    expect(all.values.filter(Number.isNaN)).toHaveLength(1);
    const held = await run.predict(lenient, { device: "cpu", split: "test" });
    expect(held.shape).toEqual([run.status.testRows, 1]);
    const trained = await run.predict(lenient, { device: "cpu", split: "train" });
    // Typed arrays sort numbers, NaN last.
    expect(Float32Array.of(...held.values, ...trained.values).sort()).toEqual(all.values.toSorted());
    const metrics = await run.evaluate(lenient, { device: "cpu", split: "test" });
    for (const [name, value] of Object.entries(run.metrics)) expect(metrics[name]).toBeCloseTo(value, 6);
    await expect(run.predict({ user: ["a"], hour: [1] }, { split: "test" })).rejects.toThrow("goes with files");
    run.close();
    const closed = /the run is closed, and its rows are given up; .* before run\.close\(\)/;
    await expect(run.predict(lenient)).rejects.toThrow(closed);
    await expect(run.evaluate(lenient)).rejects.toThrow(closed);
    expect(() => run.rowsOf("user")).toThrow(closed);
    model.dispose();
    await rm(folder, { recursive: true });
  });

  test("serves arrays to a cluster that runs elsewhere, and only while the run lasts", async () => {
    const remote = await Cluster.connect(cluster.address);
    const model = clickModel();
    const run = await remote.fit(model, clicks(0, 400), { ...OPTIONS, epochs: 1 });
    const [file] = run.manifest.data.files;
    expect(file).toMatchObject({
      kind: "http",
      url: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+\/[0-9a-f]{32}\/0\.table$/),
    });
    const { url } = file as { url: string };
    expect((await fetch(url, { method: "HEAD" })).status).toBe(200);
    expect((await fetch(new URL("/0.table", url))).status).toBe(404);
    run.close();
    await expect
      .poll(() =>
        fetch(url).then(
          () => "up",
          () => "down",
        ),
      )
      .toBe("down");
    await remote.stop();
    model.dispose();
  });
});

test("temporary files of arrays are gone once their runs are closed", async () => {
  const ofArrays = async () => (await readdir(temporary)).filter((name) => name.startsWith("volary-arrays-"));
  await expect.poll(ofArrays).toEqual([]);
});
