import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { parquetWriteBuffer } from "hyparquet-writer";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Cluster } from "./cluster/cluster.ts";
import { loadJobFile } from "./job-file.ts";
import { predictFile } from "./saved-model/predict-file.ts";
import { loadModel } from "./saved-model/saved-model.ts";

const MAIN = path.join(import.meta.dirname, "main.ts");
/** Inside the package, so that a job file finds what it imports. */
const DIST = path.join(import.meta.dirname, "../dist");
const ROWS = 4_000;
const TEST_ROWS = 1_000;
const EPSILON = 1e-5;

/** Who clicks depends on the user and the hour; the last quarter is held out. */
function clicks(columns: readonly string[]): Uint8Array {
  const rows = Array.from({ length: ROWS }, (_, i) => ({ user: i % 97, hour: (i * 7) % 24, at: i }));
  const columnData = [
    { name: "user", type: "STRING" as const, data: rows.map(({ user }) => `user ${user}`) },
    { name: "hour", type: "INT64" as const, data: rows.map(({ hour }) => BigInt(hour)) },
    { name: "at", type: "TIMESTAMP" as const, data: rows.map(({ at }) => new Date(at * 1000)) },
    {
      name: "clicked",
      type: "DOUBLE" as const,
      data: rows.map(({ user, hour }) => (Math.sin(user) + Math.cos(hour) > 0 ? 1 : 0)),
    },
  ];
  return new Uint8Array(parquetWriteBuffer({ columnData: columnData.filter(({ name }) => columns.includes(name)) }));
}

/** A job file as its author writes it. */
const jobFile = ({ label = "clicked", epochs = 4, optimizer = "adam" } = {}) => `
import * as tf from "@tensorflow/tfjs";
import { defineJob, embedding, file, input, parquet, since, through } from "@volary/core";
export default defineJob({
  name: "clicks",
  data: parquet(file("clicks.parquet"), {
    fields: { user: "user", hour: "hour" },
    label: "${label}",
    test: since("at", "1970-01-01T00:50"),
  }),
  model() {
    const fields = [input({ name: "user", dtype: "string" }), input({ name: "hour", dtype: "int32" })];
    const rows = [embedding({ table: "user", dim: 4 }).apply(fields[0]), embedding({ table: "hour", dim: 4 }).apply(fields[1])];
    const clicked = through(rows, tf.layers.concatenate(), tf.layers.dense({ units: 1, activation: "sigmoid" }));
    return tf.model({ inputs: fields, outputs: clicked });
  },
  compile: { optimizer: "${optimizer}", sparseOptimizer: "adagrad", loss: "binaryCrossentropy", metrics: ["auc"] },
  fit: { epochs: ${epochs}, batchSize: 100 },
});`;

let folder = "";
beforeAll(async () => {
  await mkdir(DIST, { recursive: true });
  folder = await mkdtemp(path.join(DIST, "train-"));
  await writeFile(path.join(folder, "clicks.parquet"), clicks(["user", "hour", "at", "clicked"]));
  await writeFile(path.join(folder, "job.mjs"), jobFile());
});
afterAll(() => rm(folder, { recursive: true }));

/** Runs the command from source, in another folder than the job's. */
function volary(...args: readonly string[]) {
  const child = spawn(process.execPath, ["--conditions=volary-source", MAIN, ...args], {
    cwd: DIST,
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...process.env, VOLARY_DEBUG: "0" },
  });
  const closed = once(child, "close") as Promise<[number | null]>;
  const outputs = Promise.all([text(child.stdout), text(child.stderr), closed]);
  return { child, finished: outputs.then(([stdout, stderr, [code]]) => ({ code, stdout, stderr })) };
}

const inFolder = (name: string) => path.join(folder, name);
const onOneWorker = ["--ps", "1", "--workers", "1", "--device", "cpu"];

