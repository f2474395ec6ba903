export { Coordinator, type CoordinatorEffect } from "./coordinator/coordinator.ts";
export { LeaseTable, type Lease } from "./coordinator/lease-table.ts";
export { memoryStore, type CoordinatorStore } from "./coordinator/store.ts";
export { PsNode, type PsCounters, type PsEffect } from "./ps-node.ts";
