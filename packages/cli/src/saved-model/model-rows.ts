/**
 * The rows of a saved model by key, and predictions with them. The saved rows answer for a PS that has one partition,
 * so batches are gathered by the code that training uses. A key whose row was never trained has its initial value.
 */
import type { Batch } from "@volary/core/data";
import type { JobManifest } from "@volary/core/job";
import type { PartitionMap } from "@volary/core/partition";
import { initializerOf, KeyIndex, type Initializer } from "@volary/core/table";
import { RowPlanner, type GradientModel, type StepRows } from "@volary/core/training";
import type { SavedModel } from "./saved-model.ts";

/** One table of a saved model, ready to be read. */
interface TableRows {
  readonly dim: number;
  readonly index: KeyIndex;
  readonly rows: Float32Array;
  readonly initializer: Initializer;
}

/** By the table's number. */
export type RowLookup = ReadonlyMap<number, TableRows>;

export function rowLookup({ manifest, tables }: SavedModel): RowLookup {
  return new Map(
    manifest.tables.map((table) => {
      const { keys, rows } = tables.get(table.name)!;
      const words = new Uint32Array(keys.buffer, keys.byteOffset, 2 * keys.length);
      const index = new KeyIndex();
      for (let i = 0; i < words.length; i += 2) index.insert(words[i]!, words[i + 1]!);
      const initializer = initializerOf(table.initializer, { seed: manifest.seed, table: table.id });
      return [table.id, { dim: table.dim, index, rows, initializer }];
    }),
  );
}

/**
 * Predicts the samples of a batch.
 *
 * @param model the tower, with the saved dense weights
 * @returns float32, shape [B, O]
 */
export async function predictRows(o: {
  saved: SavedModel;
  lookup: RowLookup;
  model: GradientModel;
  batch: Batch;
}): Promise<Float32Array> {
  const rows = savedRows({ manifest: o.saved.manifest, lookup: o.lookup, batch: o.batch });
  const { numbers, masks } = rows;
  return o.model.predict({ samples: o.batch.samples, rows: rows.gather(), numbers, masks });
}

/** The rows of a batch, as if a PS had sent them. */
export function savedRows(o: {
  manifest: Pick<JobManifest, "model" | "tables">;
  lookup: RowLookup;
  batch: Batch;
}): StepRows {
  const rows = new RowPlanner({ manifest: o.manifest, map: ONE_PARTITION }).rowsOf(o.batch);
  const { tables, counts, keys } = rows.sections(0);
  rows.takeReply(0, valuesOf({ tables, counts, keys, lookup: o.lookup }));
  return rows;
}

const THE_NODE = 0;
const ONE_PARTITION: PartitionMap = {
  version: 1,
  heads: 1,
  partitionsLog2: 0,
  function: { kind: "hash" },
  nodes: [],
  entries: [{ generation: 1, headSince: 1, chain: [THE_NODE] }],
};

/** The rows of a frame's keys, in its order: of one partition, table after table. */
function valuesOf(o: { tables: Uint32Array; counts: Uint32Array; keys: Uint32Array; lookup: RowLookup }): Float32Array {
  const parts = Array.from(o.counts, (count, t) => ({ count, table: o.lookup.get(o.tables[t]!)! }));
  const values = new Float32Array(parts.reduce((floats, { count, table }) => floats + count * table.dim, 0));
  let word = 0;
  let at = 0;
  for (const { count, table } of parts) {
    const { dim, index, rows, initializer } = table;
    for (const end = word + 2 * count; word < end; word += 2, at += dim) {
      const row = index.find(o.keys[word]!, o.keys[word + 1]!);
      if (row >= 0) values.set(rows.subarray(row * dim, (row + 1) * dim), at);
      else initializer(o.keys[word]!, o.keys[word + 1]!, values, at, dim);
    }
  }
  return values;
}
