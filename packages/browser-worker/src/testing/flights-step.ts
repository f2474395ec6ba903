/**
 * The first step of a job over generated flights, as a worker takes it between pull and push: keys → gather →
 * backward pass → scatter → sums by key. It runs in Node and in browsers, whose results the tests compare.
 *
 * Shapes: B samples, E = Σ dims of the embedding uses.
 */
import { epochOrder, type ColumnTable } from "@volary/core/data";
import type { JobManifest } from "@volary/core/job";
import { TrainingModel } from "@volary/core/model";
import { firstPartitionMap, type PartitionMap } from "@volary/core/partition";
import { initializerOf } from "@volary/core/table";
import { seededRandom } from "@volary/core/testing";
import { StepRowsFactory } from "@volary/core/training";
import type { Frame } from "@volary/core/wire";
import { tableDataset } from "./table-dataset.ts";

export const SAMPLES = 256;
const FLIGHTS = 1000;
const AIRPORTS = 30;
const NODES = [1, 2];

/** What a step gives. */
export interface StepRecord {
  /** Σ over the samples. */
  lossSum: number;
  /** float32, shape [B, E] */
  rowGrads: Float32Array;
  /** float32, all variables in order */
  denseGrads: Float32Array;
  /** Of each PS node: the gradients of its keys' rows, in key order. */
  sums: Float32Array[];
}

export interface FlightsStep {
  take(): Promise<StepRecord>;
  dispose(): void;
}

/** Prepares the step on the tfjs backend that is set. */
export async function openFlightsStep({
  manifest,
  denseWeights,
}: {
  manifest: JobManifest;
  denseWeights: Float32Array;
}): Promise<FlightsStep> {
  const dataset = tableDataset(manifest, flightsTable());
  const factory = new StepRowsFactory({
    manifest,
    map: flightsMap((node) => `ws://node-${node}`),
    dataset,
  });
  const samples = epochOrder({ rows: dataset.trainRows, seed: manifest.seed, epoch: 0 }).subarray(0, SAMPLES);
  const model = await TrainingModel.create(manifest);
  model.setDense(denseWeights);
  return {
    take: async () => {
      const rows = await factory.read("train", samples, 0);
      for (const n of NODES.keys()) rows.takeReply(n, storedRows(manifest, rows.sections(n)));
      const { label } = rows.batch;
      const { rowGrads, denseGrads, lossSum } = await model.step({
        rows: rows.gather(),
        numbers: rows.numbers,
        label,
        samples: SAMPLES,
        globalSamples: SAMPLES,
      });
      rows.scatter(rowGrads);
      return { lossSum, rowGrads, denseGrads, sums: Array.from(NODES.keys(), (n) => rows.gradientsFor(n)) };
    },
    dispose: () => model.dispose(),
  };
}

/** Flights of the first half of 2001 in the columns of the demo's data, the same ones everywhere. */
function flightsTable(): ColumnTable {
  const random = seededRandom(20010101);
  const airports = Array.from({ length: AIRPORTS }, (_, i) => `A${String(i).padStart(2, "0")}`);
  const some = (n: number) => Uint32Array.from({ length: FLIGHTS }, () => random.below(n));
  const whole = (min: number, max: number) =>
    BigInt64Array.from({ length: FLIGHTS }, () => BigInt(min + random.below(max - min)));
  const firstMinute = Date.UTC(2001, 0, 1) / 60_000;
  const lastMinute = Date.UTC(2001, 6, 1) / 60_000;
  return {
    rows: FLIGHTS,
    columns: new Map([
      ["origin", { kind: "string", codes: some(AIRPORTS), dictionary: airports }],
      ["destination", { kind: "string", codes: some(AIRPORTS), dictionary: airports }],
      ["date", { kind: "int64", values: whole(firstMinute, lastMinute).map((minute) => minute * 60_000_000n) }],
      ["distance", { kind: "int64", values: whole(60, 2700) }],
      ["delay", { kind: "int64", values: whole(-30, 45) }],
    ]),
  };
}

/** 16 partitions on two PS nodes. */
function flightsMap(address: (node: number) => string): PartitionMap {
  return firstPartitionMap({
    partitions: 16,
    nodes: NODES.map((node) => ({ node, name: `ps-${node}`, address: address(node) })),
  });
}

/** The rows of a frame's keys, as if trained for a while: far enough from 0 to saturate no unit and silence none. */
function storedRows(
  { tables }: JobManifest,
  { tables: ids, counts, keys }: Pick<Frame, "tables" | "counts" | "keys">,
): Float32Array {
  const T = ids.length;
  const stores = Array.from(ids, (id) => {
    const { dim } = tables.find((table) => table.id === id)!;
    return { dim, fill: initializerOf({ kind: "normal", mean: 0, stddev: 0.2 }, { seed: 1, table: id }) };
  });
  const values = new Float32Array(counts.reduce((floats, count, i) => floats + count * stores[i % T]!.dim, 0));
  let key = 0;
  let at = 0;
  for (const [i, count] of counts.entries()) {
    const { dim, fill } = stores[i % T]!;
    for (const end = key + count; key < end; key++, at += dim)
      fill(keys[2 * key]!, keys[2 * key + 1]!, values, at, dim);
  }
  return values;
}

/** How far each gradient of `got` is from that of `wanted`, and the loss: max |Δ| / max |wanted|, by name. */
export function relativeDifferences(
  manifest: JobManifest,
  { got, wanted }: { got: Told; wanted: StepRecord },
): Map<string, number> {
  const wantedGradients = gradientsOf(manifest, wanted);
  const differences = Array.from(
    gradientsOf(manifest, got),
    ([name, gradient]) => [name, relativeDifference(gradient, wantedGradients.get(name)!)] as const,
  );
  return new Map([["loss", Math.abs(got.lossSum - wanted.lossSum) / wanted.lossSum], ...differences]);
}

/** A worker may keep the gradients of samples' rows to itself: what travels are sums. */
type Told = Omit<StepRecord, "rowGrads"> & Partial<Pick<StepRecord, "rowGrads">>;

/** Gradients by what they belong to: an input of the tower, a variable, the rows of a PS node. */
function gradientsOf({ model }: JobManifest, { rowGrads, denseGrads, sums }: Told): Map<string, Float32Array> {
  const gradients = new Map(sums.map((sum, n) => [`rows of PS node ${NODES[n]}`, sum]));
  let at = 0;
  for (const { name, shape } of model.variables) {
    const floats = shape.reduce((a, b) => a * b, 1);
    gradients.set(name, denseGrads.subarray(at, at + floats));
    at += floats;
  }
  if (!rowGrads) return gradients;
  const E = rowGrads.length / SAMPLES;
  let column = 0;
  for (const { input, dim } of model.embeddings) {
    const from = column;
    gradients.set(
      input,
      Float32Array.from({ length: SAMPLES * dim }, (_, i) => rowGrads[Math.floor(i / dim) * E + from + (i % dim)]!),
    );
    column += dim;
  }
  return gradients;
}

function relativeDifference(got: Float32Array, wanted: Float32Array): number {
  if (got.length !== wanted.length) throw new RangeError(`${got.length} floats against ${wanted.length}`);
  let difference = 0;
  let size = 0;
  for (let i = 0; i < wanted.length; i++) {
    difference = Math.max(difference, Math.abs(got[i]! - wanted[i]!));
    size = Math.max(size, Math.abs(wanted[i]!));
  }
  return difference / size;
}
