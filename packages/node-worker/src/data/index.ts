export { openData, type OpenDataOptions, type OpenedData } from "./open-data.ts";
export { versionOfFiles } from "./open-files.ts";
export { readColumns, type ReadOptions } from "./read-data.ts";
export { DISTINCT_MAX, type ColumnReport } from "./column-report.ts";
export { inspectFile, type FileReport } from "./inspect-file.ts";
