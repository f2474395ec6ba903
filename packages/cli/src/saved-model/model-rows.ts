/**
 * The rows of a saved model by key, and predictions with them. A key whose row was never trained has its initial
 * value, as on a PS.
 */
import type { Batch } from "@volary/core/data";
import type { EmbeddingUse } from "@volary/core/job";
import { initializerOf, KeyIndex, type Initializer } from "@volary/core/partition";
import type { GradientModel } from "@volary/core/training";
import type { SavedModel } from "./saved-model.ts";

/** One table of a saved model, ready to be read. */
interface TableRows {
  readonly index: KeyIndex;
  readonly rows: Float32Array;
  readonly initializer: Initializer;
}

export type RowLookup = ReadonlyMap<string, TableRows>;

export function rowLookup({ manifest, tables }: SavedModel): RowLookup {
  return new Map(
    manifest.tables.map((table) => {
      const { keys, rows } = tables.get(table.name)!;
      const words = new Uint32Array(keys.buffer, keys.byteOffset, 2 * keys.length);
      const index = new KeyIndex();
      for (let i = 0; i < words.length; i += 2) index.insert(words[i]!, words[i + 1]!);
      const initializer = initializerOf(table.initializer, { seed: manifest.seed, table: table.id });
      return [table.name, { index, rows, initializer }];
    }),
  );
}

/**
 * Predicts the samples of a batch.
 *
 * @param model the tower, with the saved dense weights
 * @returns float32, shape [B]
 */
export async function predictRows(o: {
  saved: SavedModel;
  lookup: RowLookup;
  model: GradientModel;
  batch: Batch;
}): Promise<Float32Array> {
  const { embeddings, numbers } = o.saved.manifest.model;
  const { samples } = o.batch;
  return o.model.predict({
    samples,
    rows: packRows({ embeddings, lookup: o.lookup, batch: o.batch }),
    numbers: packNumbers({ fields: numbers.map(({ field }) => field), batch: o.batch }),
  });
}

/** The rows of every sample side by side: float32, shape [B, E], E = Σ dims of the uses. */
export function packRows(o: { embeddings: readonly EmbeddingUse[]; lookup: RowLookup; batch: Batch }): Float32Array {
  const { embeddings, lookup, batch } = o;
  const width = embeddings.reduce((sum, { dim }) => sum + dim, 0);
  const packed_BE = new Float32Array(batch.samples * width);
  let column = 0;
  for (const { field, table, dim } of embeddings) {
    const { index, rows, initializer } = lookup.get(table)!;
    const keys = batch.keys.get(field)!;
    for (let b = 0, at = column; b < batch.samples; b++, at += width) {
      const row = index.find(keys[2 * b]!, keys[2 * b + 1]!);
      if (row >= 0) packed_BE.set(rows.subarray(row * dim, (row + 1) * dim), at);
      else initializer(keys[2 * b]!, keys[2 * b + 1]!, packed_BE, at, dim);
    }
    column += dim;
  }
  return packed_BE;
}

/** float32, shape [B, N] */
function packNumbers({ fields, batch }: { fields: readonly string[]; batch: Batch }): Float32Array {
  const packed_BN = new Float32Array(batch.samples * fields.length);
  fields.forEach((field, n) => {
    const values = batch.numbers.get(field)!;
    for (let b = 0; b < batch.samples; b++) packed_BN[b * fields.length + n] = values[b]!;
  });
  return packed_BN;
}
