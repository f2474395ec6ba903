/** The data set of a job whose columns are in memory: what a tab trains on, as it cannot read the job's file. */
import { openDataset, type ColumnTable, type Dataset, type FieldDemand } from "@volary/core/data";
import type { JobManifest } from "@volary/core/job";

/** @throws {ClusterError} BAD_DATA: the table does not hold what the job reads */
export function tableDataset({ data, model }: JobManifest, table: ColumnTable): Dataset {
  const keys = new Set(model.embeddings.map(({ field }) => field));
  const demands: FieldDemand[] = [
    ...Array.from(keys, (name) => ({ name, as: "keys" as const })),
    ...model.numbers.map(({ field }) => ({ name: field, as: "numbers" as const })),
  ];
  return openDataset({ spec: data, table, demands });
}
