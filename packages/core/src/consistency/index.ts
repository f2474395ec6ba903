export { bsp } from "./bsp.ts";
export { consistencyOf, consistencySpecSchema, type Consistency, type ConsistencySpec } from "./consistency.ts";
