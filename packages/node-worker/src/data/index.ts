export { readParquet } from "./parquet.ts";
export { readColumns, type ReadOptions } from "./read-data.ts";
export { resolveFile } from "./resolve-file.ts";
