import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import * as tfl from "@tensorflow/tfjs-layers";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { csv } from "../../data/index.ts";
import { pluginOf, Plugins } from "../../plugin/index.ts";
import type { StepInput } from "../../training/index.ts";
import { defineJob, type JobArgs } from "../define-job.ts";
import { embedding } from "../layers/embedding.ts";
import { FunctionModel } from "./function-model.ts";
import { constant } from "../layers/initializer.ts";
import { input } from "../layers/input.ts";
import { manifestOf } from "../job-manifest.ts";
import { openModel } from "./open-model.ts";
import { trainingFunction, type TrainingFunction } from "./training-function.ts";

beforeAll(async () => {
  await tf.setBackend("cpu");
});

/** Whatever a describe's tests make is gone after each. (A step that throws leaves tfjs's tape behind; it ends its job.) */
function checkLeaks(): void {
  let before = 0;
  beforeEach(() => {
    before = tf.memory().numTensors;
  });
  afterEach(() => {
    expect(tf.memory().numTensors).toBe(before);
  });
}

const SHA = "5".repeat(64);
const pluginsOf = (definition: TrainingFunction): Plugins =>
  new Plugins([pluginOf({ file: "f.ts", sha256: SHA, module: { definition } })]);

const data = csv("clicks.csv", { fields: { user: "user", item: "item", other: "other", age: "age" }, label: "y" });

function jobOf(loss: TrainingFunction, more: Partial<JobArgs> = {}) {
  return defineJob({
    name: "f",
    seed: 7,
    data,
    compile: { optimizer: "sgd", sparseOptimizer: "adagrad", loss },
    fit: { batchSize: 4 },
    ...more,
  });
}

async function opened(definition: TrainingFunction, more: Partial<JobArgs> = {}) {
  const plugins = pluginsOf(definition);
  const { manifest, denseWeights } = await manifestOf(jobOf(definition, more), { workersMin: 1, plugins });
  const model = (await openModel(manifest, plugins)) as FunctionModel;
  model.setDense(denseWeights);
  return { manifest, model, denseWeights };
}

/** Rows of floats that differ everywhere. */
const floats = (n: number, phase = 0): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => Math.sin(3 * i + phase));

/** Central differences of a function of one array, by component. */
async function slopes(values: Float32Array, lossOf: (values: Float32Array) => Promise<number>): Promise<number[]> {
  const out: number[] = [];
  for (let i = 0; i < values.length; i++) {
    const [up, down] = [values.slice(), values.slice()];
    up[i]! += 1e-2;
    down[i]! -= 1e-2;
    out.push(((await lossOf(up)) - (await lossOf(down))) / (up[i]! - down[i]!));
  }
  return out;
}

function expectClose(actual: ArrayLike<number>, wanted: readonly number[]): void {
  expect(actual.length).toBe(wanted.length);
  wanted.forEach((value, i) => expect(Math.abs(actual[i]! - value)).toBeLessThan(2e-3));
}

/** Gradients of rows and dense weights, against central differences of the loss. */
async function checkGradients(model: FunctionModel, dense: Float32Array, at: StepInput): Promise<void> {
  const { rowGrads, denseGrads } = await model.step(at);
  const scale = 1 / at.globalSamples;
  expectClose(rowGrads, await slopes(at.rows, async (rows) => scale * (await model.step({ ...at, rows })).lossSum));
  const ofDense = await slopes(dense, async (values) => {
    model.setDense(values);
    return scale * (await model.step(at)).lossSum;
  });
  expectClose(denseGrads, ofDense);
  model.setDense(dense);
}

const bpr = trainingFunction({
  name: "bpr",
  rows: {
    user: { table: "user", dim: 3 },
    item: { table: "item", dim: 3 },
    others: { table: "item", dim: 3, field: "other", length: 2 },
  },
  variables: { scale: { shape: [1], initializer: constant(2) } },
  step: ({ rows: { user, item, others }, masks, variables: { scale }, weight }) => {
    const score = (items: tf.Tensor) => tf.sum(tf.mul(tf.expandDims(user, 1), items), -1);
    const losses = tf.mul(masks["others"]!, tf.softplus(tf.sub(score(others), score(tf.expandDims(item, 1)))));
    return tf.sum(tf.mul(tf.mul(weight, scale), tf.sum(losses, 1)));
  },
  predict: ({ rows: { user, item } }) => tf.sigmoid(tf.sum(tf.mul(user, item), -1)),
});

