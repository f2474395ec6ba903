/** From a data spec to columns in memory, however many there are. */
import type { ColumnTable, DataSpec } from "@volary/core/data";
import { openData } from "./open-data.ts";

export interface ReadOptions {
  /** Where relative paths and `node_modules` are looked for, in this order. */
  baseDirs: readonly string[];
  /** Usually `columnsOf(spec)`. */
  columns: readonly string[];
}

/** @throws {ClusterError} BAD_DATA: the file is missing, broken or lacks a column */
export async function readColumns(spec: DataSpec, options: ReadOptions): Promise<ColumnTable> {
  const opened = await openData(spec, { ...options, memory: Infinity });
  if (opened.kind === "memory") return opened.table;
  await opened.source.close();
  throw new TypeError("data without a bound on memory was streamed");
}
