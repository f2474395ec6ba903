export { decodeRows, eachRun, encodeRows, type RowWidths } from "./row-runs.ts";
export { bytesOfValues, decodeValues, encodeValues, type ValueDtype } from "./value-dtype.ts";
