/** For tests: the manifest of a job that nobody trains, and whose tables are used. */
import type { JobManifest } from "@volary/core/job";

export const manifestWith = (other: Partial<JobManifest>): JobManifest => ({
  name: "tables",
  seed: 1,
  model: { topology: {}, embeddings: [], numbers: [], variables: [], outputs: 1 },
  tables: [],
  data: {
    format: { kind: "parquet" },
    files: [{ kind: "file", path: "/home/someone/train.parquet" }],
    badRowsMax: 0,
    fields: {},
    label: { kind: "column", column: "y" },
  },
  compile: { optimizer: { kind: "none" }, loss: "meanSquaredError", metrics: [] },
  fit: { epochs: 1, batchSize: 1, consistency: { mode: "bsp" }, shuffle: true, validate: "end" },
  workersMin: 1,
  ...other,
});
