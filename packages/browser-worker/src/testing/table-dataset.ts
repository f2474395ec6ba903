/** The data set of a job whose columns are in memory. */
import { openDataset, type ColumnTable, type MemoryDataset } from "@volary/core/data";
import { fieldDemands, labelDemandsOf, type JobManifest } from "@volary/core/job";

/** @throws {ClusterError} BAD_DATA: the table does not hold what the job reads */
export function tableDataset(manifest: JobManifest, table: ColumnTable): MemoryDataset {
  return openDataset({
    spec: manifest.data,
    table,
    demands: fieldDemands(manifest),
    labelDemands: (labelWidth) => labelDemandsOf(manifest, labelWidth),
  });
}
