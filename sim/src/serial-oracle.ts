/**
 * What a job must have left behind: its committed steps, one after another, on plain Maps, in one thread. It shares
 * the optimizers' arithmetic and the initial values with the cluster, but nothing of partitions, frames, staging,
 * transactions or the ring, whose results it must equal bit for bit.
 */
import type { JobManifest } from "@volary/core/job";
import { learningRateAt, optimizerOf } from "@volary/core/optimizer";
import { partitionFunction } from "@volary/core/partition";
import { countingModel, isCounting } from "./counting-job.ts";
import { DenseOracle } from "./dense-oracle.ts";
import { heldOutError, initialRow, keysOf, rowsOfBatch } from "./held-out.ts";
import type { ReplayedStep } from "./replayed-steps.ts";
import { toyDataset, toyModel } from "./toy-job.ts";
import type { FinishedJob } from "./training-run.ts";
import { VocabularyOracle } from "./vocabulary-oracle.ts";

interface Row {
  /** [weights | optimizer state] */
  floats: Float32Array;
  updates: number;
  lastStep: number;
}

export interface OracleResult {
  /** Rows of each table: key → weights. */
  tables: Map<string, Map<bigint, Float32Array>>;
  dense: Float32Array;
  /** How often each training row was in a committed step, per epoch. */
  visits: Uint32Array[];
  /** Mean squared error of the held-out rows after each step that was asked for; undefined where nobody can tell. */
  mse: Map<number, number | undefined>;
  /** Σ loss of each step of the plan. */
  lossSums: number[];
}

/**
 * Replays the committed steps.
 *
 * @param o.evaluateAfter how many steps have been taken when the held-out rows are evaluated
 */
export async function replay({
  manifest,
  steps,
  map,
  evaluateAfter,
}: {
  manifest: JobManifest;
  steps: readonly ReplayedStep[];
  evaluateAfter: ReadonlySet<number>;
} & Pick<FinishedJob, "map">): Promise<OracleResult> {
  const dataset = toyDataset();
  const model = isCounting(manifest) ? countingModel() : toyModel();
  const partitions = map.entries.length;
  const partitionOfWords = partitionFunction(map.function, partitions);
  const partitionOf = (key: bigint) => partitionOfWords(Number(key & 0xffff_ffffn), Number(key >> 32n));
  const tables = new Map(
    manifest.tables.map((spec) => {
      const vocabulary = new VocabularyOracle({ spec, partitions, partitionOf });
      return [spec.name, { spec, vocabulary, rows: new Map<bigint, Row>() }];
    }),
  );
  const dense = new DenseOracle(manifest);
  const visits = Array.from({ length: manifest.fit.epochs }, () => new Uint32Array(dataset.trainRows));
  const weightsOf = (name: string, key: bigint): Float32Array => {
    const { spec, rows } = tables.get(name)!;
    const row = rows.get(key);
    if (row) return row.floats.slice(0, spec.dim);
    return initialRow(manifest, name, key);
  };
  const uses = manifest.model.embeddings;
  const error = () => heldOutError({ manifest, weightsOf, dense: dense.weights });
  const mse = new Map<number, number>();
  const lossSums: number[] = [];
  if (evaluateAfter.has(0)) mse.set(0, await error());
  for (const [i, { slots, members, globalSamples, scale }] of steps.entries()) {
    const step = i + 1;
    const sums = new Map<string, Map<bigint, Float32Array>>();
    const denseOfSlot: Float32Array[] = [];
    model.setDense(dense.weights);
    for (const { epoch, planned, samples } of slots) {
      for (const row of samples) visits[epoch]![row]!++;
      const batch = dataset.read("train", samples);
      const keys = keysOf(manifest, batch);
      const { rowGrads, denseGrads, lossSum } = await model.step({
        rows: rowsOfBatch(manifest, batch, weightsOf),
        numbers: batch.numbers.get("n")!,
        label: batch.label,
        samples: batch.samples,
        globalSamples,
      });
      denseOfSlot.push(denseGrads);
      lossSums[planned - 1] = (lossSums[planned - 1] ?? 0) + lossSum;
      const mine = new Map<string, Map<bigint, Float32Array>>();
      for (let b = 0, at = 0; b < batch.samples; b++) {
        for (const [u, use] of uses.entries()) {
          add(mine, use.table, keys[u]![b]!, rowGrads.subarray(at, at + use.dim));
          at += use.dim;
        }
      }
      for (const [table, grads] of mine) for (const [key, grad] of grads) add(sums, table, key, grad);
    }
    for (const [table, grads] of sums) {
      const { spec, vocabulary, rows } = tables.get(table)!;
      const rule = optimizerOf(spec.optimizer);
      for (const [key, grad] of [...grads].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
        for (let d = 0; d < grad.length; d++) grad[d] = grad[d]! * Math.fround(scale);
        if (!rows.has(key) && !vocabulary.admits(key)) continue;
        let row = rows.get(key);
        if (!row) {
          const floats = new Float32Array(spec.dim + rule.stateWidth(spec.dim));
          floats.set(weightsOf(table, key));
          rule.initState(floats, 0, spec.dim);
          row = { floats, updates: 0, lastStep: 0 };
          rows.set(key, row);
        }
        row.lastStep = step;
        rule.update(row.floats, 0, spec.dim, grad, 0, ++row.updates, learningRateAt(spec.optimizer, step));
      }
    }
    for (const { vocabulary, rows } of tables.values())
      for (const key of vocabulary.evicts(rows, step)) rows.delete(key);
    dense.update({ slots: denseOfSlot, members, step, scale });
    if (evaluateAfter.has(step)) mse.set(step, await error());
  }
  const result = new Map(
    [...tables].map(([name, { spec, rows }]) => [
      name,
      new Map([...rows].map(([key, row]) => [key, row.floats.slice(0, spec.dim)])),
    ]),
  );
  return { tables: result, dense: dense.weights, visits, mse, lossSums };
}

function add(sums: Map<string, Map<bigint, Float32Array>>, table: string, key: bigint, grad: Float32Array): void {
  const grads = sums.get(table) ?? new Map<bigint, Float32Array>();
  sums.set(table, grads);
  const sum = grads.get(key);
  if (!sum) grads.set(key, grad.slice());
  else for (let d = 0; d < sum.length; d++) sum[d] = sum[d]! + grad[d]!;
}
