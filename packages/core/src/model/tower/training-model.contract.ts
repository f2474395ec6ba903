/**
 * What `TrainingModel` promises on every tfjs backend. Its gradients are compared with those of plain tfjs: the same
 * tower, fed the rows of each use apart, with tfjs's own crossentropy of probabilities.
 */
import * as tf from "@tensorflow/tfjs-core";
import * as tfl from "@tensorflow/tfjs-layers";
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { column, file, parquet } from "../../data/index.ts";
import type { LossName } from "../../job/manifest.ts";
import { defineJob } from "../define-job.ts";
import { embedding } from "../layers/embedding.ts";
import { fm } from "../layers/fm.ts";
import { input } from "../layers/input.ts";
import { manifestOf, type PreparedJob } from "../job-manifest.ts";
import { sequencePooling } from "../layers/sequence-pooling.ts";
import { through } from "../layers/through.ts";
import { towerFromManifest } from "./tower.ts";
import { TrainingModel, type TrainedJob } from "./training-model.ts";
import { lossContract } from "./loss.contract.ts";

const { layers } = tfl;
const FIELDS = ["a", "b", "c", "x", "y"];
const [B, GLOBAL] = [6, 10];

interface Fields {
  /** Rows of a field. */
  key: (field: string, dim: number) => tfl.SymbolicTensor;
  number: (field: string) => tfl.SymbolicTensor;
}
type Build = (fields: Fields) => tfl.SymbolicTensor;

/** A model of rows of fields and numbers, whose inputs are collected on the way. */
async function prepare(build: Build, loss: LossName = "binaryCrossentropy"): Promise<PreparedJob> {
  const inputs = new Map<string, tfl.SymbolicTensor>();
  const field = (name: string, dtype: "string" | "float32"): tfl.SymbolicTensor => {
    const made = inputs.get(name) ?? input({ name, dtype });
    inputs.set(name, made);
    return made;
  };
  const job = defineJob({
    name: "contract",
    seed: 5,
    data: parquet(file("data.parquet"), {
      fields: Object.fromEntries(FIELDS.map((name) => [name, name])),
      label: column("label"),
    }),
    model: () => {
      inputs.clear();
      const outputs = build({
        key: (name, dim) => embedding({ table: `${name}${dim}`, dim }).apply(field(name, "string")),
        number: (name) => field(name, "float32"),
      });
      return tfl.model({ inputs: [...inputs.values()], outputs });
    },
    compile: { optimizer: "sgd", loss },
    fit: { batchSize: GLOBAL },
  });
  return manifestOf(job, { workersMin: 1 });
}

const relu = (units: number) => layers.dense({ units, activation: "relu" });
const sigmoid = () => layers.dense({ units: 1, activation: "sigmoid" });
const squash = () => layers.activation({ activation: "sigmoid" });

/** Every way the packed columns are read: whole, in part, joined with others, added, apart. */
const MODELS: Record<string, Build> = {
  "one embedding": ({ key }) => through(key("a", 3), sigmoid()),
  "a linear model: embeddings of one float, added": ({ key }) =>
    through([key("a", 1), key("b", 1), key("c", 1)], layers.add(), squash()),
  "embeddings of several floats, added": ({ key }) =>
    through([key("a", 2), key("b", 2)], layers.add(), relu(4), sigmoid()),
  "a deep model with numbers": ({ key, number }) =>
    through([key("a", 2), key("b", 3), number("x"), number("y")], layers.concatenate(), relu(5), relu(3), sigmoid()),
  "numbers between the rows": ({ key, number }) =>
    through([key("a", 2), number("x"), key("b", 3)], layers.concatenate(), relu(4), sigmoid()),
  "a factorization machine": ({ key }) => through([key("a", 2), key("b", 2), key("c", 2)], fm(), squash()),
  "DeepFM: deep, pairwise and linear parts": ({ key }) => {
    const rows = [key("a", 2), key("b", 2), key("c", 2)];
    const linear = [key("a", 1), key("b", 1), key("c", 1)];
    const deep = through(rows, layers.concatenate(), relu(4), layers.dense({ units: 1 }));
    return through([deep, through(rows, fm()), through(linear, layers.add())], layers.add(), squash());
  },
  "rows read twice, in other orders": ({ key }) => {
    const [a, b, c] = [key("a", 2), key("b", 2), key("c", 2)];
    const parts = [
      through([a, b, c], layers.concatenate()),
      through([c, a], layers.concatenate()),
      through([b, c], layers.add()),
      through([a, b], fm()),
      b,
    ];
    return through(parts, layers.concatenate(), sigmoid());
  },
  "a sigmoid that is used twice": ({ key }) => {
    const p = through(key("a", 3), layers.dense({ units: 1, activation: "sigmoid", name: "p" }));
    return through([p, through(p, sigmoid())], layers.average());
  },
  "numbers only": ({ number }) => through([number("x"), number("y")], layers.concatenate(), relu(3), sigmoid()),
  "a regularizer": ({ key }) =>
    through(key("a", 3), layers.dense({ units: 2, kernelRegularizer: tfl.regularizers.l2({ l2: 0.3 }) }), sigmoid()),
};

