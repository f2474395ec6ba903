import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import * as tfl from "@tensorflow/tfjs-layers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { column, file, parquet } from "../data/index.ts";
import type { Batch } from "../data/index.ts";
import type { PartitionMap } from "../partition/index.ts";
import { sgd } from "../optimizer/index.ts";
import { RowPlanner, type StepRows } from "../training/rows/step-rows.ts";
import { convertEmbeddings, hasTfjsEmbedding, tableRowsOf, type ConvertOptions } from "./convert-embeddings.ts";
import { uniform, zeros } from "./layers/initializer.ts";
import { manifestOfModel, type PreparedJob } from "./job-manifest.ts";
import { through } from "./layers/through.ts";
import { TrainingModel } from "./tower/training-model.ts";

const { layers } = tfl;
const RATE = 0.05;

async function jobOf(model: tfl.LayersModel): Promise<PreparedJob> {
  const fields = Object.fromEntries(model.inputs.map(({ sourceLayer: { name } }) => [name, name]));
  const data = parquet(file("data.parquet"), { fields, label: column("label") });
  const compile = {
    optimizer: "sgd",
    sparseOptimizer: sgd({ learningRate: RATE }),
    loss: "binaryCrossentropy",
  } as const;
  return manifestOfModel(model, { name: "converted", data, compile, fit: { batchSize: 8 } }, { workersMin: 1 });
}

const ids = (name: string, shape: number[] = [1]) => tfl.input({ name, shape, dtype: "int32" });
const sigmoid = () =>
  layers.dense({ units: 1, activation: "sigmoid", kernelInitializer: tfl.initializers.glorotNormal({ seed: 5 }) });
const plain = (inputDim: number, outputDim: number, options: Partial<Parameters<typeof layers.embedding>[0]> = {}) =>
  layers.embedding({
    inputDim,
    outputDim,
    embeddingsInitializer: tfl.initializers.randomUniform({ minval: -0.5, maxval: 0.5, seed: 3 }),
    ...options,
  });

/** One PS in this process: rows of every table by key, and plain gradient descent. */
class Rows {
  readonly #planner: RowPlanner;
  readonly #rows = new Map<string, Float32Array>();
  readonly #tables: readonly { name: string; dim: number }[];

  constructor({ manifest, tableRows }: PreparedJob) {
    const entries = [{ generation: 1, headSince: 1, chain: [7] }];
    const versions = { version: 1, heads: 1 };
    const map: PartitionMap = { ...versions, partitionsLog2: 0, function: { kind: "hash" }, nodes: [], entries };
    this.#planner = new RowPlanner({ manifest, map });
    this.#tables = manifest.tables;
    for (const { table, keys, values } of tableRows) {
      const { dim } = manifest.tables.find(({ name }) => name === table)!;
      for (const [i, key] of keys.entries()) this.#rows.set(`${table}/${key}`, values.slice(i * dim, (i + 1) * dim));
    }
  }

  plan(batch: Batch): StepRows {
    const rows = this.#planner.rowsOf(batch);
    const found = this.#found(rows);
    const values = new Float32Array(found.reduce((floats, row) => floats + row.length, 0));
    let at = 0;
    for (const row of found) {
      values.set(row, at);
      at += row.length;
    }
    rows.takeReply(0, values);
    return rows;
  }

  descend(rows: StepRows): void {
    const gradients = rows.gradientsFor(0);
    let at = 0;
    for (const row of this.#found(rows)) for (let d = 0; d < row.length; d++) row[d]! -= RATE * gradients[at++]!;
  }

  #found(rows: StepRows): Float32Array[] {
    const { counts, keys, tables } = rows.sections(0);
    let k = 0;
    return [...counts].flatMap((count, i) => {
      const { name } = this.#tables[tables[i % tables.length]! - 1]!;
      return Array.from({ length: count }, () => {
        const key = BigInt(keys[2 * k]!) | (BigInt(keys[2 * k++ + 1]!) << 32n);
        const row = this.#rows.get(`${name}/${key}`);
        if (!row) throw new Error(`no row ${name}/${key}`);
        return row;
      });
    });
  }
}

/** A batch whose fields hold these ids, [B, L] each, as both sides take it. */
interface Samples {
  ids: Record<string, number[][]>;
  label: number[];
}

