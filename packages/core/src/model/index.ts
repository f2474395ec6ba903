export { defineJob, type JobArgs, type JobDefinition } from "./define-job.ts";
export { embedding, VolaryEmbedding, type EmbeddingArgs } from "./embedding.ts";
export { fm, VolaryFm } from "./fm.ts";
export { constant, normal, truncatedNormal, uniform, zeros } from "./initializer.ts";
export { input, type InputDtype } from "./input.ts";
export { manifestOf, manifestOfModel, type ManifestOptions, type PreparedJob } from "./job-manifest.ts";
export { through } from "./through.ts";
export { splitModel, towerFromManifest, type SplitModel } from "./tower.ts";
export { TrainingModel, type VariableSlice } from "./training-model.ts";
