export { pullCommitted } from "./committed-rows.ts";
export { denseFloats, readDense, writeDense } from "./dense-table.ts";
export type { GradientModel, PredictInput, StepGradients, StepInput } from "./gradient-model.ts";
export { JobSession, type JobSessionOptions } from "./job-session.ts";
export { NodeLinks, type NodeEvents } from "./node-links.ts";
export { stepPlan, type StepPlan } from "./plan.ts";
export { RowPlanner, StepRowsFactory, type RowPlannerOptions, type StepRows } from "./step-rows.ts";
export { StepTransaction, type Attempt, type StepEffect, type StepEvent } from "./step-transaction.ts";
export { WorkerSession, type WorkerSessionOptions } from "./worker-session.ts";
