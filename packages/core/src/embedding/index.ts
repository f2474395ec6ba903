export { copyAside, gatherRows, NO_ROW, packedWidth, placeAside, rowIdsOf, sumRowGradients } from "./gather.ts";
export type { KeyPlacement, KeyPlan, NodeKeys } from "./key-plan.ts";
export type { RowUsage, RowUse, UseKeys } from "./row-use.ts";
export { UniqueKeys, type AsideRows } from "./unique-keys.ts";
