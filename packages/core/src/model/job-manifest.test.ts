import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import * as tfl from "@tensorflow/tfjs-layers";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { column, cross, file, negatives, parquet, split, standardise, type FieldLike } from "../data/index.ts";
import { fieldDemands, jobManifestSchema } from "../job/manifest.ts";
import { adagrad, adam, ftrl } from "../optimizer/index.ts";
import { convertEmbeddings } from "./convert-embeddings.ts";
import { defineJob, type JobArgs } from "./define-job.ts";
import { embedding } from "./layers/embedding.ts";
import { constant, uniform } from "./layers/initializer.ts";
import { input } from "./layers/input.ts";
import { manifestOf, manifestOfModel } from "./job-manifest.ts";
import { through } from "./layers/through.ts";
import { afterUpdates, leastRecent } from "./layers/vocabulary.ts";

const { layers } = tfl;
const FIELDS: Record<string, FieldLike> = { a: "a", b: cross("a", "c"), x: standardise("x", { mean: 0, stddev: 1 }) };
const dataWith = (fields: Record<string, FieldLike>) => parquet(file("data.parquet"), { fields, label: column("y") });
const key = (name: string) => input({ name, dtype: "string" });
const number = (name: string) => input({ name, dtype: "float32" });
const sigmoid = () => layers.dense({ units: 1, activation: "sigmoid" });

/** Two tables, a number, a shared hidden layer, dropout, recurrence: everything that has names and seeds of its own. */
function wideModel(): tfl.LayersModel {
  const [a, b, x] = [key("a"), key("b"), number("x")];
  const rows = [
    embedding({ table: "zebra", dim: 4 }).apply(a),
    embedding({ table: "ant", dim: 2, optimizer: ftrl() }).apply(b),
    x,
  ];
  const nested = tfl.sequential({
    layers: [layers.dense({ units: 6, inputShape: [7] }), layers.dropout({ rate: 0.5 })],
  });
  const recurrent = layers.bidirectional({
    layer: layers.lstm({ units: 2, recurrentInitializer: "glorotNormal" }),
    mergeMode: "concat",
  });
  return tfl.model({
    inputs: [a, b, x],
    outputs: through(rows, layers.concatenate(), nested, layers.reshape({ targetShape: [3, 2] }), recurrent, sigmoid()),
  });
}

const jobOf = (model: NonNullable<JobArgs["model"]>, parts: Partial<JobArgs> = {}) =>
  defineJob({
    name: "wide",
    data: dataWith(FIELDS),
    model,
    compile: { optimizer: "adam", loss: "binaryCrossentropy" },
    fit: { batchSize: 8 },
    ...parts,
  });

let tensorsBefore: number;
beforeAll(() => tf.setBackend("cpu"));
beforeEach(() => {
  tensorsBefore = tf.memory().numTensors;
});

