export {
  attentionPooling,
  VolaryAttentionPooling,
  type AttentionActivation,
  type AttentionPoolingArgs,
  type AttentionQuery,
} from "./layers/attention-pooling.ts";
export { crossNet, VolaryCrossNet, type CrossNetArgs } from "./layers/cross-net.ts";
export { convertEmbeddings, hasTfjsEmbedding, type ConvertOptions, type TableRows } from "./convert-embeddings.ts";
export type { ConvertedTable } from "./converted-table.ts";
export {
  defineJob,
  type CompileArgs,
  type JobArgs,
  type JobDefinition,
  type ModelOf,
  type OneBound,
} from "./define-job.ts";
export type { CacheArgs, EarlyStoppingArgs, FitArgs, MonitorName, WireArgs } from "./fit.ts";
export { embedding, VolaryEmbedding, type EmbeddingArgs } from "./layers/embedding.ts";
export type { Combiner, SequenceMask } from "./layers/embedding-usage.ts";
export { fm, VolaryFm } from "./layers/fm.ts";
export { constant, normal, truncatedNormal, uniform, zeros } from "./layers/initializer.ts";
export { input, type DtypeOf, type InputArgs, type InputDtype, type InputOf, type InputShape } from "./layers/input.ts";
export { compileOf } from "./compiled-model.ts";
export { manifestOf, manifestOfModel, summary, type ManifestOptions, type PreparedJob } from "./job-manifest.ts";
export { openModel } from "./tower/open-model.ts";
export { pairwiseDot, VolaryPairwiseDot, type PairwiseDotArgs, type SelfPairs } from "./layers/pairwise-dot.ts";
export {
  sequencePooling,
  VolarySequencePooling,
  type PoolingMode,
  type SequencePoolingArgs,
} from "./layers/sequence-pooling.ts";
export { through } from "./layers/through.ts";
export {
  trainingFunction,
  type FunctionInputs,
  type FunctionRows,
  type FunctionStep,
  type FunctionVariable,
  type TrainingFunction,
  type TrainingFunctionArgs,
} from "./tower/training-function.ts";
export type { LayersModel } from "@tensorflow/tfjs-layers";
export {
  afterUpdates,
  countingBloom,
  exactCounter,
  leastFrequent,
  leastRecent,
  type EvictionOptions,
} from "./layers/vocabulary.ts";
export { trainedModel } from "./trained-model.ts";
export { TrainingModel, type VariableSlice } from "./tower/training-model.ts";
export type { WeightInitializer, WeightInitializerArg } from "./layers/weight-initializer.ts";
