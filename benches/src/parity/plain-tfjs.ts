/**
 * What a job learns on one machine in plain tfjs: `tf.layers.embedding` for the rows, tfjs's own loss, gradients and
 * optimizers. It takes nothing of Volary but what both must begin with: initial values, and batches in their order.
 */
import * as tf from "@tensorflow/tfjs";
import type { JobDefinition } from "@volary/core";
import { columnsOf, epochOrder, openDataset, type Batch } from "@volary/core/data";
import type { JobManifest } from "@volary/core/job";
import { manifestOf } from "@volary/core/model";
import { initializerOf } from "@volary/core/table";
import { stepPlan } from "@volary/core/training";
import { readColumns } from "@volary/node-worker";
import type { Weights } from "./weights.ts";

/** The optimizers a job must name to be compared. */
export interface PlainOptimizers {
  dense: tf.Optimizer;
  sparse: tf.Optimizer;
}

/**
 * Trains the first steps of a job whose model is one embedding per field, of small integer keys, under two dense
 * layers. Weights are named as the job names them; rows are those of the keys that were met.
 */
export async function trainPlainly(job: JobDefinition, { dense, sparse }: PlainOptimizers): Promise<Weights> {
  await tf.setBackend("cpu");
  const { manifest, denseWeights } = await manifestOf(job, { workersMin: 1 });
  const batches = await batchesOf(manifest);
  const model = plainModel(manifest, vocabularyOf(batches));
  setInitialWeights(model, manifest, denseWeights);
  for (const { keys, label, samples } of batches) {
    tf.tidy(() => {
      const inputs = model.fields.map((field) => tf.tensor2d(smallKeys(keys.get(field)!), [samples, 1], "int32"));
      const wanted = tf.tensor2d(label, [samples, 1]);
      const loss = () => {
        const predicted = model.whole.apply(inputs, { training: true }) as tf.Tensor;
        return tf.mean<tf.Scalar>(tf.metrics.binaryCrossentropy(wanted, predicted));
      };
      const { grads } = tf.variableGrads(loss, [...model.tables, ...model.variables]);
      const of = (variables: tf.Variable[]) => Object.fromEntries(variables.map(({ name }) => [name, grads[name]!]));
      dense.applyGradients(of(model.variables));
      sparse.applyGradients(of(model.tables));
    });
  }
  return weightsOf(model, manifest, batches);
}

interface PlainModel {
  whole: tf.LayersModel;
  fields: string[];
  /** An embedding's weights for each field, shape [vocabulary, dim]. */
  tables: tf.Variable[];
  variables: tf.Variable[];
}

function plainModel({ model, tables: specs }: JobManifest, vocabulary: ReadonlyMap<string, number>): PlainModel {
  const fields = model.embeddings.map(({ field }) => field);
  const [units] = model.variables[1]!.shape;
  const embeddings = fields.map((field) => {
    const { dim } = specs.find(({ name }) => name === field)!;
    return tf.layers.embedding({ inputDim: vocabulary.get(field)!, outputDim: dim });
  });
  const hidden = tf.layers.dense({ units: units!, activation: "relu" });
  const output = tf.layers.dense({ units: 1, activation: "sigmoid" });

  const inputs = fields.map(() => tf.input({ shape: [1], dtype: "int32" }));
  const rows = inputs.map((input, i) => tf.layers.flatten().apply(embeddings[i]!.apply(input)) as tf.SymbolicTensor);
  const joined = tf.layers.concatenate().apply(rows);
  const whole = tf.model({ inputs, outputs: output.apply(hidden.apply(joined)) as tf.SymbolicTensor });
  const variablesOf = (layer: tf.layers.Layer) => layer.getWeights() as tf.Variable[];
  return {
    whole,
    fields,
    tables: embeddings.flatMap(variablesOf),
    variables: [hidden, output].flatMap(variablesOf),
  };
}

function setInitialWeights(model: PlainModel, manifest: JobManifest, denseWeights: Float32Array): void {
  model.fields.forEach((field, i) => {
    const { id, dim, initializer } = manifest.tables.find(({ name }) => name === field)!;
    const rowOf = initializerOf(initializer, { seed: manifest.seed, table: id });
    const rows = new Float32Array(model.tables[i]!.size);
    for (let key = 0; key * dim < rows.length; key++) rowOf(key, 0, rows, key * dim, dim);
    assign(model.tables[i]!, rows);
  });
  let at = 0;
  for (const variable of model.variables) assign(variable, denseWeights.subarray(at, (at += variable.size)));
}

function assign(variable: tf.Variable, floats: Float32Array): void {
  tf.tidy(() => variable.assign(tf.tensor(floats.slice(), variable.shape)));
}

async function batchesOf(manifest: JobManifest): Promise<Batch[]> {
  const { data, model, seed } = manifest;
  const table = await readColumns(data, { baseDirs: [import.meta.dirname], columns: columnsOf(data) });
  const demands = model.embeddings.map(({ field }) => ({ name: field, as: "keys" as const }));
  const dataset = openDataset({ spec: data, table, demands });
  const plan = stepPlan({ manifest, trainRows: dataset.trainRows });
  return Array.from({ length: plan.steps }, (_, i) => {
    const order = epochOrder({ rows: dataset.trainRows, seed, epoch: plan.epochOf(i + 1) });
    const { from, to } = plan.samplesOf(i + 1);
    return dataset.read("train", order.subarray(from, to));
  });
}

/** The keys of a batch, which lie in every other word: all of them are below 2³¹. */
function smallKeys(words: Uint32Array): Int32Array {
  return Int32Array.from({ length: words.length / 2 }, (_, i) => {
    if (words[2 * i + 1] !== 0)
      throw new RangeError(`key ${words[2 * i + 1]}·2³² + ${words[2 * i]} is too large for tfjs`);
    return words[2 * i]!;
  });
}

/** One more than the largest key of each field. */
function vocabularyOf(batches: readonly Batch[]): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const { keys } of batches) {
    for (const [field, words] of keys) {
      sizes.set(
        field,
        smallKeys(words).reduce((size, key) => Math.max(size, key + 1), sizes.get(field) ?? 0),
      );
    }
  }
  return sizes;
}

function weightsOf(model: PlainModel, manifest: JobManifest, batches: readonly Batch[]): Weights {
  const tables = model.fields.map((field, i) => {
    const met = new Set(batches.flatMap(({ keys }) => [...smallKeys(keys.get(field)!)]));
    const keys = [...met].toSorted((a, b) => a - b);
    const dim = model.tables[i]!.shape[1]!;
    const all = model.tables[i]!.dataSync<"float32">();
    const values = Float32Array.from(keys.flatMap((key) => [...all.subarray(key * dim, (key + 1) * dim)]));
    return [field, { keys: BigUint64Array.from(keys, BigInt), values }] as const;
  });
  const dense = manifest.model.variables.map(({ name }, i) => {
    return [name, model.variables[i]!.dataSync<"float32">()] as const;
  });
  return { tables: new Map(tables), dense: new Map(dense) };
}
