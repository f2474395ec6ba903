import { expect, it } from "vitest";
import type { Batch, Dataset } from "../../data/index.ts";
import type { JobManifest } from "../../job/index.ts";
import { Metrics, type MetricsState } from "../../metrics/index.ts";
import { firstPartitionMap } from "../../partition/index.ts";
import { SimulatedClock } from "../../testing/index.ts";
import { Evaluation } from "./evaluation.ts";
import type { GradientModel } from "../job/gradient-model.ts";
import { RowPlanner } from "../rows/step-rows.ts";

const ROWS = 10_000;

const manifest: JobManifest = {
  name: "toy",
  seed: 0,
  model: { embeddings: [], numbers: [{ input: "x", field: "x", shape: [1] }], variables: [], outputs: 1 },
  tables: [],
  data: { format: { kind: "parquet" }, files: [{ kind: "file", path: "x" }], fields: {}, badRowsMax: 0 },
  compile: { optimizer: { kind: "sgd", learningRate: 0.1 }, loss: "meanSquaredError", metrics: ["auc", "hr@2"] },
  fit: { epochs: 1, batchSize: 8, consistency: { mode: "bsp" }, shuffle: true, validate: "end" },
  workersMin: 1,
};

const weightOf = (row: number): number => row % 3;
const batchOf = (rows: Uint32Array): Batch => ({
  samples: rows.length,
  keys: new Map(),
  keyLists: new Map(),
  numbers: new Map([["x", Float32Array.from(rows, (row) => Math.sin(row))]]),
  numberLists: new Map(),
  label: Float32Array.from(rows, (row) => (row * 7) % 2),
  weight: Float32Array.from(rows, weightOf),
  group: Uint32Array.from([...rows].flatMap((row) => [row % 500, 0])),
});

/** Predicts the number itself. */
const model: GradientModel = {
  denseFloats: 0,
  setDense: () => {},
  step: () => Promise.reject(new Error("no step here")),
  predict: async ({ numbers }) => numbers.slice(),
  dispose: () => {},
};

/** Evaluates [from, to) of the rows, which are read late. */
async function evaluate(o: { from: number; to: number; read?: Dataset["read"] }): Promise<MetricsState> {
  const dataset: Dataset = {
    trainRows: 0,
    testRows: ROWS,
    labelWidth: 1,
    fingerprint: "toy",
    blocks: undefined,
    read: o.read ?? (async (split, samples) => (expect(split).toBe("test"), batchOf(samples))),
    badRows: () => ({ count: 0, first: [] }),
    close: async () => {},
  };
  const map = firstPartitionMap({ partitions: 2, nodes: [{ node: 1, name: "ps-1", address: "ws://ps-1" }] });
  const planner = new RowPlanner({ manifest, map });
  return new Promise((resolve, reject) => {
    const evaluation = new Evaluation({
      manifest,
      dataset,
      model,
      pull: async (batch) => {
        const rows = planner.rowsOf(batch);
        rows.takeReply(0, new Float32Array(0));
        return rows;
      },
      clock: new SimulatedClock(),
      ask: () => {},
      report: (lease, metrics) => (expect(lease).toBe(4), resolve(metrics)),
      fail: reject,
    });
    evaluation.onLease({ type: "lease", job: 1, purpose: "evaluate", term: 1, lease: 4, from: o.from, to: o.to });
  });
}

it("asks once in each evaluation, whatever it heard or was given in the one before", async () => {
  const asked: number[] = [];
  const clock = new SimulatedClock();
  let evaluated = 0;
  const evaluation = new Evaluation({
    manifest,
    dataset: { read: () => Promise.reject(new Error("nothing is read")) },
    model,
    pull: () => Promise.reject(new Error("nothing is pulled")),
    clock,
    ask: () => void asked.push(clock.now()),
    report: () => void evaluated++,
    fail: (error) => expect.unreachable(String(error)),
  });
  const from = clock.now();
  evaluation.begin(1);
  evaluation.onLease({ type: "lease", job: 1, purpose: "evaluate", term: 1, lease: 1, from: 0, to: 9 });
  evaluation.onNoLease("wait");
  evaluation.begin(2); // its weights are there before those of the first
  evaluation.applied(1);
  expect(asked).toEqual([]);
  evaluation.applied(2);
  expect([asked, evaluated]).toEqual([[from], 0]);
  await clock.until(new Promise<void>((resolve) => void clock.after(1000, resolve)));
  expect([asked, evaluated]).toEqual([[from], 0]);
  evaluation.onNoLease("wait");
  await clock.until(new Promise<void>((resolve) => void clock.after(1000, resolve)));
  expect(asked).toEqual([from, from + 1100]);
});

it("tells of rows that cannot be read, and of ranking metrics that have no group", async () => {
  const broken = new Error("the disk is gone");
  await expect(evaluate({ from: 0, to: 1, read: () => Promise.reject(broken) })).rejects.toBe(broken);
  const read = (_: string, samples: Uint32Array): Batch => ({ ...batchOf(samples), group: undefined });
  await expect(evaluate({ from: 0, to: 10, read })).rejects.toThrow(/^metric "hr@2" ranks the rows of a group/);
});

it("reports weighted metrics and the loss, which merge over shares to those of all rows", async () => {
  const merged = new Metrics({ metrics: ["auc", "hr@2"], loss: "meanSquaredError" });
  for (const [from, to] of [
    [0, 4097],
    [4097, 4100],
    [4100, ROWS],
  ] as const)
    merged.merge(await evaluate({ from, to }));
  const rows = Array.from({ length: ROWS }, (_, i) => i);
  const kept = rows.filter((row) => weightOf(row) > 0);
  const loss = kept.reduce((sum, row) => sum + weightOf(row) * (Math.fround(Math.sin(row)) - ((row * 7) % 2)) ** 2, 0);
  expect(merged.result().loss).toBeCloseTo(loss / kept.length, 10);
  const once = new Metrics({ metrics: ["auc", "hr@2"], loss: "meanSquaredError" });
  const { samples, label, weight, group, numbers } = batchOf(Uint32Array.from(rows));
  once.update({ samples, labels: label, labelWidth: 1, scores: numbers.get("x")!, outputs: 1, weight, group });
  expect(merged.result()).toEqual(once.result());
});
