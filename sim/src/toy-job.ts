/**
 * A job small enough to run thousands of times, yet with everything a real one has: two tables, dense weights, a
 * test split, a last batch that is not full. Its model is a sum, so gradients are plain arithmetic.
 */
import type { Batch, MemoryDataset } from "@volary/core/data";
import type { JobManifest } from "@volary/core/job";
import type { TableSpec } from "@volary/core/table";
import type { GradientModel, StepGradients, StepInput } from "@volary/core/training";

export const TRAIN_ROWS = 150;
const TEST_ROWS = 40;
export const DENSE_FLOATS = 7;

/** How a toy job is validated and when it stops, where that is not the default. */
export type ToyFit = Partial<
  Pick<
    JobManifest["fit"],
    | "epochs"
    | "batchSize"
    | "validate"
    | "earlyStopping"
    | "shuffle"
    | "wire"
    | "prefetch"
    | "consistency"
    | "dense"
    | "cache"
  >
>;

/** Which keys of a toy job's tables get a row, which rows go, and what rows are. */
export type TableCare = Pick<TableSpec, "admission" | "eviction" | "dtype">;

export function toyManifest({
  workersMin,
  seed,
  fit = {},
  care = {},
}: {
  workersMin: number;
  seed: number;
  fit?: ToyFit;
  care?: TableCare;
}): JobManifest {
  const initializer = { kind: "uniform", min: -0.05, max: 0.05 } as const;
  return {
    name: "toy",
    seed,
    model: {
      topology: {},
      embeddings: [
        { input: "a", field: "a", table: "items", dim: 3, usage: { kind: "one" } },
        { input: "b", field: "b", table: "users", dim: 2, usage: { kind: "one" } },
      ],
      numbers: [{ input: "n", field: "n", shape: [1] }],
      variables: [{ name: "w", shape: [DENSE_FLOATS], trainable: true }],
      outputs: 1,
    },
    tables: [
      {
        id: 1,
        name: "items",
        dim: 3,
        initializer,
        optimizer: { kind: "adagrad", learningRate: 0.05, initialAccumulator: 0.1, epsilon: 1e-7 },
        ...care,
      },
      {
        id: 2,
        name: "users",
        dim: 2,
        initializer,
        optimizer: { kind: "adam", learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-7 },
        ...care,
      },
    ],
    data: {
      format: { kind: "parquet" },
      files: [{ kind: "file", path: "toy" }],
      badRowsMax: 0,
      fields: {},
      label: { kind: "column", column: "y" },
    },
    compile: {
      optimizer: { kind: "adam", learningRate: 0.01, beta1: 0.9, beta2: 0.999, epsilon: 1e-7 },
      loss: "meanSquaredError",
      metrics: ["mse"],
    },
    fit: { epochs: 2, batchSize: 16, consistency: { mode: "bsp" }, shuffle: true, validate: "end", ...fit },
    workersMin,
  };
}

/** Rows are a pure function of their number. */
export function toyDataset(): MemoryDataset {
  const read = (split: "train" | "test", samples: Uint32Array): Batch => {
    const base = split === "train" ? 0 : TRAIN_ROWS;
    const rows = samples.map((s) => base + s);
    const keys = (of: (row: number) => number) => {
      const words = new Uint32Array(rows.length * 2);
      rows.forEach((row, i) => words.set([of(row), of(row) >>> 3], 2 * i));
      return words;
    };
    return {
      samples: rows.length,
      keys: new Map([
        ["a", keys((row) => (row * 7919) % 23)],
        ["b", keys((row) => 1000 + ((row * 104_729) % 61))],
      ]),
      keyLists: new Map(),
      numberLists: new Map(),
      weight: undefined,
      group: undefined,
      numbers: new Map([["n", Float32Array.from(rows, (row) => (row % 10) / 10)]]),
      label: Float32Array.from(rows, (row) => (row % 3 === 0 ? 1 : 0)),
    };
  };
  return {
    trainRows: TRAIN_ROWS,
    testRows: TEST_ROWS,
    fingerprint: "toy",
    labelWidth: 1,
    blocks: undefined,
    read,
    badRows: () => ({ count: 0, first: [] }),
    close: async () => {},
  };
}

/**
 * score = Σ pulled floats + number × Σ dense; loss = squared error.
 *
 * @param o.compute takes as long as a step's computing
 */
export function toyModel({ compute }: { compute?: () => Promise<void> } = {}): GradientModel {
  let dense = new Float32Array(DENSE_FLOATS);
  const width = 5;
  const scores = ({
    rows,
    numbers,
    samples,
  }: {
    rows: Float32Array;
    numbers: Float32Array;
    samples: number;
  }): Float32Array => {
    let total = 0;
    for (const w of dense) total += w;
    return Float32Array.from({ length: samples }, (_, b) => {
      let sum = numbers[b]! * total;
      for (let e = 0; e < width; e++) sum += rows[b * width + e]!;
      return sum;
    });
  };
  return {
    denseFloats: DENSE_FLOATS,
    setDense: (flat) => {
      dense = flat.slice();
    },
    step: async (at: StepInput): Promise<StepGradients> => {
      await compute?.();
      const score = scores(at);
      const rowGrads = new Float32Array(at.samples * width);
      const denseGrads = new Float32Array(DENSE_FLOATS);
      let lossSum = 0;
      for (let b = 0; b < at.samples; b++) {
        const error = score[b]! - at.label[b]!;
        lossSum += error * error;
        const g = (2 * error) / at.globalSamples;
        rowGrads.fill(g, b * width, (b + 1) * width);
        for (let d = 0; d < DENSE_FLOATS; d++) denseGrads[d] = denseGrads[d]! + g * at.numbers[b]! * (1 + d / 10);
      }
      return { rowGrads, denseGrads, lossSum };
    },
    predict: async (at) => scores(at),
    dispose: () => {},
  };
}
