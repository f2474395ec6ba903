/**
 * The model in one process of plain tfjs, on its wasm backend: a program of its own, which prints what it took.
 *
 * That backend has no kernel for the gradient of a gather, so it is given the fastest one we could write; it is checked
 * against the cpu backend's first. The gradient of a table is still as large as the table, and so is its update: that
 * is how tfjs trains an embedding, and what is compared.
 */
import * as tf from "@tensorflow/tfjs";
import { openDevice } from "@volary/node-worker";
import { memoryOf } from "../processes/child.ts";
import { giveWasmSegmentSums } from "./segment-sums.ts";
import {
  ADAGRAD_START,
  BATCH_SIZE,
  fieldsOf,
  RATES,
  samplesOf,
  sparseModel,
  type SparseRequest,
  type SparseRun,
} from "./model.ts";

const request = JSON.parse(process.argv[2]!) as SparseRequest;
await openDevice("wasm");
await giveWasmSegmentSums();

const { steps, warmUp } = request;
const fields = fieldsOf(request);
const samples = samplesOf(request, steps);
const model = sparseModel(request);
const isTable = ({ shape }: tf.LayerVariable): boolean => shape.length === 2 && shape[0] === request.rows;
const variables = model.trainableWeights.map((weight) => ({
  isTable: isTable(weight),
  variable: weight.read() as tf.Variable,
}));
const dense = tf.train.adam(RATES.adam, 0.9, 0.999, 1e-7);
const sparse = tf.train.adagrad(RATES.adagrad, ADAGRAD_START);

function step(number: number): number {
  const from = number * BATCH_SIZE;
  return tf.tidy(() => {
    const inputs = fields.map((field) =>
      tf.tensor2d(samples.x[field]!.subarray(from, from + BATCH_SIZE), [BATCH_SIZE, 1], "int32"),
    );
    const labels = tf.tensor2d(samples.y.subarray(from, from + BATCH_SIZE), [BATCH_SIZE, 1]);
    const loss = () => {
      const predicted = model.apply(inputs, { training: true }) as tf.Tensor;
      return tf.mean<tf.Scalar>(tf.metrics.binaryCrossentropy(labels, predicted));
    };
    const { value, grads } = tf.variableGrads(
      loss,
      variables.map(({ variable }) => variable),
    );
    const of = (tables: boolean): { name: string; tensor: tf.Tensor }[] =>
      variables
        .filter((each) => each.isTable === tables)
        .map(({ variable: { name } }) => ({ name, tensor: grads[name]! }));
    dense.applyGradients(of(false));
    sparse.applyGradients(of(true));
    return value.dataSync()[0]!;
  });
}

const losses: number[] = [];
let start = 0;
for (let i = 0; i < steps; i++) {
  if (i === warmUp) start = performance.now();
  losses.push(step(i));
}
const secondsPerStep = (performance.now() - start) / 1000 / (steps - warmUp);
const run: SparseRun = { secondsPerStep, losses, memoryBytes: (await memoryOf(process.pid))?.most ?? 0 };
console.log(JSON.stringify(run));
process.exit(0);
