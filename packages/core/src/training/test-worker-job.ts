/** For tests: a job of one table and one dense weight, in which it shows how often every sample counted. */
import type { Dataset } from "../data/index.ts";
import { assert } from "../errors.ts";
import type { JobManifest } from "../job/index.ts";
import type { GradientModel } from "./job/gradient-model.ts";

export const JOB = 1;
export const ROWS = 48;
const BATCH = 4;
export const STEPS = ROWS / BATCH;
export const TEST_ROWS = 10;
export const DIM = 2;

export const MANIFEST: JobManifest = {
  name: "toy",
  seed: 1,
  model: {
    topology: {},
    embeddings: [{ input: "a", field: "a", table: "items", dim: DIM, usage: { kind: "one" } }],
    numbers: [],
    variables: [{ name: "w", shape: [1], trainable: true }],
    outputs: 1,
  },
  tables: [
    { id: 1, name: "items", dim: DIM, initializer: { kind: "zeros" }, optimizer: { kind: "sgd", learningRate: 1 } },
  ],
  data: { format: { kind: "parquet" }, files: [{ kind: "file", path: "x" }], fields: {}, badRowsMax: 0 },
  compile: { optimizer: { kind: "sgd", learningRate: 0.125 }, loss: "meanSquaredError", metrics: [] },
  fit: { epochs: 1, batchSize: BATCH, consistency: { mode: "bsp" }, shuffle: true, validate: "end" },
  workersMin: 1,
};

export const dataset = (): Dataset => ({
  trainRows: ROWS,
  testRows: TEST_ROWS,
  labelWidth: 1,
  fingerprint: "toy",
  blocks: undefined,
  read: (_, rows) => ({
    samples: rows.length,
    keys: new Map([["a", Uint32Array.from([...rows].flatMap((row) => [row * 7, 0]))]]),
    keyLists: new Map(),
    numbers: new Map(),
    numberLists: new Map(),
    label: new Float32Array(rows.length),
    weight: undefined,
    group: undefined,
  }),
  badRows: () => ({ count: 0, first: [] }),
  close: async () => {},
});

/**
 * Every sample's rows have a gradient of 1, and so have the dense weights in a whole step. It wants to know which rows are
 * the same, as a model does that volunteers help with.
 */
export const model = (compute: (samples: number) => Promise<void>): GradientModel => ({
  denseFloats: 1,
  setDense: () => {},
  step: async ({ rows, rowIds, samples, globalSamples }) => {
    const ids = rowIds?.();
    assert(new Set(ids).size === samples, `of ${samples} samples, each with a row of its own, ${String(ids)} was said`);
    await compute(samples);
    return {
      rowGrads: new Float32Array(rows.length).fill(1),
      denseGrads: Float32Array.of(samples / globalSamples),
      lossSum: 0,
    };
  },
  predict: async ({ samples }) => new Float32Array(samples),
  dispose: () => {},
});
