/** Rows that are stored as bfloat16 and int8: from what an author writes to the loss of a cluster that trained them. */
import * as tf from "@tensorflow/tfjs";
import { adam, column, defineJob, embedding, normal, parquet, rowwiseAdagrad, through } from "@volary/core";
import type { EmbeddingArgs } from "@volary/core";
import type { JobManifest } from "@volary/core/job";
import { manifestOf } from "@volary/core/model";
import type { GradientModel, StepInput } from "@volary/core/training";
import { beforeAll, expect, test } from "vitest";
import { calmRun } from "./calm-run.ts";
import { DENSE_FLOATS, toyManifest } from "./toy-job.ts";
import type { FinishedJob } from "./training-run.ts";

type Dtype = NonNullable<EmbeddingArgs["dtype"]>;

const DIM = 8;
const EPOCHS = 20;

const dtypes = ["float32", "bfloat16", "int8"] as const;
const narrow = ["bfloat16", "int8"] as const;
/** Of each epoch. */
const losses = new Map<Dtype, readonly number[]>();
const tables = new Map<Dtype, FinishedJob["tables"]>();
beforeAll(async () => {
  await tf.setBackend("cpu");
  for (const dtype of dtypes) {
    const { history, tables: rows } = await trained(dtype);
    losses.set(
      dtype,
      history.epochs.map(({ loss }) => loss),
    );
    tables.set(dtype, rows);
  }
});

test.each(dtypes)("training with rows of %s brings the loss down a hundredfold", (dtype) => {
  const all = losses.get(dtype)!;
  expect(all).toHaveLength(EPOCHS);
  expect(all.at(-1)).toBeLessThan(all[0]! / 100);
});

test.each(narrow)("the loss with rows of %s stays within 3 %% of that with float32, in every epoch", (dtype) => {
  const wide = losses.get("float32")!;
  for (const [epoch, loss] of losses.get(dtype)!.entries()) {
    expect(Math.abs(loss - wide[epoch]!), `epoch ${epoch + 1}`).toBeLessThan(0.03 * wide[epoch]!);
  }
});

test.each(narrow)("PS nodes store rows of %s as such", (dtype) => {
  const isStorable = { bfloat16: isBfloat16, int8: isInt8 }[dtype];
  for (const name of ["items", "users"]) {
    const [stored, wide] = [tables.get(dtype)!.get(name)!, tables.get("float32")!.get(name)!];
    expect(stored.keys.toSorted()).toEqual(wide.keys.toSorted());
    expect(rowsOf(stored.values).every(isStorable)).toBe(true);
    expect(rowsOf(wide.values).some(isStorable)).toBe(false);
  }
});

test.each(narrow)("rows of %s have the same bits in another run, whatever the timing", async (dtype) => {
  const { tables: again } = await trained(dtype, 2);
  expect(again).toEqual(tables.get(dtype));
});

function rowsOf(values: Float32Array): Float32Array[] {
  return Array.from({ length: values.length / DIM }, (_, i) => values.subarray(i * DIM, (i + 1) * DIM));
}

/** Are the lower halves of all floats empty? */
function isBfloat16(row: Float32Array): boolean {
  return [...new Uint32Array(row.slice().buffer)].every((bits) => (bits & 0xffff) === 0);
}

/** Are all floats whole steps from the least to the greatest, of which there are 255? */
function isInt8(row: Float32Array): boolean {
  const least = Math.min(...row);
  const step = (Math.max(...row) - least) / 255;
  return row.every((value) => Math.abs((value - least) / step - Math.round((value - least) / step)) < 1e-3);
}

/** The toy job over two tables that their author's embeddings describe. */
async function manifestWith(dtype: Dtype): Promise<JobManifest> {
  const table = { dim: DIM, dtype, initializer: normal({ stddev: 0.3 }) };
  const authored = defineJob({
    name: "factors",
    data: parquet("toy", { fields: { a: "a", b: "b" }, label: column("y") }),
    model({ input }) {
      const [a, b] = [input({ name: "a", dtype: "int64" }), input({ name: "b", dtype: "int64" })];
      const factors = [
        embedding({ ...table, table: "items", optimizer: rowwiseAdagrad({ learningRate: 0.1 }) }).apply(a),
        embedding({ ...table, table: "users", optimizer: adam({ learningRate: 0.01 }) }).apply(b),
      ];
      return tf.model({ inputs: [a, b], outputs: through(factors, tf.layers.dot({ axes: -1 })) });
    },
    compile: { optimizer: "adam", loss: "meanSquaredError" },
    fit: { batchSize: 16 },
  });
  const { manifest } = await manifestOf(authored, { workersMin: 2 });
  const toy = toyManifest({ workersMin: 2, seed: 5, fit: { epochs: EPOCHS } });
  return { ...toy, tables: manifest.tables, model: { ...toy.model, embeddings: manifest.model.embeddings } };
}

/** The author's model in plain arithmetic: score = item · user; loss = squared error. Dense weights stay as they are. */
function factorModel(): GradientModel {
  const predict = async ({ rows: factors, samples }: { rows: Float32Array; samples: number }) =>
    Float32Array.from({ length: samples }, (_, b) => {
      const at = b * 2 * DIM;
      let score = 0;
      for (let d = at; d < at + DIM; d++) score += factors[d]! * factors[d + DIM]!;
      return score;
    });
  return {
    denseFloats: DENSE_FLOATS,
    setDense: () => {},
    step: async (at: StepInput) => {
      const scores = await predict(at);
      const rowGrads = new Float32Array(at.rows.length);
      let lossSum = 0;
      for (let b = 0; b < at.samples; b++) {
        const error = scores[b]! - at.label[b]!;
        lossSum += error * error;
        const g = (2 * error) / at.globalSamples;
        for (let d = b * 2 * DIM; d < b * 2 * DIM + DIM; d++) {
          rowGrads[d] = g * at.rows[d + DIM]!;
          rowGrads[d + DIM] = g * at.rows[d]!;
        }
      }
      return { rowGrads, denseGrads: new Float32Array(DENSE_FLOATS), lossSum };
    },
    predict,
    dispose: () => {},
  };
}

/** @param seed of the network's delays */
async function trained(dtype: Dtype, seed = 1): Promise<FinishedJob> {
  return calmRun({ manifest: await manifestWith(dtype), workers: 2, psNodes: 2, seed, openModel: factorModel });
}