function batchOf({ ids: fields, label }: Samples, { manifest }: PreparedJob): Batch {
  const words = (lists: number[][]) => Uint32Array.from(lists.flat().flatMap((key) => [key, 0]));
  const usage = new Map(manifest.model.embeddings.map(({ field, usage: { kind } }) => [field, kind]));
  const of = (kind: string) => Object.entries(fields).filter(([name]) => usage.get(name) === kind);
  return {
    samples: label.length,
    keys: new Map(of("one").map(([name, lists]) => [name, words(lists)])),
    keyLists: new Map(
      of("sequence").map(([name, lists]) => [
        name,
        { keys: words(lists), offsets: Uint32Array.from([0, ...lists.map((list, b) => (b + 1) * list.length)]) },
      ]),
    ),
    numbers: new Map(),
    numberLists: new Map(),
    label: Float32Array.from(label),
    weight: undefined,
    group: undefined,
  };
}

const tensorsOf = ({ ids: fields }: Samples, model: tfl.LayersModel): tf.Tensor[] =>
  model.inputs.map(({ sourceLayer: { name } }) => tf.tensor2d(fields[name]!, undefined, "int32"));

async function predicted(at: { model: TrainingModel; rows: Rows; samples: Samples; job: PreparedJob }) {
  const step = at.rows.plan(batchOf(at.samples, at.job));
  const { numbers, masks } = step;
  return at.model.predict({ rows: step.gather(), numbers, masks, samples: at.samples.label.length });
}

function expectClose(got: ArrayLike<number>, wanted: ArrayLike<number>, tolerance: number): void {
  expect(got.length).toBe(wanted.length);
  for (let i = 0; i < wanted.length; i++) expect(Math.abs(got[i]! - wanted[i]!)).toBeLessThan(tolerance);
}

function integers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/**
 * tfjs's own sum over segments on the cpu backend runs a dozen kernels for each of 100,000 rows, minutes a step; this
 * one adds the same floats in the same order.
 */
const segmentSum: tf.KernelFunc = ({ inputs, backend, attrs }) => {
  const { x, segmentIds } = inputs as Record<string, tf.TensorInfo>;
  const { numSegments } = attrs as unknown as { numSegments: number };
  const cpu = backend as unknown as {
    data: { get: (id: object) => { values: Float32Array } };
    makeTensorInfo: (shape: number[], dtype: "float32", values: Float32Array) => tf.TensorInfo;
  };
  const [values, segments] = [cpu.data.get(x!.dataId).values, cpu.data.get(segmentIds!.dataId).values];
  const D = values.length / segments.length;
  const sums = new Float32Array(numSegments * D);
  for (const [i, segment] of segments.entries())
    for (let d = 0; d < D; d++) sums[segment * D + d]! += values[i * D + d]!;
  return cpu.makeTensorInfo([numSegments, ...x!.shape.slice(1)], "float32", sums);
};