describe("a training function is refused", () => {
  const step = () => tf.scalar(0);
  test.each([
    [{ name: "", step }, 'trainingFunction(): name is ""'],
    [{ name: "f", step: undefined }, 'trainingFunction("f"): step is no function'],
    [{ name: "f", step, row: {} }, 'trainingFunction("f"): "row" is unknown'],
    [{ name: "f", step, outputs: 2 }, "outputs are what predict gives, and there is no predict"],
  ])("%#", (args, message) => {
    expect(() => trainingFunction(args as never)).toThrow(message);
  });

  const jobWith = (definition: TrainingFunction, more: Partial<JobArgs> = {}, plugins = pluginsOf(definition)) =>
    manifestOf(jobOf(definition, more), { workersMin: 1, plugins });

  test("that is in no plugin file, with the option that gives one", async () => {
    await expect(jobWith(bpr, {}, Plugins.none)).rejects.toThrow(
      /training function "bpr" is in no plugin file that was given: .*--plugin FILE, or Cluster\.local/,
    );
  });

  test("whose rows the data does not have, whose options do not fit, or which cannot predict what is held out", async () => {
    const f = (rows: TrainingFunction["rows"]) => trainingFunction({ name: "f", rows, step });
    await expect(jobWith(f({ usr: { table: "t", dim: 2 } }))).rejects.toThrow(
      /an input "usr", and the data has no such/,
    );
    await expect(jobWith(f({ user: { table: "t", dim: 2, length: 0 } }))).rejects.toThrow(/rows "user": length is 0/);
    await expect(jobWith(f({ user: { table: "t", dim: 2, mask: "padding" } }))).rejects.toThrow(/give its length/);
    const metrics = { compile: { ...jobOf(bpr).compile, loss: f({}), metrics: ["auc"] as const } };
    await expect(jobWith(f({}), metrics)).rejects.toThrow(/training function "f" has no predict/);
  });

  test("by a worker that has not loaded its file, or another one", async () => {
    const { manifest } = await jobWith(bpr);
    await expect(openModel(manifest, Plugins.none)).rejects.toMatchObject({
      code: "BAD_JOB",
      message: expect.stringMatching(/training function "bpr" .*volary worker --plugin FILE/) as string,
    });
    const other = new Plugins([pluginOf({ file: "f.ts", sha256: "6".repeat(64), module: { bpr } })]);
    await expect(openModel(manifest, other)).rejects.toThrow(
      /SHA-256 555555555555…, and f\.ts on this node has 666666/,
    );
  });
});

test("a server update cannot train dense weights", () => {
  const compile = { ...jobOf(bpr).compile, optimizer: { kind: "sum" } as const };
  expect(() => jobOf(bpr, { compile })).toThrow(/compile\.optimizer is "sum", which parameter servers run/);
});

describe("a step says what is wrong", () => {
  const stepOf = async (definition: TrainingFunction) => {
    const { model } = await opened(definition);
    try {
      const width = Object.values(definition.rows).reduce((sum, { dim }) => sum + dim, 0);
      const at = {
        rows: floats(2 * width),
        numbers: new Float32Array(0),
        label: floats(2),
        samples: 2,
        globalSamples: 2,
      };
      return await model.step(at).catch((error: unknown) => String(error));
    } finally {
      model.dispose();
    }
  };
  const rows = { user: { table: "user", dim: 2 } };

  test("where the loss is no scalar, or no tensor", async () => {
    expect(await stepOf(trainingFunction({ name: "f", rows, step: ({ rows: { user } }) => tf.sum(user, -1) }))).toMatch(
      /step gave a tensor of shape \[2\]; return one number/,
    );
    expect(await stepOf(trainingFunction({ name: "f", rows, step: () => 3 as never }))).toMatch(
      /step gave 3; return tf\.sum/,
    );
  });

  test("where a job without a model asks for its tower", async () => {
    const f = trainingFunction({ name: "f", rows, step: ({ tower }) => tower() });
    expect(await stepOf(f)).toMatch(/its job has no model, so there is no tower/);
  });
});

