export { adagrad, adam, ftrl, momentum, optimizerSpecFrom, rowwiseAdagrad, sgd } from "./optimizer-builders.ts";
export { optimizerOf, type Optimizer } from "./optimizer.ts";
export { optimizerSpecSchema, type OptimizerKind, type OptimizerSpec } from "./optimizer-spec.ts";