/** Numbers that repeat nowhere, the same on every machine. */
const wave = (floats: number, by: number) => Float32Array.from({ length: floats }, (_, i) => Math.sin(i * by + 1));

function batchFor({ manifest }: PreparedJob) {
  const E = manifest.model.embeddings.reduce((floats, { dim }) => floats + dim, 0);
  const label = Float32Array.from({ length: B }, (_, b) => (b % 3 === 0 ? 1 : 0));
  return {
    rows: wave(B * E, 1.3),
    numbers: wave(B * manifest.model.numbers.length, 0.7),
    label,
    samples: B,
    globalSamples: GLOBAL,
  };
}

/** Gradients of the mean over GLOBAL samples, by plain tfjs, on the same backend. */
async function byTfjs({ manifest, denseWeights }: PreparedJob, loss: LossName) {
  const { rows, numbers, label } = batchFor({ manifest } as PreparedJob);
  const { embeddings } = manifest.model;
  const tower = await towerFromManifest(manifest.model);
  const tensors = tf.tidy(() => {
    let at = 0;
    for (const weight of tower.weights) {
      const size = tf.util.sizeFromShape(weight.shape as number[]);
      weight.write(tf.tensor(denseWeights.slice(at, (at += size)), weight.shape as number[]));
    }
    const E = rows.length / B;
    const cut = (values: Float32Array, width: number, from: number, to: number) =>
      tf.tensor2d(
        Array.from({ length: B }, (_, b) => [...values.subarray(b * width + from, b * width + to)]),
        [B, to - from],
      );
    let column = 0;
    const uses = embeddings.map(({ dim }) => cut(rows, E, column, (column += dim)));
    const N = numbers.length / B;
    const xs = Array.from({ length: N }, (_, n) => cut(numbers, N, n, n + 1));
    const y = tf.tensor1d(label);
    const total = () => {
      const output = tf.reshape(tower.apply([...uses, ...xs], { training: true }) as tf.Tensor, [B]);
      const p = tf.clipByValue(output, 1e-7, 1 - 1e-7);
      const crossentropy = tf.neg(tf.add(tf.mul(y, tf.log(p)), tf.mul(tf.sub(1, y), tf.log(tf.sub(1, p)))));
      const sum = tf.sum(loss === "meanSquaredError" ? tf.squaredDifference(output, y) : crossentropy);
      return tower.calculateLosses().reduce((all, each) => tf.add(all, tf.mul(each, B)), sum) as tf.Scalar;
    };
    const weights = tower.weights.map((weight) => weight.read());
    const { value, grads } = tf.engine().gradients(total, [...uses, ...weights], tf.scalar(1 / GLOBAL));
    return [value, ...grads];
  });
  const [lossSum, ...grads] = await Promise.all(tensors.map((tensor) => tensor.data()));
  tf.dispose(tensors);
  tower.dispose();
  const rowGrads = Array.from({ length: B }, (_, b) =>
    embeddings.flatMap(({ dim }, f) => [...grads[f]!.subarray(b * dim, (b + 1) * dim)]),
  ).flat();
  return { rowGrads, denseGrads: grads.slice(embeddings.length).flatMap((part) => [...part]), lossSum: lossSum![0]! };
}

function expectClose(got: ArrayLike<number>, wanted: ArrayLike<number>): void {
  expect(got.length).toBe(wanted.length);
  const scale = Math.max(1e-3, ...Array.from(wanted, Math.abs));
  for (let i = 0; i < wanted.length; i++) expect(Math.abs(got[i]! - wanted[i]!) / scale).toBeLessThan(2e-5);
}

