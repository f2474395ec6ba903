export { Metrics, metricsStateSchema, newMetrics, type MetricsState, type MetricValues } from "./metrics.ts";
