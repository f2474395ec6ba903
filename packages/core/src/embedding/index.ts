export { gatherRows, packedWidth, sumRowGradients } from "./gather.ts";
export { UniqueKeys, type KeyPlacement, type KeyPlan, type NodeKeys, type RowUse } from "./unique-keys.ts";
