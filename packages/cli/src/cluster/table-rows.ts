/** Rows that tables start from: trained embeddings that a model brought along. */
import type { TableClient } from "@volary/core/client";
import type { JobManifest } from "@volary/core/job";
import { LIMITS } from "@volary/core/limits";
import type { TableRows } from "@volary/core/model";

/** Stores rows before a job is run, some at a time. */
export async function writeTableRows(
  client: TableClient,
  { tables }: JobManifest,
  rows: readonly TableRows[],
): Promise<void> {
  for (const { table: name, keys, values } of rows) {
    const table = tables.find((spec) => spec.name === name)!;
    const rowsMax = Math.max(1, Math.min(LIMITS.exportRowsMax, Math.floor(LIMITS.exportFloatsMax / table.dim)));
    for (let from = 0; from < keys.length; from += rowsMax) {
      const to = Math.min(keys.length, from + rowsMax);
      await client.set({
        table,
        keys: keys.slice(from, to),
        values: values.subarray(from * table.dim, to * table.dim),
      });
    }
  }
}
