/** Statistics of the training rows that a job's fields call for, read here once, so that all workers use the same. */
import { columnsOf, fitFields, needsFitting, type ColumnTable, type DataSpec } from "@volary/core/data";
import { openData } from "@volary/node-worker";

/**
 * The data spec with means, deviations and quantiles filled in; as it is, where none are missing.
 *
 * @throws {ClusterError} BAD_DATA: the data cannot be read here
 */
export async function fittedData(spec: DataSpec, { baseDirs }: { baseDirs: readonly string[] }): Promise<DataSpec> {
  if (!needsFitting(spec)) return spec;
  const columns = columnsOf(spec);
  const opened = await openData(spec, { baseDirs, columns });
  if (opened.kind === "memory") return fitFields(spec, only(opened.table));
  try {
    return await fitFields(spec, opened.source.scan(columns));
  } finally {
    await opened.source.close();
  }
}

async function* only(table: ColumnTable): AsyncGenerator<ColumnTable> {
  yield table;
}
