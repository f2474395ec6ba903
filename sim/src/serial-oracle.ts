/**
 * What a job must have left behind: its committed steps, one after another, on plain Maps, in one thread. It shares
 * the optimizers' arithmetic and the initial values with the cluster, but nothing of partitions, frames, staging,
 * transactions or the ring, whose results it must equal bit for bit.
 */
import { EpochOrder, type Batch } from "@volary/core/data";
import type { JobManifest } from "@volary/core/job";
import { learningRateAt, optimizerOf } from "@volary/core/optimizer";
import { partitionFunction } from "@volary/core/partition";
import { initializerOf } from "@volary/core/table";
import { stepPlan } from "@volary/core/training";
import { DenseOracle } from "./dense-oracle.ts";
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
  /** Mean squared error of the held-out rows after each step that was asked for. */
  mse: Map<number, number>;
  /** Σ loss of each step. */
  lossSums: number[];
}

/**
 * Replays the committed steps over the slots that their terms' members and shares give.
 *
 * @param o.evaluateAfter steps after which the held-out rows are evaluated
 */
export async function replay({
  manifest,
  commits,
  terms,
  map,
  evaluateAfter,
}: { manifest: JobManifest; evaluateAfter: ReadonlySet<number> } & Pick<
  FinishedJob,
  "commits" | "terms" | "map"
>): Promise<OracleResult> {
  const dataset = toyDataset();
  const model = toyModel();
  const plan = stepPlan({ manifest, trainRows: dataset.trainRows });
  const termOf = new Map(terms.map((term) => [term.term, term]));
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
    const initial = new Float32Array(spec.dim);
    initializerOf(spec.initializer, { seed: manifest.seed, table: spec.id })(
      Number(key & 0xffff_ffffn),
      Number(key >> 32n),
      initial,
      0,
      spec.dim,
    );
    return initial;
  };
  const uses = manifest.model.embeddings;
  const width = uses.reduce((sum, use) => sum + use.dim, 0);
  const keysOf = (batch: Batch) => uses.map((use) => new BigUint64Array(batch.keys.get(use.field)!.slice().buffer));
  const rowsOf = (batch: Batch): Float32Array => {
    const keys = keysOf(batch);
    const rows = new Float32Array(batch.samples * width);
    for (let b = 0, at = 0; b < batch.samples; b++)
      for (const [u, use] of uses.entries()) rows.set(weightsOf(use.table, keys[u]![b]!), (at += use.dim) - use.dim);
    return rows;
  };
  const heldOutError = async (): Promise<number> => {
    const batch = dataset.read(
      "test",
      Uint32Array.from({ length: dataset.testRows }, (_, i) => i),
    );
    model.setDense(dense.weights);
    const { samples, label } = batch;
    const scores = await model.predict({ rows: rowsOf(batch), numbers: batch.numbers.get("n")!, samples });
    return scores.reduce((sum, score, i) => sum + (score - label[i]!) ** 2, 0) / samples;
  };
  const mse = new Map<number, number>();
  const lossSums: number[] = [];
  if (evaluateAfter.has(0)) mse.set(0, await heldOutError());
  for (const { step, attempt } of commits) {
    const epoch = plan.epochOf(step);
    const order = new EpochOrder({
      rows: dataset.trainRows,
      seed: manifest.seed,
      epoch,
      shuffle: manifest.fit.shuffle,
    });
    const { members, shares } = termOf.get(attempt)!;
    const slots = members.length;
    const whole = plan.samplesOf(step);
    const sums = new Map<string, Map<bigint, Float32Array>>();
    const denseOfSlot: Float32Array[] = [];
    let loss = 0;
    model.setDense(dense.weights);
    for (let slot = 0; slot < slots; slot++) {
      const { from, to } = plan.sliceOf({ step, slot, slots, shares });
      const samples = order.slice(from, to);
      for (const row of samples) visits[epoch]![row]!++;
      const batch = dataset.read("train", samples);
      const keys = keysOf(batch);
      const { rowGrads, denseGrads, lossSum } = await model.step({
        rows: rowsOf(batch),
        numbers: batch.numbers.get("n")!,
        label: batch.label,
        samples: batch.samples,
        globalSamples: whole.to - whole.from,
      });
      denseOfSlot.push(denseGrads);
      loss += lossSum;
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
    dense.update({ slots: denseOfSlot, members, step });
    lossSums.push(loss);
    if (evaluateAfter.has(step)) mse.set(step, await heldOutError());
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
