export {
  Metrics,
  metricsStateSchema,
  newMetrics,
  type MetricsOptions,
  type MetricsState,
  type MetricValues,
} from "./metrics.ts";
export type { ScoredBatch } from "./scored-batch.ts";