test("a job is trained, evaluated, saved, and predicts from its folder what it did in the cluster", async () => {
  const cluster = await Cluster.local({ ps: 2, workers: 2, device: "cpu", baseDir: folder });
  try {
    const phases: string[] = [];
    const run = await cluster.train(await loadJobFile(inFolder("job.mjs")), {
      onStatus: ({ phase }) => phases.at(-1) !== phase && phases.push(phase),
    });
    expect(phases.slice(-3)).toEqual(["training", "evaluating", "done"]);
    expect(run.status).toMatchObject({ step: 120, samples: 12_000, evaluated: TEST_ROWS, testRows: TEST_ROWS });
    expect(run.metrics["auc"]).toBeGreaterThan(0.6);
    expect(run.samplesPerSecond).toBeGreaterThan(0);
    const { commits, terms } = await run.commits();
    expect(commits.map(({ step }) => step)).toEqual(Array.from({ length: 120 }, (_, i) => i + 1));
    expect(terms).toHaveLength(1);

    expect(await run.save(inFolder("model"))).toMatchObject({ rows: 97 + 24 });
    expect((await run.usage()).rows).toBeGreaterThanOrEqual(97 + 24);
    expect(() => run.rowsOf("usre")).toThrow('job "clicks" has no table "usre"; its tables are "hour", "user"');
    const model = await loadModel(inFolder("model"));
    expect(model.dense).toEqual(await run.denseWeights());
    run.close();

    // Rows to predict need no label.
    await writeFile(inFolder("new.parquet"), clicks(["user", "hour"]));
    const { predictions, rowsInFile } = await predictFile({
      saved: model,
      file: inFolder("new.parquet"),
      rows: Infinity,
      device: "cpu",
    });
    expect(rowsInFile).toBe(ROWS);
    expect(aucOf(predictions.subarray(ROWS - TEST_ROWS))).toBeCloseTo(run.metrics["auc"]!, 3);

    const data = inFolder("new.parquet");
    const { stdout } = await volary("predict", inFolder("model"), "--data", data, "--rows", "3", "--json").finished;
    const printed = JSON.parse(stdout) as { predictions: number[] };
    expect(printed).toMatchObject({ job: "clicks", rowsInFile: ROWS });
    expect(printed.predictions).toHaveLength(3);
    printed.predictions.forEach((value, i) => expect(Math.abs(value - predictions[i]!)).toBeLessThan(EPSILON));
  } finally {
    await cluster.stop();
  }
});

test("train() stops its job when its signal says so, and the cluster serves on", async () => {
  await writeFile(inFolder("long.mjs"), jobFile({ epochs: 1_000 }));
  const cluster = await Cluster.local({ ps: 1, workers: 1, device: "cpu", baseDir: folder });
  try {
    const controller = new AbortController();
    const training = cluster.train(await loadJobFile(inFolder("long.mjs")), {
      signal: controller.signal,
      onStatus: ({ step }) => step > 2 && controller.abort(),
    });
    await expect(training).rejects.toMatchObject({ name: "ClusterError", code: "JOB_STOPPED" });
    expect((await cluster.status()).jobs).toMatchObject([{ name: "clicks", phase: "stopped" }]);
    const run = await cluster.train(await loadJobFile(inFolder("job.mjs")));
    expect(run.status.phase).toBe("done");
    run.close();
  } finally {
    await cluster.stop();
  }
});

test("volary train --json prints one JSON object, and logs beside the model", async () => {
  const saved = inFolder("out");
  const { finished } = volary("train", inFolder("job.mjs"), ...onOneWorker, "--save", saved, "--json");
  const { code, stdout, stderr } = await finished;
  expect(stderr).toContain("clicks  trained on 12.0 k samples");
  expect(stdout.trimEnd().split("\n")).toHaveLength(1);
  expect(JSON.parse(stdout)).toMatchObject({
    job: "clicks",
    phase: "done",
    metrics: { auc: expect.any(Number) as number },
    testRows: TEST_ROWS,
    samples: 12_000,
    saved: { folder: saved, rows: 97 + 24 },
  });
  expect(code).toBe(0);
  const log = (await readFile(path.join(saved, "cluster.log"), "utf8")).trimEnd().split("\n");
  for (const line of log) expect(JSON.parse(line)).toMatchObject({ message: expect.any(String) as string });
  expect((await loadModel(saved)).manifest.name).toBe("clicks");
});

test("volary train tells in one line what its data lacks", async () => {
  await writeFile(inFolder("column.mjs"), jobFile({ label: "clicekd" }));
  const { finished } = volary("train", inFolder("column.mjs"), ...onOneWorker, "--save", inFolder("column"));
  const { code, stderr } = await finished;
  expect(stderr.trimEnd().split("\n").at(-1)).toMatch(/^volary: job "clicks" .* failed: .*no column "clicekd"/);
  expect(stderr).not.toMatch(/^ {4}at /m);
  expect(code).toBe(1);
});

test("Ctrl-C ends volary train gracefully, with the exit code that shells expect", async () => {
  await writeFile(inFolder("long.mjs"), jobFile({ epochs: 1_000 }));
  const { child, finished } = volary("train", inFolder("long.mjs"), ...onOneWorker, "--save", inFolder("long"));
  let isAsked = false;
  for await (const line of createInterface({ input: child.stderr })) {
    if (isAsked || !/step \d/.test(line)) continue;
    isAsked = child.kill("SIGINT"); // once: a second one would end it at once
  }
  expect(await finished).toMatchObject({ code: 130, stdout: "" });
});

/** The area under the ROC curve by pairs, of the last rows of the data. */
function aucOf(scores: Float32Array): number {
  const isClicked = Array.from(scores, (_, i) => {
    const at = ROWS - TEST_ROWS + i;
    return Math.sin(at % 97) + Math.cos((at * 7) % 24) > 0;
  });
  const clicked = [...scores].filter((_, i) => isClicked[i]);
  const others = [...scores].filter((_, i) => !isClicked[i]);
  let above = 0;
  for (const a of clicked) for (const b of others) above += a > b ? 1 : a === b ? 0.5 : 0;
  return above / (clicked.length * others.length);
}