describe("convertEmbeddings", () => {
  let own: tf.KernelConfig;
  beforeAll(async () => {
    await tf.setBackend("cpu");
    own = { ...tf.getKernel("UnsortedSegmentSum", "cpu"), kernelName: "UnsortedSegmentSum", backendName: "cpu" };
    const x = tf.tensor2d([1, 2, 3, 4, 5, 6], [3, 2]);
    const segments = tf.tensor1d([2, 0, 2], "int32");
    const before = [...tf.unsortedSegmentSum(x, segments, 4).dataSync()];
    tf.unregisterKernel("UnsortedSegmentSum", "cpu");
    tf.registerKernel({ ...own, kernelFunc: segmentSum });
    expect([...tf.unsortedSegmentSum(x, segments, 4).dataSync()]).toEqual(before);
    tf.dispose([x, segments]);
  });
  afterAll(() => {
    tf.unregisterKernel("UnsortedSegmentSum", "cpu");
    tf.registerKernel(own);
  });

  /** Three trained embeddings of together 100,000 rows: one id, a masked history through an LSTM, and a shared pair. */
  function threeEmbeddings(): tfl.LayersModel {
    const [user, seen, item, other] = [ids("user"), ids("seen", [5]), ids("item"), ids("other")];
    const items = plain(40_000, 4, { name: "items" });
    const history = through(
      plain(10_000, 4, { name: "history", maskZero: true }).apply(seen) as tfl.SymbolicTensor,
      layers.lstm({
        units: 3,
        kernelInitializer: tfl.initializers.glorotNormal({ seed: 1 }),
        recurrentInitializer: tfl.initializers.glorotNormal({ seed: 2 }),
      }),
    );
    const flat = (tensor: unknown) => through(tensor as tfl.SymbolicTensor, layers.flatten());
    const parts = [
      flat(plain(50_000, 6, { name: "users" }).apply(user)),
      history,
      flat(items.apply(item)),
      flat(items.apply(other)),
    ];
    return tfl.model({
      inputs: [user, seen, item, other],
      outputs: through(
        parts,
        layers.concatenate(),
        layers.dense({ units: 8, activation: "relu", kernelInitializer: tfl.initializers.glorotNormal({ seed: 4 }) }),
        sigmoid(),
      ),
    });
  }

  it("predicts and trains as tfjs does: 100,000 rows, 200 steps of plain SGD", async () => {
    const original = threeEmbeddings();
    const converted = await convertEmbeddings(original);
    const job = await jobOf(converted);
    const { tables } = job.manifest;
    expect(tables.map(({ name, dim }) => [name, dim])).toEqual([
      ["history", 4],
      ["items", 4],
      ["users", 6],
    ]);
    expect(job.tableRows.reduce((rows, { keys }) => rows + keys.length, 0)).toBe(100_000);

    const draw = integers(17);
    const B = 8;
    const samples = (): Samples => {
      const some = (below: number) => Array.from({ length: B }, () => [draw(below)]);
      const seen = Array.from({ length: B }, () => {
        const length = draw(6);
        return Array.from({ length: 5 }, (_, i) => (i < length ? 1 + draw(40) : 0));
      });
      return {
        ids: { user: some(50_000), seen, item: some(100), other: some(40_000) },
        label: Array.from({ length: B }, () => draw(2)),
      };
    };
    const batches = Array.from({ length: 50 }, samples);
    const model = await TrainingModel.create(job.manifest);
    const dense = job.denseWeights.slice();
    model.setDense(dense);
    const rows = new Rows(job);
    const differences = async (tolerance: number) => {
      for (const batch of batches.slice(0, 5)) {
        const wanted = tf.tidy(() =>
          (original.predictOnBatch(tensorsOf(batch, original)) as tf.Tensor).dataSync().slice(),
        );
        expectClose(await predicted({ model, rows, samples: batch, job }), wanted, tolerance);
      }
    };
    await differences(1e-5);

    original.compile({ optimizer: tf.train.sgd(RATE), loss: "binaryCrossentropy" });
    for (let step = 0; step < 200; step++) {
      const batch = batches[step % batches.length]!;
      const xs = tensorsOf(batch, original);
      const y = tf.tensor2d(batch.label, [B, 1]);
      await original.trainOnBatch(xs, y);
      tf.dispose([xs, y]);

      const read = batchOf(batch, job);
      const ours = rows.plan(read);
      const { rowGrads, denseGrads } = await model.step({
        rows: ours.gather(),
        numbers: ours.numbers,
        masks: ours.masks,
        label: read.label,
        samples: B,
        globalSamples: B,
      });
      ours.scatter(rowGrads);
      rows.descend(ours);
      for (let i = 0; i < dense.length; i++) dense[i]! -= RATE * denseGrads[i]!;
      model.setDense(dense);
    }
    await differences(1e-4);
    const [before, after] = [job.denseWeights, dense];
    expect(Math.max(...before.map((weight, i) => Math.abs(weight - after[i]!)))).toBeGreaterThan(1e-2);
    model.dispose();
    converted.dispose();
    original.dispose();
  }, 120_000);

  const converted = async (
    outputs: tfl.SymbolicTensor,
    inputs: tfl.SymbolicTensor | tfl.SymbolicTensor[],
    options?: ConvertOptions,
  ) => {
    const original = tfl.model({ inputs, outputs });
    try {
      return await convertEmbeddings(original, options);
    } finally {
      original.dispose();
    }
  };
  const embedded = (layer: tfl.layers.Layer, input = ids("a", [3])) =>
    [through(layer.apply(input) as tfl.SymbolicTensor, layers.flatten(), sigmoid()), input] as const;

  it("keeps names, shapes and weights, makes inputs of ids int32, and leaks nothing", async () => {
    const a = tfl.input({ name: "a", shape: [3] });
    const x = tfl.input({ name: "x", shape: [2] });
    const flat = through(plain(7, 2, { name: "letters" }).apply(a) as tfl.SymbolicTensor, layers.flatten());
    const original = tfl.model({
      inputs: [a, x],
      outputs: through([flat, x], layers.concatenate(), sigmoid()),
      name: "mine",
    });
    const { numTensors } = tf.memory();
    const model = await convertEmbeddings(original);
    expect(model.name).toBe("mine");
    expect(model.inputs.map(({ sourceLayer: { name }, dtype, shape }) => ({ name, dtype, shape }))).toEqual([
      { name: "a", dtype: "int32", shape: [null, 3] },
      { name: "x", dtype: "float32", shape: [null, 2] },
    ]);
    expect(model.outputs[0]!.shape).toEqual([null, 1]);
    expect(model.getWeights().map((w) => [...w.dataSync()])).toEqual(
      original
        .getWeights()
        .slice(1)
        .map((w) => [...w.dataSync()]),
    );
    const [table] = tableRowsOf(model);
    expect(table!.table).toBe("letters");
    expect([...table!.keys]).toEqual([0n, 1n, 2n, 3n, 4n, 5n, 6n]);
    expect([...table!.values]).toEqual([...original.getWeights()[0]!.dataSync()]);
    expect(hasTfjsEmbedding(original)).toBe(true);
    expect(hasTfjsEmbedding(model)).toBe(false);
    model.dispose();
    expect(tf.memory().numTensors).toBe(numTensors);
    original.dispose();
  });

  it("takes a Sequential model, and nested ones: two towers", async () => {
    const sequential = tfl.sequential({
      layers: [plain(9, 2, { inputLength: 4, name: "words" }), layers.flatten(), sigmoid()],
    });
    const one = await convertEmbeddings(sequential);
    expect((await jobOf(one)).manifest.model.embeddings).toMatchObject([
      { table: "words", dim: 2, usage: { kind: "sequence", length: 4, mask: "none" } },
    ]);
    const tower = (name: string) =>
      tfl.sequential({
        name,
        layers: [plain(9, 2, { inputLength: 1, name: `${name}s` }), layers.flatten(), layers.dense({ units: 3 })],
      });
    const [user, item] = [ids("user"), ids("item")];
    const sides = [tower("users").apply(user), tower("items").apply(item)] as tfl.SymbolicTensor[];
    const two = await converted(through(sides, layers.dot({ axes: 1 }), layers.activation({ activation: "sigmoid" })), [
      user,
      item,
    ]);
    const { manifest, tableRows } = await jobOf(two);
    expect(manifest.model.embeddings.map(({ field, table, usage }) => [field, table, usage.kind])).toEqual([
      ["user", "userss", "one"],
      ["item", "itemss", "one"],
    ]);
    expect(tableRows.map(({ table }) => table)).toEqual(["userss", "itemss"]);
  });

  it("names tables by the options, the layer, or the input of a layer that tfjs named", async () => {
    const [a, b, c] = [ids("a", [3]), ids("b", [3]), ids("c", [3])];
    const rows = [
      plain(5, 2, { name: "first" }).apply(a),
      plain(5, 2, { name: "second" }).apply(b),
      layers.embedding({ inputDim: 5, outputDim: 2, embeddingsInitializer: "zeros" }).apply(c),
    ] as tfl.SymbolicTensor[];
    const model = await converted(through(rows, layers.add(), layers.flatten(), sigmoid()), [a, b, c], {
      tables: { first: "alpha", second: { optimizer: "adam", l2: 0.1 } },
      optimizer: sgd({ learningRate: 1 }),
    });
    const { tables } = (await jobOf(model)).manifest;
    expect(tables.map(({ name, optimizer, initializer, l2 }) => [name, optimizer.kind, initializer, l2])).toEqual([
      ["alpha", "sgd", uniform({ min: -0.5, max: 0.5 }), undefined],
      ["c", "sgd", zeros(), undefined],
      ["second", "adam", uniform({ min: -0.5, max: 0.5 }), 0.1],
    ]);
  });

  it("keeps what a frozen layer has, and bounds rows as a constraint does", async () => {
    const frozen = await converted(...embedded(plain(5, 2, { name: "e", trainable: false })));
    expect((await jobOf(frozen)).manifest.tables[0]!.optimizer).toEqual({ kind: "none" });
    const bounded = await converted(
      ...embedded(plain(5, 2, { name: "e", embeddingsConstraint: tfl.constraints.maxNorm({ maxValue: 2, axis: 1 }) })),
    );
    expect((await jobOf(bounded)).manifest.tables[0]!.maxNorm).toBe(2);
  });

  it.each<
    [string, () => readonly [tfl.SymbolicTensor, tfl.SymbolicTensor | tfl.SymbolicTensor[]], ConvertOptions, RegExp]
  >([
    [
      "a regularizer, which pulls at rows that no sample uses",
      () => embedded(plain(5, 2, { name: "e", embeddingsRegularizer: tfl.regularizers.l2({ l2: 0.1 }) })),
      {},
      /"e" has an embeddingsRegularizer, which changes every row in every step.* tables: \{ "e": \{ l2: 0\.2 \} \}/,
    ],
    [
      "a constraint that is not of each row",
      () =>
        embedded(plain(5, 2, { name: "e", embeddingsConstraint: tfl.constraints.maxNorm({ maxValue: 2, axis: 0 }) })),
      {},
      /"e" has the embeddingsConstraint .* a table can bound the length of each row only/,
    ],
    [
      "a row over its bound",
      () => embedded(plain(5, 2, { name: "e", embeddingsInitializer: "ones" })),
      { tables: { e: { maxNorm: 1 } } },
      /"e": row 0 has the length 1\.414, over its maxNorm 1/,
    ],
    [
      "lists of any length",
      () => {
        const a = tfl.input({ name: "a", shape: [null], dtype: "int32" });
        return [
          through(plain(5, 2, { name: "e" }).apply(a) as tfl.SymbolicTensor, layers.globalAveragePooling1d({})),
          a,
        ];
      },
      {},
      /"e": its input "a" has the shape \[null,null\]; the cluster needs a fixed number of ids a sample: .* inputLength/,
    ],
    [
      "ids that a layer computes",
      () => {
        const a = ids("a", [3]);
        const computed = through(a, layers.reshape({ targetShape: [3] }));
        return [embedded(plain(5, 2, { name: "e" }), computed)[0], a];
      },
      {},
      /"e": its ids are computed by layer "reshape.*ids must come straight from an input/,
    ],
    [
      "an input that gives ids and numbers",
      () => {
        const a = ids("a", [3]);
        const flat = through(plain(5, 2).apply(a) as tfl.SymbolicTensor, layers.flatten());
        return [through([flat, a], layers.concatenate(), sigmoid()), a];
      },
      {},
      /input "a" gives ids to an embedding and numbers to another layer; make it two inputs/,
    ],
    [
      "two layers in one table",
      () => {
        const [a, b] = [ids("a", [3]), ids("b", [3])];
        const rows = [plain(5, 2, { name: "e" }).apply(a), plain(5, 2, { name: "f" }).apply(b)] as tfl.SymbolicTensor[];
        return [through(rows, layers.add(), layers.flatten(), sigmoid()), [a, b]];
      },
      { tables: { e: "t", f: "t" } },
      /layers "e" and "f" would share the table "t", and each has rows of its own/,
    ],
    [
      "options of a layer that is not there",
      () => embedded(plain(5, 2, { name: "letters" })),
      { tables: { letter: "t" } },
      /no embedding layer "letter"; it has "letters"\. Did you mean "letters"\?/,
    ],
    [
      "a wrapped embedding",
      () => {
        const a = ids("a", [3, 2]);
        const wrapped = layers.timeDistributed({ layer: plain(5, 2, { name: "e" }) }).apply(a) as tfl.SymbolicTensor;
        return [through(wrapped, layers.flatten(), sigmoid()), a];
      },
      {},
      /"e" is wrapped by ".*"; apply it to an input by itself/,
    ],
  ])("refuses %s, and leaks nothing", async (_, build, options, message) => {
    const [outputs, inputs] = build();
    const original = tfl.model({ inputs, outputs });
    const { numTensors } = tf.memory();
    await expect(convertEmbeddings(original, options)).rejects.toThrow(message);
    expect(tf.memory().numTensors).toBe(numTensors);
    original.dispose();
  });
});