describe("manifestOf", () => {
  it("hands model() an input that knows the fields of the data", async () => {
    const model: JobArgs["model"] = ({ input: field }) => {
      const x = field({ name: "x", dtype: "float32" });
      return tfl.model({ inputs: x, outputs: through(x, sigmoid()) });
    };
    const { manifest } = await manifestOf(jobOf(model), { workersMin: 1 });
    expect(manifest.model.numbers).toMatchObject([{ field: "x", shape: [1] }]);
  });

  afterEach(() => {
    expect(tf.memory().numTensors).toBe(tensorsBefore);
  });

  it("is pure JSON: it comes back from text as it was", async () => {
    const { manifest } = await manifestOf(jobOf(wideModel, { fit: { batchSize: 8, stepsMax: 3 } }), { workersMin: 2 });
    expect(JSON.parse(JSON.stringify(manifest))).toStrictEqual(manifest);
    expect(jobManifestSchema.parse(manifest)).toEqual(manifest);
  });

  it("is the same, initial weights too, however many models the process made before", async () => {
    const first = await manifestOf(jobOf(wideModel), { workersMin: 2 });
    wideModel().dispose();
    const second = await manifestOf(jobOf(wideModel), { workersMin: 2 });
    expect(second).toStrictEqual(first);
    expect(first.manifest.model.variables.slice(0, 3).map(({ name }) => name)).toEqual([
      "dense_1/kernel",
      "dense_1/bias",
      "bidirectional_1/forward_lstm_1/kernel",
    ]);
  });

  it("draws initial weights from the job's seed, each from its own", async () => {
    const one = () => {
      const x = number("x");
      return tfl.model({
        inputs: x,
        outputs: through([through(x, sigmoid()), through(x, sigmoid())], layers.average()),
      });
    };
    const seeded = async (seed: number) => [
      ...(await manifestOf(jobOf(one, { seed }), { workersMin: 1 })).denseWeights,
    ];
    const [zero, again, other] = [await seeded(0), await seeded(0), await seeded(1)];
    expect(zero).toEqual(again);
    const kernels = [zero[0], zero[2], other[0], other[2]];
    expect(new Set(kernels).size).toBe(4);
    expect([zero[1], zero[3]]).toEqual([0, 0]);
  });

  it("keeps names, and seeds of initializers, that the author gave; dropout stays unseeded", async () => {
    const model = () => {
      const x = number("x");
      const kernelInitializer = tfl.initializers.heNormal({ seed: 7 });
      return tfl.model({
        inputs: x,
        outputs: through(
          x,
          layers.dense({ units: 2, name: "dense_1", kernelInitializer }),
          layers.dropout({ rate: 0.1 }),
          sigmoid(),
        ),
      });
    };
    const { manifest } = await manifestOf(jobOf(model), { workersMin: 1 });
    const text = JSON.stringify(manifest.model.topology);
    expect(manifest.model.variables.map(({ name }) => name)).toEqual([
      "dense_1/kernel",
      "dense_1/bias",
      "dense_2/kernel",
      "dense_2/bias",
    ]);
    expect(text).toContain('"distribution":"normal","seed":7}');
    expect(text).toContain('"rate":0.1,"noise_shape":null,"seed":null');
  });

  it("numbers the tables by name, from 1, each with its optimizer", async () => {
    const { manifest } = await manifestOf(
      jobOf(wideModel, { compile: { optimizer: "adam", sparseOptimizer: adagrad(), loss: "binaryCrossentropy" } }),
      { workersMin: 1 },
    );
    expect(manifest.tables).toEqual([
      { id: 1, name: "ant", dim: 2, initializer: uniform(), optimizer: ftrl() },
      { id: 2, name: "zebra", dim: 4, initializer: uniform(), optimizer: adagrad() },
    ]);
    expect(manifest.compile.optimizer).toEqual(adam());
  });

  it("says what rows are stored as, where that is not float32", async () => {
    const model = () => {
      const [a, b] = [key("a"), key("b")];
      const rows = [
        embedding({ table: "narrow", dim: 2, dtype: "bfloat16" }).apply(a),
        embedding({ table: "wide", dim: 2 }).apply(a),
        embedding({ table: "wide", dim: 2, dtype: "float32" }).apply(b),
      ];
      return tfl.model({ inputs: [a, b], outputs: through(rows, layers.concatenate(), sigmoid()) });
    };
    const { manifest } = await manifestOf(jobOf(model), { workersMin: 1 });
    expect(manifest.tables.map(({ name, dtype }) => [name, dtype])).toEqual([
      ["narrow", "bfloat16"],
      ["wide", undefined],
    ]);
    expect(JSON.parse(JSON.stringify(manifest))).toStrictEqual(manifest);
    expect(jobManifestSchema.parse(manifest)).toEqual(manifest);
  });

  it("gives tables the care that their embeddings ask for", async () => {
    const care = { admit: afterUpdates(3), evict: leastRecent({ rowsMax: 100 }) };
    const model = () => {
      const [a, b] = [key("a"), key("b")];
      const rows = [
        embedding({ table: "cared", dim: 2, ...care }).apply(a),
        embedding({ table: "plain", dim: 2 }).apply(b),
      ];
      return tfl.model({ inputs: [a, b], outputs: through(rows, layers.concatenate(), sigmoid()) });
    };
    const { tables } = (await manifestOf(jobOf(model), { workersMin: 1 })).manifest;
    expect(tables[0]).toMatchObject({ name: "cared", admission: care.admit, eviction: care.evict });
    expect(Object.keys(tables[1]!)).toEqual(["id", "name", "dim", "initializer", "optimizer"]);
  });

  it("gives tables the bounds of their embeddings, or those of the job", async () => {
    const model = () => {
      const [a, b] = [key("a"), key("b")];
      const rows = [
        embedding({ table: "bounded", dim: 2, l2: 0.1, maxNorm: 3, clip: { value: 5 } }).apply(a),
        embedding({ table: "plain", dim: 2 }).apply(b),
      ];
      return tfl.model({ inputs: [a, b], outputs: through(rows, layers.concatenate(), sigmoid()) });
    };
    const compile = { optimizer: "sgd", loss: "binaryCrossentropy", clip: { norm: 2 } } as const;
    const { manifest } = await manifestOf(jobOf(model, { compile }), { workersMin: 1 });
    const bounds = manifest.tables.map(({ name, l2, maxNorm, clip }) => ({ name, l2, maxNorm, clip }));
    expect(bounds).toEqual([
      { name: "bounded", l2: 0.1, maxNorm: 3, clip: { value: 5 } },
      { name: "plain", l2: undefined, maxNorm: undefined, clip: { norm: 2 } },
    ]);
  });

  it("asks the data for lists, weights and arrays of numbers", async () => {
    const model = () => {
      const [tags, shares] = [
        input({ name: "tags", dtype: "string", shape: [null] }),
        input({ name: "shares", dtype: "float32", shape: [null] }),
      ];
      const [seen, pixels] = [
        input({ name: "seen", dtype: "int64", shape: [4] }),
        input({ name: "pixels", dtype: "float32", shape: [2, 3] }),
      ];
      const rows = [
        embedding({ table: "tag", dim: 2, combiner: "sum" }).apply([tags, shares]),
        through(embedding({ table: "seen", dim: 2 }).apply(seen), layers.flatten()),
        through(pixels, layers.flatten()),
      ];
      return tfl.model({
        inputs: [tags, shares, seen, pixels],
        outputs: through(rows, layers.concatenate(), sigmoid()),
      });
    };
    const data = dataWith({ tags: "tags", shares: "shares", seen: "seen", pixels: "pixels" });
    const { manifest } = await manifestOf(jobOf(model, { data }), { workersMin: 1 });
    expect(fieldDemands(manifest)).toEqual([
      { name: "tags", as: "keyLists" },
      { name: "shares", as: "numberLists" },
      { name: "seen", as: "keyLists", integers: "int64" },
      { name: "pixels", as: "numbers", width: 6 },
    ]);
  });

  it("keeps the dense weights, and brings the rows, of a model that convertEmbeddings made", async () => {
    const original = () => {
      const a = tfl.input({ name: "a", shape: [1], dtype: "int32" });
      const rows = layers.embedding({ inputDim: 3, outputDim: 2, name: "letters" }).apply(a) as tfl.SymbolicTensor;
      return tfl.model({ inputs: a, outputs: through(rows, layers.flatten(), sigmoid()) });
    };
    const plain = original();
    const job = jobOf(() => convertEmbeddings(plain), { data: dataWith({ a: "a" }) });
    const { denseWeights, tableRows } = await manifestOf(job, { workersMin: 1 });
    const [rows, ...dense] = plain.getWeights().map((weight) => [...weight.dataSync()]);
    expect([...denseWeights]).toEqual(dense.flat());
    expect(tableRows).toEqual([
      { table: "letters", keys: BigUint64Array.of(0n, 1n, 2n), values: Float32Array.from(rows!) },
    ]);
    plain.dispose();
  });

  it("leaves out a field the model does not read, and says so", async () => {
    const job = jobOf(wideModel, { data: dataWith({ ...FIELDS, spare: "c" }) });
    const { manifest, warnings } = await manifestOf(job, { workersMin: 1 });
    expect(Object.keys(manifest.data.fields)).toEqual(["a", "b", "x"]);
    expect(warnings).toEqual(['data field "spare" is no input of the model; it is left out']);
  });

  it("warns of layers whose state or randomness it cannot keep in step", async () => {
    const model = () => {
      const x = number("x");
      return tfl.model({
        inputs: x,
        outputs: through(x, layers.batchNormalization(), layers.gaussianNoise({ stddev: 1 }), sigmoid()),
      });
    };
    const { warnings } = await manifestOf(jobOf(model, { data: dataWith({ x: "x" }) }), { workersMin: 1 });
    expect(warnings).toEqual([
      'layer "batch_normalization_1": moving averages are not trained yet, so predictions use its initial ones; use tf.layers.layerNormalization',
      'layer "gaussian_noise_1": GaussianNoise draws unseeded random numbers, so runs will differ',
    ]);
  });
});

