export { batchCount, batchesPerStep, placeOfBatch, samplesOfBatch } from "./batches/job-batches.ts";
export { CommittedRows, type CommittedRowsOptions } from "./rows/committed-rows.ts";
export { DenseRounds, type DenseRoundsOptions } from "./dense/dense-round.ts";
export { denseFloats, denseTableOf, readDense, writeDense } from "./dense/dense-table.ts";
export type { GradientModel, PredictInput, StepGradients, StepInput } from "./job/gradient-model.ts";
export { PeerLinks, type PeerEvents } from "./session/peer-links.ts";
export { stepPlan, type SlotOfStep, type StepPlan } from "./job/plan.ts";
export { Recovery } from "./steps/recovery.ts";
export { RowPlanner, StepRowsFactory, type RowPlannerOptions, type StepRows } from "./rows/step-rows.ts";
export type { Attempt, StepEffect, StepEvent } from "./steps/step-events.ts";
export { controlOf } from "./steps/step-messages.ts";
export { WorkerSession, type WorkerSessionOptions } from "./worker-session.ts";
export { LeafedModel, type LeafedModelOptions, type ReducerOptions } from "./leaves/leafed-model.ts";
export {
  openLeafSession,
  type LeafEnd,
  type LeafEvents,
  type LeafPause,
  type LeafSession,
  type LeafSessionOptions,
} from "./leaves/leaf-session.ts";
export {
  type Channel,
  type ChannelDialer,
  type ChannelEvents,
  type ChannelOptions,
  type ChannelSignal,
  type IceServer,
} from "./leaves/group/channel.ts";
export { GroupLeader, type GroupCall, type GroupLeaderOptions, type GroupSum } from "./leaves/group/group-leader.ts";
export { GroupMember, type GroupMemberOptions, type GroupRound } from "./leaves/group/group-member.ts";
