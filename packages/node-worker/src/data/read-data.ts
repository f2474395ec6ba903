/** From a data spec to columns, whatever format its file has. */
import type { ColumnTable, DataSpec } from "@volary/core/data";
import { readParquet } from "./parquet.ts";
import { resolveFile } from "./resolve-file.ts";

export interface ReadOptions {
  /** Where relative paths and `node_modules` are looked for, in this order. */
  baseDirs: readonly string[];
  /** Usually `columnsOf(spec)`. */
  columns: readonly string[];
}

/** @throws {ClusterError} BAD_DATA: the file is missing, broken or lacks a column */
export async function readColumns(spec: DataSpec, { baseDirs, columns }: ReadOptions): Promise<ColumnTable> {
  const path = await resolveFile(spec.file, baseDirs);
  switch (spec.format) {
    case "parquet":
      return readParquet(path, { columns });
    default:
      return spec.format satisfies never;
  }
}