describe("manifestOf refuses", () => {
  /** A model of embeddings given as [field, table, dim], joined. */
  const joined =
    (...uses: [field: string, table: string, dim: number][]) =>
    () => {
      const inputs = uses.map(([field]) => key(field));
      const rows = uses.map(([, table, dim], i) => embedding({ table, dim }).apply(inputs[i]!));
      return tfl.model({ inputs, outputs: through(rows, layers.concatenate(), sigmoid()) });
    };
  const manifestFor = (model: NonNullable<JobArgs["model"]>, parts?: Partial<JobArgs>) =>
    manifestOf(jobOf(model, parts), { workersMin: 1 });

  it("a field the data does not have, naming the nearest", async () => {
    await expect(
      manifestFor(joined(["origin", "t", 1], ["a", "t", 1]), { data: dataWith({ a: "a", origins: "o" }) }),
    ).rejects.toThrow(
      new TypeError(
        'job "wide": the model has an input "origin", and the data has no such field; it has "a", "origins". ' +
          'Did you mean "origins"? Add it to the fields of the data, or rename the input',
      ),
    );
  });

  it("lists where the model takes one key", async () => {
    await expect(
      manifestFor(joined(["a", "t", 1], ["tags", "t", 1]), { data: dataWith({ a: "a", tags: split("tags", "|") }) }),
    ).rejects.toThrow(
      /field "tags" is made by split\(\), which gives a list of keys, and the model takes one key; give its input shape: \[null\] and its embedding a combiner/,
    );
    const few = { a: "a", few: negatives({ count: 3, vocabulary: 9 }) };
    await expect(manifestFor(joined(["a", "t", 1], ["few", "t", 1]), { data: dataWith(few) })).rejects.toThrow(
      /field "few" is made by negatives\(\), .*give its input shape: \[3\]/,
    );
  });

  it("two embeddings that share a table and differ, naming both", async () => {
    await expect(manifestFor(joined(["a", "t", 2], ["b", "t", 3]))).rejects.toThrow(
      new TypeError(
        'table "t" has dim 2 for field "a" and 3 for field "b"; embeddings that share a table must agree: ' +
          "use one embedding() for both, or name two tables",
      ),
    );
    const cares = () => {
      const [a, b] = [key("a"), key("b")];
      const rows = [
        embedding({ table: "t", dim: 1, evict: leastRecent({ rowsMax: 9 }) }).apply(a),
        embedding({ table: "t", dim: 1, evict: leastRecent({ rowsMax: 10 }) }).apply(b),
      ];
      return tfl.model({ inputs: [a, b], outputs: through(rows, layers.concatenate(), sigmoid()) });
    };
    await expect(manifestFor(cares)).rejects.toThrow(
      /table "t" has eviction \{"rowsMax":9,"order":"least-recent"\} for field "a" and \{"rowsMax":10,.*must agree/,
    );
    const dtypes = () => {
      const [a, b] = [key("a"), key("b")];
      const rows = [
        embedding({ table: "t", dim: 1, dtype: "int8" }).apply(a),
        embedding({ table: "t", dim: 1 }).apply(b),
      ];
      return tfl.model({ inputs: [a, b], outputs: through(rows, layers.concatenate(), sigmoid()) });
    };
    await expect(manifestFor(dtypes)).rejects.toThrow(
      /table "t" has dtype "int8" for field "a" and none for field "b"/,
    );
    const bounds = () => {
      const [a, b] = [key("a"), key("b")];
      const rows = [embedding({ table: "t", dim: 1, l2: 1 }).apply(a), embedding({ table: "t", dim: 1 }).apply(b)];
      return tfl.model({ inputs: [a, b], outputs: through(rows, layers.concatenate(), sigmoid()) });
    };
    await expect(manifestFor(bounds)).rejects.toThrow(/table "t" has l2 1 for field "a" and none for field "b"/);
    const initializers = () => {
      const [a, b] = [key("a"), key("b")];
      const rows = [
        embedding({ table: "t", dim: 1, initializer: constant(1) }).apply(a),
        embedding({ table: "t", dim: 1 }).apply(b),
      ];
      return tfl.model({
        inputs: [a, b],
        outputs: through(rows, layers.add(), layers.activation({ activation: "sigmoid" })),
      });
    };
    await expect(manifestFor(initializers)).rejects.toThrow(
      /table "t" has initializer \{"kind":"constant","value":1\} for field "a"/,
    );
  });

  it("numbers that are embedded, and keys that are not", async () => {
    await expect(manifestFor(joined(["a", "t", 1], ["x", "t", 1]))).rejects.toThrow(
      /field "x" is made by standardise\(\), which gives numbers/,
    );
    const numeric = () => {
      const b = number("b");
      return tfl.model({ inputs: b, outputs: through(b, sigmoid()) });
    };
    await expect(manifestFor(numeric)).rejects.toThrow(/field "b" is made by cross\(\), which gives keys/);
  });

  it("binary crossentropy of what is no probability", async () => {
    const linear = () => {
      const x = number("x");
      return tfl.model({ inputs: x, outputs: through(x, layers.dense({ units: 1, name: "late" })) });
    };
    await expect(manifestFor(linear)).rejects.toThrow(
      /needs a probability, and the output is layer "late" with activation "linear"; end in activation: "sigmoid"/,
    );
    await expect(
      manifestFor(linear, { compile: { optimizer: "sgd", loss: "meanSquaredError" } }),
    ).resolves.toBeTruthy();
  });

  it("a constraint", async () => {
    const constrained = () => {
      const x = number("x");
      const kernelConstraint = tfl.constraints.nonNeg();
      return tfl.model({
        inputs: x,
        outputs: through(x, layers.dense({ units: 1, activation: "sigmoid", kernelConstraint })),
      });
    };
    await expect(manifestFor(constrained)).rejects.toThrow(
      /layer "dense_1" has a kernel_constraint; constraints are not supported/,
    );
  });

  it("a model() that gives none", async () => {
    await expect(manifestFor(() => undefined as unknown as tfl.LayersModel)).rejects.toThrow(
      new TypeError('job "wide": model() gave undefined; return what tf.model({ inputs, outputs }) makes'),
    );
  });
});

describe("manifestOfModel", () => {
  it("takes the weights as they are, and leaves the model alone", async () => {
    const model = wideModel();
    const tensors = tf.memory().numTensors;
    const job = {
      name: "given",
      data: dataWith(FIELDS),
      compile: { optimizer: "adam", loss: "binaryCrossentropy" },
      fit: { batchSize: 8 },
    } as const;
    const { manifest, denseWeights } = await manifestOfModel(model, job, { workersMin: 1 });
    const theirs = model.weights.flatMap((weight) => [...weight.read().dataSync()]);
    expect([...denseWeights]).toEqual(theirs);
    expect(manifest.model.variables.map(({ shape }) => shape)).toEqual(model.weights.map(({ shape }) => shape));
    expect(tf.memory().numTensors).toBe(tensors);
    model.dispose();
  });
});
