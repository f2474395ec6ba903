/** For tests: what a coordinator says of a job and of its members, made up. */
import type { ClusterStatus, JobStatus } from "@volary/core/wire";

/** A job that trains one epoch of 100 steps, 10 samples each, two steps a second. */
export const jobStatus = (step: number, other: Partial<JobStatus> = {}): JobStatus => ({
  job: 1,
  name: "flights",
  phase: "training",
  step,
  steps: 100,
  epochs: 1,
  epoch: 0,
  samples: step * 10,
  loss: 0.5,
  workers: 2,
  term: 1,
  evaluated: 0,
  testRows: 50,
  metrics: null,
  validation: null,
  badRows: { count: 0, first: [] },
  trainSeconds: step / 2,
  ...other,
});

export const clusterStatus = (workers: readonly { name: string; job: number | null }[]): ClusterStatus => ({
  nodes: [
    {
      node: 1,
      name: "ps-1",
      address: "ws://a:1",
      alive: true,
      partitions: 256,
      replicas: 0,
      rows: 1200,
      bytes: 64_000,
    },
  ],
  workers: workers.map(({ name, job }, i) => ({ worker: i + 1, name, job, backend: "wasm (SIMD)" })),
  jobs: [],
  mapVersion: 1,
  chains: { whole: 256, short: 0, moving: 0 },
  failovers: 0,
  moves: 0,
  overrides: 0,
});
