export { denseFloats, readDense, writeDense } from "./dense-table.ts";
export type { GradientModel, StepGradients, StepInput } from "./gradient-model.ts";
export { JobSession, type JobSessionOptions } from "./job-session.ts";
export { stepPlan, type StepPlan } from "./plan.ts";
export { StepRowsFactory, type StepRows } from "./step-rows.ts";
export { StepTransaction, type Attempt, type StepEffect, type StepEvent } from "./step-transaction.ts";
export { WorkerSession, type WorkerSessionOptions } from "./worker-session.ts";
