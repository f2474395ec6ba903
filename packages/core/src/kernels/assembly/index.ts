// The kernels, one file per noun. What is exported here is what `../kernels.ts` declares.
export * from "./checks";
export * from "./convert";
export * from "./hash";
export { countMagnitudes, placesFromMagnitude } from "./magnitudes";
export { mergeRuns } from "./merge";
export { addFloats, lostFloats, scaleFloats } from "./reduce";
export { tableDelete, tableFind, tableInsert, tableRehash, tableRows } from "./table";
export { tableGather } from "./gather";
export { rowsRead, rowsTouched, rowsWrite } from "./rows";
export {
  adamCorrections,
  updateAdagrad,
  updateAdam,
  updateFtrl,
  updateMomentum,
  updateRowwiseAdagrad,
  updateSgd,
} from "./optimizers";
export { drawUniform } from "./threefry";
