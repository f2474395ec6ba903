export { asp } from "./asp.ts";
export { bsp, type BspOptions } from "./bsp.ts";
export { consistencyOf, withDense } from "./consistency.ts";
export { average, localSgd, nesterov, type LocalSgdOptions } from "./local-sgd.ts";
export {
  consistencySpecSchema,
  type Consistency,
  type ConsistencySpec,
  type DenseRoundsSpec,
  type OuterSpec,
} from "./mode.ts";
export { ssp } from "./ssp.ts";
