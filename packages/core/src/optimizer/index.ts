export { clipByNorm, clipByValue } from "./clip.ts";
export { serverUpdate, type RowUpdate, type ServerUpdate, type ServerUpdateArgs } from "./custom.ts";
export {
  adagrad,
  adam,
  adamw,
  ftrl,
  momentum,
  optimizerSpecFrom,
  rowwiseAdagrad,
  sgd,
  type AdagradOptions,
  type AdamOptions,
  type AdamwOptions,
  type FtrlOptions,
  type MomentumOptions,
  type OptimizerName,
  type SgdOptions,
} from "./optimizer-builders.ts";
export { isElementwise, loadServerUpdate, optimizerOf, type Optimizer } from "./optimizer.ts";
export { optimizerSpecSchema, type OptimizerKind, type OptimizerSpec, type ScheduleSpec } from "./optimizer-spec.ts";
export { isPlainUpdate, PLAIN_UPDATES, type PlainUpdate } from "./plain-updates.ts";
export {
  cosineDecay,
  exponentialDecay,
  linearWarmup,
  piecewiseConstant,
  type CosineDecayArgs,
  type ExponentialDecayArgs,
  type LearningRateSchedule,
  type LinearWarmupArgs,
  type PiecewiseConstantArgs,
} from "./schedule-builders.ts";
export { learningRateAt } from "./schedule.ts";
