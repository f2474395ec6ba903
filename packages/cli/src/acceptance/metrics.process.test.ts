/** Metrics on real data: against a published figure, merged from parts, and on a cluster against one process. */
import * as tf from "@tensorflow/tfjs";
import { csv, embedding, heldOutFiles, input, rowwiseAdagrad, through } from "@volary/core";
import { Metrics, metricsStateSchema } from "@volary/core/metrics";
import { describe, expect, test } from "vitest";
import { Cluster } from "../cluster/cluster.ts";
import { dataSet } from "./data-set.ts";
import { rankedAuc } from "./ranked-auc.ts";

const movies = dataSet("ncf-ml-1m");
const clicks = dataSet("criteo-tiny");
const WORKERS = 4;

interface Candidates {
  /** Of each row, the user. */
  group: number[];
  labels: number[];
  scores: number[];
}

/**
 * Each user's test item and 99 negatives, scored by how many users of the training data saw the item. Where the test
 * item is among the negatives, it counts once, as in the authors' own evaluation.
 */
function byPopularity(): Candidates {
  const seenBy: number[] = [];
  for (const line of movies.lines("ml-1m.train.lists.txt.gz"))
    for (const item of line.split(" ").slice(1)) seenBy[Number(item)] = (seenBy[Number(item)] ?? 0) + 1;
  const all: Candidates = { group: [], labels: [], scores: [] };
  for (const line of movies.lines("ml-1m.test.negative.gz")) {
    const [pair = "", ...negatives] = line.split("\t");
    const [user, wanted] = pair.slice(1, -1).split(",").map(Number) as [number, number];
    for (const item of new Set([wanted, ...negatives.map(Number)])) {
      all.group.push(user);
      all.labels.push(item === wanted ? 1 : 0);
      all.scores.push(seenBy[item] ?? 0);
    }
  }
  return all;
}

const RANKING = ["hr@10", "ndcg@10", "hr@5", "recall@10"] as const;

/** Equal scores rank the less relevant candidate first; half a user more than counted ranks the test item first. */
const tiesToTestItem = (candidates: Candidates): Candidates => ({
  ...candidates,
  scores: candidates.scores.map((score, row) => score + candidates.labels[row]! / 2),
});

function stateOf({ group, labels, scores }: Candidates, rows: readonly number[]) {
  const metrics = new Metrics({ metrics: RANKING });
  metrics.update({
    samples: rows.length,
    labels: Float32Array.from(rows, (row) => labels[row]!),
    labelWidth: 1,
    scores: Float32Array.from(rows, (row) => scores[row]!),
    outputs: 1,
    group: Uint32Array.from(rows.flatMap((row) => [group[row]!, 0])),
  });
  return metricsStateSchema.parse(JSON.parse(JSON.stringify(metrics)));
}

describe("ranking metrics", () => {
  test.skipIf(movies.isAbsent)(
    `give item popularity on MovieLens its known figures, whole or merged from any parts ${movies.needs}`,
    () => {
      const candidates = byPopularity();
      const rows = candidates.group.map((_, row) => row);
      const resultOf = (...states: readonly ReturnType<typeof stateOf>[]) => {
        const metrics = new Metrics({ metrics: RANKING });
        for (const state of states) metrics.merge(state);
        return metrics.result();
      };
      const known = resultOf(stateOf(tiesToTestItem(candidates), rows));
      expect(known["hr@10"]).toBeCloseTo(0.4538, 4);
      expect(known["ndcg@10"]).toBeCloseTo(0.2545, 4);
      // 409 test items are as popular as one of their negatives.
      const result = resultOf(stateOf(candidates, rows));
      expect(result["hr@10"]).toBeCloseTo(0.4531, 4);
      expect(result["ndcg@10"]).toBeCloseTo(0.2541, 4);
      // One positive a user: its recall is its hit.
      expect(result["recall@10"]).toBe(result["hr@10"]);

      // A user's candidates lie on all four workers.
      const shares = Array.from({ length: WORKERS }, (_, worker) =>
        stateOf(
          candidates,
          rows.filter((row) => ((row * 2_654_435_761) % 65_537) % WORKERS === worker),
        ),
      );
      for (const order of [
        [0, 1, 2, 3],
        [3, 2, 1, 0],
        [2, 0, 3, 1],
      ])
        expect(resultOf(...order.map((share) => shares[share]!))).toEqual(result);
    },
  );
});

