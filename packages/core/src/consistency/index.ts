export { bsp } from "./bsp.ts";
export { consistencyOf } from "./consistency.ts";
export { consistencySpecSchema, type Consistency, type ConsistencySpec } from "./mode.ts";
