/** Made-up news of a job, for tests. */
import type { ClusterStatus, JobStatus } from "@volary/core/wire";
import { RunRecord } from "../run-record.ts";

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

/** A record of `steps` steps with a validation after every tenth, and the end of the run. */
export function trainedRecord({ steps = 40, name = "flights" } = {}): RunRecord {
  let now = 1_700_000_000_000;
  const record = new RunRecord({ now: () => now });
  record.onStatus(jobStatus(0, { name, phase: "waiting" }));
  for (let step = 1; step <= steps; step++) {
    now += 500;
    const validations =
      step % 10 === 0 ? [{ step, epoch: 0, metrics: { auc: 0.7 + step / 1000, loss: 1 / step } }] : [];
    const news = { steps: [{ step, loss: 1 / step, samples: 10 }], epochs: [], validations };
    record.onStatus(jobStatus(step, { name, news, validation: validations[0] ?? null }));
    record.onCluster(
      clusterStatus([
        { name: "worker-1", job: 1 },
        { name: "idle", job: null },
      ]),
    );
  }
  const metrics = { auc: 0.75, loss: 0.25 };
  record.onStatus(
    jobStatus(steps, { name, phase: "done", metrics, badRows: { count: 1, first: ["a.csv:7: no label"] } }),
  );
  return record;
}