describe("a function without a model", () => {
  checkLeaks();

  test("makes the manifest: rows, tables, variables; and the same dense weights for the same seed", async () => {
    const { manifest, model, denseWeights } = await opened(bpr);
    model.dispose();
    expect(manifest.compile.loss).toEqual({ function: "bpr", sha256: SHA });
    expect(manifest.model.topology).toBeUndefined();
    expect(manifest.model.embeddings.map(({ input: name, field, table }) => [name, field, table])).toEqual([
      ["user", "user", "user"],
      ["item", "item", "item"],
      ["others", "other", "item"],
    ]);
    expect(manifest.tables.map(({ name, dim, optimizer }) => [name, dim, optimizer.kind])).toEqual([
      ["item", 3, "adagrad"],
      ["user", 3, "adagrad"],
    ]);
    expect(Object.keys(manifest.data.fields)).toEqual(["user", "item", "other"]);
    expect([...denseWeights]).toEqual([2]);
  });

  test("has the gradients of its loss for rows and variables; a weight of 0 leaves a sample out", async () => {
    const { model, denseWeights } = await opened(bpr);
    const B = 3;
    const at: StepInput = {
      rows: floats(B * 12),
      numbers: new Float32Array(0),
      masks: Float32Array.of(1, 1, 1, 0, 1, 1),
      label: new Float32Array(B),
      weight: Float32Array.of(1, 0.5, 0),
      samples: B,
      globalSamples: 6,
    };
    await checkGradients(model, denseWeights, at);
    const { rowGrads, lossSum } = await model.step(at);
    expect([...rowGrads.subarray(24)].every((gradient) => gradient === 0)).toBe(true);
    const garbage = at.rows.slice().fill(9, 24);
    expect((await model.step({ ...at, rows: garbage })).lossSum).toBe(lossSum);
    const scores = await model.predict(at);
    expect(scores).toHaveLength(B);
    const dot = at.rows.slice(0, 3).reduce((sum, value, i) => sum + value * at.rows[3 + i]!, 0);
    expect(scores[0]).toBeCloseTo(1 / (1 + Math.exp(-dot)), 6);
    expect(await model.step({ ...at, rows: floats(0), masks: floats(0), label: floats(0), samples: 0 })).toMatchObject({
      lossSum: 0,
    });
    model.dispose();
  });

  test("that uses neither rows nor variables gets gradients of 0", async () => {
    const f = trainingFunction({
      name: "f",
      rows: { user: { table: "user", dim: 2 } },
      numbers: { age: [1] },
      step: ({ labels, numbers: { age }, weight }) => tf.sum(tf.mul(weight, tf.add(tf.sum(labels, 1), tf.sum(age, 1)))),
    });
    const { model } = await opened(f);
    const at = {
      rows: floats(4),
      numbers: Float32Array.of(1, 2),
      label: Float32Array.of(3, 4),
      samples: 2,
      globalSamples: 2,
    };
    expect(await model.step(at)).toEqual({
      rowGrads: new Float32Array(4),
      denseGrads: new Float32Array(0),
      lossSum: 10,
    });
    model.dispose();
  });
});

/** Two towers, [user vector | item vector], trained by softmax over the items of the slot (in-batch negatives). */
const twoTowers = () => {
  const fields = ["user", "item"].map((name) => input({ name, dtype: "string" }));
  const vectors = fields.map((field, i) =>
    tfl.layers
      .dense({ units: 2, useBias: false })
      .apply(embedding({ table: ["user", "item"][i]!, dim: 3 }).apply(field)),
  ) as tfl.SymbolicTensor[];
  return tfl.model({ inputs: fields, outputs: tfl.layers.concatenate().apply(vectors) as tfl.SymbolicTensor });
};

