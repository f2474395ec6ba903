/** The error of the toy job's held-out rows, computed in one thread from rows and dense weights. */
import type { Batch } from "@volary/core/data";
import type { JobManifest } from "@volary/core/job";
import { initializerOf } from "@volary/core/table";
import { toyDataset, toyModel } from "./toy-job.ts";

/** The weights of a row, whether it is there or not. */
export type WeightsOf = (table: string, key: bigint) => Float32Array;

/** The keys of each embedding, shape [B] each. */
export function keysOf(manifest: JobManifest, batch: Batch): BigUint64Array[] {
  return manifest.model.embeddings.map(({ field }) => new BigUint64Array(batch.keys.get(field)!.slice().buffer));
}

/** float32, shape [B, E] */
export function rowsOfBatch(manifest: JobManifest, batch: Batch, weightsOf: WeightsOf): Float32Array {
  const uses = manifest.model.embeddings;
  const width = uses.reduce((sum, use) => sum + use.dim, 0);
  const keys = keysOf(manifest, batch);
  const rows = new Float32Array(batch.samples * width);
  for (let b = 0, at = 0; b < batch.samples; b++)
    for (const [u, use] of uses.entries()) rows.set(weightsOf(use.table, keys[u]![b]!), (at += use.dim) - use.dim);
  return rows;
}

/** What a row is that nobody has pushed. */
export function initialRow(manifest: JobManifest, table: string, key: bigint): Float32Array {
  const spec = manifest.tables.find(({ name }) => name === table)!;
  const row = new Float32Array(spec.dim);
  const [low, high] = [Number(key & 0xffff_ffffn), Number(key >> 32n)];
  initializerOf(spec.initializer, { seed: manifest.seed, table: spec.id })(low, high, row, 0, spec.dim);
  return row;
}

/** Mean squared error. */
export async function heldOutError(o: {
  manifest: JobManifest;
  weightsOf: WeightsOf;
  dense: Float32Array;
}): Promise<number> {
  const dataset = toyDataset();
  const batch = dataset.read(
    "test",
    Uint32Array.from({ length: dataset.testRows }, (_, i) => i),
  );
  const model = toyModel();
  model.setDense(o.dense);
  const { samples, label } = batch;
  const rows = rowsOfBatch(o.manifest, batch, o.weightsOf);
  const scores = await model.predict({ rows, numbers: batch.numbers.get("n")!, samples });
  return scores.reduce((sum, score, i) => sum + (score - label[i]!) ** 2, 0) / samples;
}
