export {
  fieldDemands,
  jobManifestSchema,
  lossSchema,
  metricSchema,
  type EmbeddingUse,
  type JobManifest,
  type LossName,
  type MetricName,
  type ModelSpec,
  type VariableSpec,
} from "./manifest.ts";
