export { RowResiduals, type KeyedRows, type TableResiduals } from "./row-residuals.ts";
export { placesOfGreatest } from "./greatest.ts";
export { decodeRows, eachRun, encodeRows, type RowWidths } from "./row-runs.ts";
export { BLOCK_VALUES, bytesOfBlocks, decodeBlocks, encodeBlocks } from "./value-blocks.ts";
export { longestRows } from "./row-top-k.ts";
export { bytesOfValues, decodeValues, encodeValues, type ValueDtype } from "./value-dtype.ts";
