/**
 * The model and the samples of the comparison with plain tfjs: the demo's net (examples/flights/job.ts) over tables of
 * a given size, written with `tf.layers.embedding`, so that the very same object trains in tfjs and on a cluster.
 */
import * as tf from "@tensorflow/tfjs";
import { adagrad, adam, fm } from "@volary/core";
import { seededRandom } from "@volary/core/testing";
import { permutation, zipfRanks } from "../keys/zipf.ts";

/** The demo has 24 tables of 16 floats a row. */
export const DIM = 16;
export const BATCH_SIZE = 4096;
const SEED = 1;

/** Of both sides. Adagrad leaves a row without gradient as it is, so that a dense update and a sparse one agree. */
export const RATES = { adam: 0.002, adagrad: 0.02 } as const;
export const ADAGRAD_START = 0.1;
export const optimizers = ({ fault }: Pick<SparseRequest, "fault">) => ({
  optimizer: adam({ learningRate: RATES.adam }),
  sparseOptimizer: adagrad({
    learningRate: (fault ? 2 : 1) * RATES.adagrad,
    initialAccumulator: ADAGRAD_START,
  }),
});

export interface SparseSize {
  tables: number;
  /** Of each table. */
  rows: number;
}

export const fieldsOf = ({ tables }: SparseSize): string[] => Array.from({ length: tables }, (_, i) => `field${i + 1}`);

export function sparseModel(size: SparseSize): tf.LayersModel {
  const inputs = fieldsOf(size).map((name) => tf.input({ name, shape: [1], dtype: "int32" }));
  const rows = inputs.map((input, i) => {
    // A seed of its own for each; Gaussian numbers would take tfjs minutes.
    const embeddingsInitializer = tf.initializers.randomUniform({ minval: -0.05, maxval: 0.05, seed: SEED + i });
    const table = tf.layers.embedding({ inputDim: size.rows, outputDim: DIM, embeddingsInitializer });
    return tf.layers.flatten().apply(table.apply(input)) as tf.SymbolicTensor;
  });
  const dense = (units: number, i: number, activation?: "relu") =>
    tf.layers.dense({
      units,
      ...(activation && { activation }),
      kernelInitializer: tf.initializers.glorotUniform({ seed: SEED + i }),
    });
  const pairs = fm().apply(rows) as tf.SymbolicTensor;
  let deep = tf.layers.concatenate().apply(rows) as tf.SymbolicTensor;
  for (const layer of [dense(64, 101, "relu"), dense(32, 102, "relu"), dense(1, 103)])
    deep = layer.apply(deep) as tf.SymbolicTensor;
  const logit = tf.layers.add().apply([pairs, deep]);
  const outputs = tf.layers.activation({ activation: "sigmoid" }).apply(logit) as tf.SymbolicTensor;
  return tf.model({ inputs, outputs });
}

export interface Samples {
  /** Keys of each field, below `rows`, shape [n]. */
  x: Record<string, Int32Array<ArrayBuffer>>;
  /** 0 or 1, shape [n]. */
  y: Float32Array<ArrayBuffer>;
}

/**
 * Samples of the first steps: Zipf 1.05 over the rows of each table. Every key has a leaning of its own, which the
 * model can learn. More steps begin with the same samples.
 */
export function samplesOf(size: SparseSize, steps: number): Samples {
  const n = steps * BATCH_SIZE;
  const rankOf = zipfRanks(size.rows);
  const leaning = new Float32Array(n);
  const x = Object.fromEntries(
    fieldsOf(size).map((field, i) => {
      const random = seededRandom(SEED + i);
      const keys = permutation(size.rows, random);
      const drawn = Int32Array.from({ length: n }, () => keys[rankOf(random.next())]!);
      drawn.forEach((key, sample) => (leaning[sample] = leaning[sample]! + Math.sin(key)));
      return [field, drawn];
    }),
  );
  return { x, y: Float32Array.from(leaning, (of) => (of > 0 ? 1 : 0)) };
}

/** What each side reports. */
export interface SparseRun {
  /** Mean over the steps after the warm-up. */
  secondsPerStep: number;
  /** Of each step. */
  losses: number[];
  /** Largest resident memory: of the tfjs process, or of all processes of the cluster together. */
  memoryBytes: number;
}

export interface SparseRequest extends SparseSize {
  steps: number;
  warmUp: number;
  /** What is wrong on purpose in a control: the tables learn twice as fast. */
  fault?: "learns-faster" | undefined;
}