describe("metrics of a job on four workers", () => {
  test.skipIf(clicks.isAbsent)(`are those of its predictions in one process ${clicks.needs}`, async () => {
    const COLUMNS = Array.from({ length: 39 }, (_, i) => String(i + 1));
    const file = (name: string) => clicks.file(`${name}.csv.gz`);
    const fields = Object.fromEntries(COLUMNS.map((column) => [`field${column}`, column]));
    const inputs = COLUMNS.map((column) => input({ name: `field${column}`, dtype: "int64" }));
    const rows = inputs.map((each, i) => embedding({ table: COLUMNS[i]!, dim: 4 }).apply(each));
    const clicked = through(
      rows,
      tf.layers.concatenate(),
      tf.layers.dense({ units: 16, activation: "relu" }),
      tf.layers.dense({ units: 1, activation: "sigmoid" }),
    );
    const model = tf.model({ inputs, outputs: clicked });
    const cluster = await Cluster.local({ ps: 2, workers: WORKERS, device: "cpu" });
    try {
      const source = csv(file("train"), { header: false, fields, label: "0", test: heldOutFiles(file("test")) });
      const run = await cluster.fit(model, source, {
        compile: {
          optimizer: "adam",
          sparseOptimizer: rowwiseAdagrad({ learningRate: 0.05 }),
          loss: "binaryCrossentropy",
          metrics: ["auc", "exactAuc", "logloss", "accuracy", "calibration", "mse"],
        },
        batchSize: 500,
      });
      const labels = clicks.lines("test.csv.gz").map((line) => Number(line.split(",", 1)[0]));
      const { values, shape } = await run.predict(csv(file("test"), { header: false, fields }), { device: "cpu" });
      expect(shape).toEqual([labels.length, 1]);
      const mean = (of: (score: number, label: number) => number): number =>
        labels.reduce((sum, label, i) => sum + of(values[i]!, label), 0) / labels.length;
      const { metrics } = run;
      // Counts: exact.
      expect(metrics["accuracy"]).toBe(mean((score, label) => Number((score > 0.5 ? 1 : 0) === label)));
      expect(metrics["exactAuc"]).toBeCloseTo(rankedAuc(labels, values), 12);
      // Sums of logarithms and ratios.
      const logloss = mean((score, label) => -Math.log(label === 1 ? score : 1 - score));
      const calibration = mean((score) => score) / mean((_, label) => label);
      expect(Math.abs(metrics["logloss"]! - logloss)).toBeLessThan(1e-6);
      expect(Math.abs(metrics["loss"]! - logloss)).toBeLessThan(1e-6);
      expect(Math.abs(metrics["calibration"]! - calibration)).toBeLessThan(1e-6);
      expect(Math.abs(metrics["mse"]! - mean((score, label) => (score - label) ** 2))).toBeLessThan(1e-6);
      // Scores in one bin of the histogram count as ties.
      expect(Math.abs(metrics["auc"]! - metrics["exactAuc"]!)).toBeLessThan(1e-4);
      // Evaluated once more, here.
      const again = await run.evaluate(csv(file("test"), { header: false, fields }), { device: "cpu" });
      for (const [name, value] of Object.entries(metrics)) expect(again[name]).toBeCloseTo(value, 6);
      run.close();
    } finally {
      await cluster.stop();
      model.dispose();
    }
  });
});
