/** A converted model computes what tfjs computes with the model that it was. */
import * as tf from "@tensorflow/tfjs-core";
import "@tensorflow/tfjs-backend-cpu";
import * as tfl from "@tensorflow/tfjs-layers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Batch } from "../data/index.ts";
import type { PartitionMap } from "../partition/index.ts";
import { RowPlanner, type StepRows } from "../training/rows/step-rows.ts";
import { convertEmbeddings } from "./convert-embeddings.ts";
import type { PreparedJob } from "./job-manifest.ts";
import { through } from "./layers/through.ts";
import { ids, jobOf, plain, RATE, sigmoid } from "./test-tfjs-models.ts";
import { TrainingModel } from "./tower/training-model.ts";

const { layers } = tfl;

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
});
