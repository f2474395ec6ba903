export { concatTables, pickRows } from "./concat-tables.ts";
export { NPY_HEADER_BYTES_MAX, npyColumn, npyHeader, type NpyHeader } from "./npy.ts";
export { LineGrammar, RecordSplitter, type RecordGrammar } from "./record-splitter.ts";
export { RowPlaces } from "./row-places.ts";
export type { RowFault } from "./row-cells.ts";
export {
  openTextFormat,
  SAMPLE_BYTES,
  type OpenTextFormatOptions,
  type RecordParser,
  type TextFormat,
  type TextFormatSpec,
} from "./text-format.ts";