/** @param setUp sets the backend to test */
export function trainingModelContract(setUp: () => Promise<unknown>): void {
  const models: TrainingModel[] = [];
  const create = async (prepared: PreparedJob, changed: Partial<TrainedJob> = {}) => {
    const model = await TrainingModel.create({ ...prepared.manifest, ...changed });
    models.push(model);
    model.setDense(prepared.denseWeights);
    return model;
  };

  describe("TrainingModel", () => {
    let tensorsBefore: number;
    beforeAll(setUp);
    beforeEach(() => {
      tensorsBefore = tf.memory().numTensors;
    });
    afterEach(() => {
      for (const model of models.splice(0)) model.dispose();
      expect(tf.memory().numTensors).toBe(tensorsBefore);
    });

    it.each(Object.entries(MODELS))("has the gradients of plain tfjs: %s", async (_, build) => {
      const prepared = await prepare(build);
      const model = await create(prepared);
      const result = await model.step(batchFor(prepared));
      const wanted = await byTfjs(prepared, "binaryCrossentropy");
      expectClose(result.rowGrads, wanted.rowGrads);
      expectClose(result.denseGrads, wanted.denseGrads);
      expect(result.lossSum / wanted.lossSum).toBeCloseTo(1, 5);
    });

    it("has the gradients of plain tfjs for squared errors", async () => {
      const prepared = await prepare(MODELS["a deep model with numbers"]!, "meanSquaredError");
      const model = await create(prepared);
      const result = await model.step(batchFor(prepared));
      const wanted = await byTfjs(prepared, "meanSquaredError");
      expectClose(result.rowGrads, wanted.rowGrads);
      expectClose(result.denseGrads, wanted.denseGrads);
    });

    it("predicts probabilities, as plain tfjs does", async () => {
      const prepared = await prepare(MODELS["a linear model: embeddings of one float, added"]!);
      const model = await create(prepared);
      const { rows, numbers } = batchFor(prepared);
      const scores = await model.predict({ rows, numbers, samples: B });
      expectClose(
        scores,
        Array.from({ length: B }, (_, b) => 1 / (1 + Math.exp(-(rows[3 * b]! + rows[3 * b + 1]! + rows[3 * b + 2]!)))),
      );
    });

    it("gives slots whose gradients add up to those of all samples", async () => {
      const prepared = await prepare(MODELS["a deep model with numbers"]!);
      const model = await create(prepared);
      const { rows, numbers, label } = batchFor(prepared);
      const slot = (from: number, to: number) => {
        const part = (values: Float32Array) => values.slice((from * values.length) / B, (to * values.length) / B);
        return model.step({
          rows: part(rows),
          numbers: part(numbers),
          label: part(label),
          samples: to - from,
          globalSamples: GLOBAL,
        });
      };
      const [whole, first, second, empty] = [await slot(0, B), await slot(0, 4), await slot(4, B), await slot(B, B)];
      expectClose(
        first.denseGrads.map((grad, i) => grad + second.denseGrads[i]! + empty.denseGrads[i]!),
        whole.denseGrads,
      );
      expectClose([...first.rowGrads, ...second.rowGrads, ...empty.rowGrads], whole.rowGrads);
      expect(first.lossSum + second.lossSum + empty.lossSum).toBeCloseTo(whole.lossSum, 5);
    });

    it("keeps its gradient where a sigmoid would saturate: surely wrong is corrected at full rate", async () => {
      const prepared = await prepare(({ key }) => through([key("a", 1), key("b", 1)], layers.add(), squash()));
      const model = await create(prepared);
      const result = await model.step({
        rows: Float32Array.of(40, 40, -40, -40),
        numbers: new Float32Array(0),
        label: Float32Array.of(0, 1),
        samples: 2,
        globalSamples: 2,
      });
      expectClose(result.rowGrads, [0.5, 0.5, -0.5, -0.5]);
      expect(result.lossSum).toBeCloseTo(160, 3);
    });

    it("repeats a step to the bit, dropout included, and drops others for other samples", async () => {
      const prepared = await prepare(({ key }) =>
        through(key("a", 4), layers.dropout({ rate: 0.5 }), relu(8), layers.dropout({ rate: 0.5 }), sigmoid()),
      );
      const model = await create(prepared);
      const batch = batchFor(prepared);
      const [first, again] = [await model.step(batch), await model.step(batch)];
      expect(again).toEqual(first);
      const zeros = (values: Float32Array) => values.map((value) => (value === 0 ? 1 : 0)).join("");
      const other = await model.step({ ...batch, rows: batch.rows.map((value) => value + 1) });
      expect(zeros(other.rowGrads)).not.toBe(zeros(first.rowGrads));
    });

    it("gives variables that are not trainable no gradient, and keeps the places of the others", async () => {
      const prepared = await prepare(({ key }) =>
        through(key("a", 2), layers.dense({ units: 2, trainable: false }), layers.batchNormalization(), sigmoid()),
      );
      const model = await create(prepared);
      const { denseGrads } = await model.step(batchFor(prepared));
      expect(denseGrads.length).toBe(model.denseFloats);
      for (const { trainable, offset, size } of model.variables) {
        expect(denseGrads.subarray(offset, offset + size).some((grad) => grad !== 0)).toBe(trainable);
      }
      expect(model.variables.map(({ name, trainable }) => ({ name, trainable }))).toEqual(
        prepared.manifest.model.variables.map(({ name, trainable }) => ({ name, trainable })),
      );
    });

    it("aliases nothing: inputs stay as they were, results as they are", async () => {
      const prepared = await prepare(MODELS["a linear model: embeddings of one float, added"]!);
      const model = await create(prepared);
      const batch = batchFor(prepared);
      const before = structuredClone(batch);
      const first = await model.step(batch);
      expect(batch).toEqual(before);
      const kept = structuredClone(first);
      first.rowGrads.fill(9);
      expect(await model.step(batch)).toEqual(kept);
      expect(batch).toEqual(before);
      const scores = await model.predict(batch);
      const scoresBefore = scores.slice();
      batch.rows.fill(0);
      await model.predict(batch);
      expect(scores).toEqual(scoresBefore);
    });

    it("keeps what setDense was given, whatever happens to the array", async () => {
      const prepared = await prepare(MODELS["one embedding"]!);
      const model = await create(prepared);
      const batch = batchFor(prepared);
      const first = await model.step(batch);
      prepared.denseWeights.fill(3);
      expect(await model.step(batch)).toEqual(first);
      model.setDense(prepared.denseWeights);
      expect(await model.step(batch)).not.toEqual(first);
    });

    it("leaks no tensor in 50 steps", async () => {
      const prepared = await prepare(MODELS["DeepFM: deep, pairwise and linear parts"]!);
      const model = await create(prepared);
      const batch = batchFor(prepared);
      const { numTensors } = tf.memory();
      for (let i = 0; i < 50; i++) {
        await model.step(batch);
        await model.predict(batch);
        model.setDense(prepared.denseWeights);
      }
      expect(tf.memory().numTensors).toBe(numTensors);
    });

    it("refuses arrays of another length, and variables of another model", async () => {
      const prepared = await prepare(MODELS["one embedding"]!);
      const model = await create(prepared);
      const batch = batchFor(prepared);
      await expect(model.step({ ...batch, rows: batch.rows.slice(1) })).rejects.toThrow(
        new RangeError(`packed rows: got ${3 * B - 1} floats; the model needs ${3 * B}`),
      );
      expect(() => model.setDense(new Float32Array(1))).toThrow(
        new RangeError("dense weights: got 1 floats; the model needs 4"),
      );
      const spec = structuredClone(prepared.manifest.model);
      spec.variables[0]!.shape = [2, 2];
      await expect(TrainingModel.create({ ...prepared.manifest, model: spec })).rejects.toThrow(
        /2 variables, the manifest 2, and differs at "dense_1\/kernel": run one version of tfjs/,
      );
    });

    it("trains several outputs with sample and class weights as tfjs's fit does, over the samples of the whole step", async () => {
      const prepared = await prepare(
        ({ number }) =>
          through([number("x"), number("y")], layers.concatenate(), layers.dense({ units: 3, activation: "softmax" })),
        "sparseCategoricalCrossentropy",
      );
      const spec = { ...prepared.manifest.model, outputs: 3 };
      const classWeight = { 0: 0.5, 1: 2, 2: 1 };
      const model = await create(prepared, { model: spec, fit: { classWeight } });
      const numbers = wave(2 * B, 0.7);
      const label = Float32Array.from({ length: B }, (_, b) => b % 3);
      const batch = { rows: new Float32Array(0), numbers, label, samples: B, globalSamples: B };
      const { denseGrads, lossSum } = await model.step(batch);

      const theirs = tfl.sequential({ layers: [layers.dense({ units: 3, activation: "softmax", inputShape: [2] })] });
      const [kernel, bias] = tf.tidy(() => [tf.tensor2d(prepared.denseWeights.slice(0, 6), [2, 3]), tf.zeros([3])]);
      theirs.setWeights([kernel, bias]);
      const optimizer = tf.train.sgd(1);
      theirs.compile({ optimizer, loss: "sparseCategoricalCrossentropy" });
      const [x, y] = [tf.tensor2d(numbers, [B, 2]), tf.tensor1d(label)];
      const { history } = await theirs.fit(x, y, { batchSize: B, epochs: 1, shuffle: false, classWeight, verbose: 0 });
      const after = await theirs.getWeights()[0]!.data();
      expect(lossSum / B).toBeCloseTo(history["loss"]![0] as number, 5);
      expectClose(
        denseGrads.subarray(0, 6),
        Array.from(after, (w, i) => prepared.denseWeights[i]! - w),
      );
      tf.dispose([kernel, bias, x, y]);
      optimizer.dispose();
      theirs.dispose();

      const weight = Float32Array.from({ length: B }, (_, b) => classWeight[(b % 3) as 0 | 1 | 2]);
      const plain = await create(prepared, { model: spec, fit: {} });
      expect(await plain.step({ ...batch, weight })).toEqual({ rowGrads: new Float32Array(0), denseGrads, lossSum });
      const scores = await plain.predict(batch);
      expect(scores.length).toBe(3 * B);
      for (let b = 0; b < B; b++) expect(scores[3 * b]! + scores[3 * b + 1]! + scores[3 * b + 2]!).toBeCloseTo(1, 6);
    });

    it("gives the places a mask leaves out no part in what it predicts, and no gradient", async () => {
      const ids = input({ name: "a", dtype: "string", shape: [3] });
      const job = defineJob({
        name: "sequence",
        data: parquet(file("data.parquet"), { fields: { a: "a" }, label: column("label") }),
        model: () => {
          const rows = embedding({ table: "a", dim: 2, mask: "padding" }).apply(ids);
          return tfl.model({
            inputs: ids,
            outputs: through(rows, sequencePooling({ mode: "mean" }), layers.dense({ units: 1 })),
          });
        },
        compile: { optimizer: "sgd", loss: "huber" },
        fit: { batchSize: 2 },
      });
      const model = await create(await manifestOf(job, { workersMin: 1 }));
      model.setDense(Float32Array.of(1, 10, 0.5));
      const rows = Float32Array.of(1, 2, 3, 4, 50, 60, 5, 6, 70, 80, 90, 100);
      const at = { rows, numbers: new Float32Array(0), masks: Float32Array.of(1, 1, 0, 1, 0, 0), samples: 2 };
      expectClose(await model.predict(at), [2 + 30 + 0.5, 5 + 60 + 0.5]);
      const { rowGrads } = await model.step({ ...at, label: new Float32Array(2), globalSamples: 2 });
      expectClose(rowGrads, [0.25, 2.5, 0.25, 2.5, 0, 0, 0.5, 5, 0, 0, 0, 0]);
      await expect(model.predict({ ...at, masks: undefined })).rejects.toThrow(
        new RangeError("packed masks: got 0 floats; the model needs 6"),
      );
    });

    it("refuses labels that do not fit the outputs, naming both", async () => {
      const prepared = await prepare(MODELS["one embedding"]!);
      const model = await create(prepared);
      const batch = batchFor(prepared);
      await expect(model.step({ ...batch, label: new Float32Array(2 * B) })).rejects.toThrow(
        /^loss "binaryCrossentropy" compares the model's 1 output .* a label has 2; let the model end in 2 units/,
      );
      await expect(model.step({ ...batch, label: new Float32Array(B + 1) })).rejects.toThrow(
        /got 7 floats for 6 samples/,
      );
      await expect(model.step({ ...batch, weight: new Float32Array(1) })).rejects.toThrow(/weights: got 1 floats/);
      await expect(
        TrainingModel.create({ ...prepared.manifest, compile: { loss: "categoricalCrossentropy" } }),
      ).rejects.toThrow(
        /^loss "categoricalCrossentropy" needs an output for each class, and the model gives 1; end in/,
      );
      await expect(
        TrainingModel.create({ ...prepared.manifest, compile: { loss: { function: "mine", sha256: "0" } } }),
      ).rejects.toThrow('"mine" is a training function');
    });

    it("refuses a class the model has no output for, except of a sample that does not count", async () => {
      const prepared = await prepare(
        ({ key }) => through(key("a", 3), layers.dense({ units: 3, activation: "softmax" })),
        "sparseCategoricalCrossentropy",
      );
      const model = await create(prepared, { model: { ...prepared.manifest.model, outputs: 3 } });
      const batch = { ...batchFor(prepared), label: Float32Array.of(0, 1, 2, 3, 0, 0) };
      await expect(model.step(batch)).rejects.toThrow(
        new RangeError("label of sample 3 is 3; the model gives 3 outputs, classes 0 to 2"),
      );
      const weight = Float32Array.of(1, 1, 1, 0, 1, 1);
      const { rowGrads, lossSum } = await model.step({ ...batch, weight });
      expect(Number.isFinite(lossSum)).toBe(true);
      expect([...rowGrads.subarray(9, 12)].map(Math.abs)).toEqual([0, 0, 0]);
    });
  });

  lossContract(setUp);
}
