export { CommittedRows, type CommittedRowsOptions } from "./committed-rows.ts";
export { denseFloats, denseTableOf, readDense, writeDense } from "./dense-table.ts";
export type { GradientModel, PredictInput, StepGradients, StepInput } from "./gradient-model.ts";
export { JobSession, type JobSessionOptions } from "./job-session.ts";
export { stepPlan, type StepPlan } from "./plan.ts";
export { RowPlanner, StepRowsFactory, type RowPlannerOptions, type StepRows } from "./step-rows.ts";
export type { Attempt, StepEffect, StepEvent } from "./step-events.ts";
export { StepTransaction } from "./step-transaction.ts";
export { WorkerSession, type WorkerSessionOptions } from "./worker-session.ts";