const inBatchSoftmax = trainingFunction({
  name: "inBatchSoftmax",
  variables: { temperature: { shape: [1], initializer: constant(1) } },
  step({ tower, variables: { temperature }, weight, samples }) {
    const [users, items] = tf.split(tower() as tf.Tensor2D, 2, 1) as [tf.Tensor2D, tf.Tensor2D];
    const logits = tf.mul(tf.matMul(users, items, false, true), temperature);
    const ofOwnItem = tf.sum(tf.mul(tf.logSoftmax(logits), tf.eye(samples)), 1);
    return tf.neg(tf.sum(tf.mul(weight, ofOwnItem)));
  },
  predict({ tower }) {
    const [users, items] = tf.split(tower() as tf.Tensor2D, 2, 1) as [tf.Tensor2D, tf.Tensor2D];
    return tf.sum(tf.mul(users, items), 1);
  },
  outputs: 1,
});

describe("a function with a model", () => {
  checkLeaks();

  test("trains two towers on the other items of the slot, with the gradients of its loss", async () => {
    const { manifest, model, denseWeights } = await opened(inBatchSoftmax, { model: twoTowers });
    expect(manifest.model.outputs).toBe(1);
    expect(manifest.model.variables.map(({ shape }) => shape)).toEqual([[3, 2], [3, 2], [1]]);
    expect(denseWeights).toHaveLength(13);
    expect(denseWeights[12]).toBe(1);
    const B = 4;
    const at: StepInput = { rows: floats(B * 6), numbers: floats(0), label: floats(B), samples: B, globalSamples: B };
    await checkGradients(model, denseWeights, at);
    let { lossSum } = await model.step(at);
    const before = lossSum;
    const rows = at.rows.slice();
    for (let step = 0; step < 400; step++) {
      const { rowGrads, ...rest } = await model.step({ ...at, rows });
      ({ lossSum } = rest);
      rowGrads.forEach((gradient, i) => (rows[i]! -= 0.5 * gradient));
    }
    expect(lossSum).toBeLessThan(0.4 * before);
    expect(await model.predict({ ...at, rows })).toHaveLength(B);
    model.dispose();
  });

  test("sends its own rows through the tower in the place of the model's, and gets gradients for both", async () => {
    const scored = () => {
      const fields = ["user", "item"].map((name) => input({ name, dtype: "string" }));
      const rows = fields.map((field, i) => embedding({ table: ["user", "item"][i]!, dim: 3 }).apply(field));
      const joined = tfl.layers.concatenate().apply(rows);
      return tfl.model({
        inputs: fields,
        outputs: tfl.layers.dense({ units: 1, activation: "tanh" }).apply(joined) as tfl.SymbolicTensor,
      });
    };
    const ranking = trainingFunction({
      name: "ranking",
      rows: { other: { table: "item", dim: 3 } },
      step: ({ rows: { other }, tower, weight }) =>
        tf.sum(tf.mul(weight, tf.reshape(tf.softplus(tf.sub(tower({ rows: { item: other } }), tower())), [-1]))),
    });
    const { manifest, model, denseWeights } = await opened(ranking, { model: scored });
    expect(manifest.model.embeddings.map(({ input: name }) => name)).toEqual([
      "volary_rows_0",
      "volary_rows_1",
      "other",
    ]);
    const at: StepInput = { rows: floats(18), numbers: floats(0), label: floats(2), samples: 2, globalSamples: 2 };
    await checkGradients(model, denseWeights, at);
    expect((await model.predict(at)).length).toBe(2); // what the model gives
    model.dispose();

    const odd = trainingFunction({ name: "odd", step: ({ tower }) => tower({ rows: { itm: tf.zeros([2, 3]) } }) });
    const { model: broken } = await opened(odd, { model: scored });
    const failed = broken.step({ ...at, rows: floats(12) });
    await expect(failed).rejects.toThrow('tower() has no input "itm" to replace; it has user, item');
    broken.dispose();
  });

  test("may not take a name that the model brings", async () => {
    const f = trainingFunction({ name: "f", rows: { user: { table: "x", dim: 2 } }, step: () => tf.scalar(0) });
    await expect(opened(f, { model: twoTowers })).rejects.toThrow(
      /asks for "user", which the job's model brings already/,
    );
  });
});
