/**
 * The author's face: everything a job file imports. The parts of the cluster have paths of their own, as
 * `@volary/core/wire`; those that need no model need no tfjs either.
 */
export { bsp, type ConsistencySpec } from "./consistency/index.ts";
export {
  atLeast,
  bucket,
  column,
  cross,
  dayOfMonth,
  dayOfWeek,
  file,
  hash,
  hourOf,
  minuteOfDay,
  monthOf,
  npmFile,
  parquet,
  since,
  slotOf,
  standardise,
  type DataOptions,
  type DataSpec,
  type FieldLike,
} from "./data/index.ts";
export { ClusterError, type ClusterErrorCode } from "./errors.ts";
export {
  constant,
  defineJob,
  embedding,
  fm,
  input,
  normal,
  through,
  truncatedNormal,
  uniform,
  zeros,
  type EmbeddingArgs,
  type InputDtype,
  type JobArgs,
  type JobDefinition,
} from "./model/index.ts";
export { adagrad, adam, ftrl, momentum, rowwiseAdagrad, sgd, type OptimizerSpec } from "./optimizer/index.ts";
