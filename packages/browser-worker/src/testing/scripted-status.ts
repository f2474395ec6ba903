/** A cluster in the middle of its work, for tests of what the dashboard shows: two jobs, two volunteers, a silent node. */
import type { ClusterStatus, JobStatus } from "@volary/core/wire";

/** A job after `step` of its 400 steps of 256 samples. */
export function scriptedJob({ job = 1, step }: { job?: number; step: number }): JobStatus {
  return {
    job,
    name: "flights",
    phase: "training",
    step,
    steps: 400,
    epochs: 2,
    epoch: 0,
    samples: step * 256,
    loss: lossAt(step),
    workers: 2,
    term: 3,
    evaluated: 0,
    testRows: 1000,
    metrics: null,
    validation: { step: 100, epoch: 0, metrics: { loss: 0.5, auc: 0.7123 } },
    badRows: { count: 2, first: ["train.csv:7: delay is no number", "train.csv:9: 3 columns instead of 4"] },
    batches: { finished: step, dropped: 1, repeated: 2, stalenessMax: 4, rounds: 0, cachedRows: 30, rows: 100 },
    trainSeconds: step / 10,
  };
}

/** The job's news from its first step on. */
export function scriptedNews({ job = 1, step }: { job?: number; step: number }): JobStatus {
  const validations = [50, 100].filter((at) => at <= step);
  return {
    ...scriptedJob({ job, step }),
    news: {
      steps: Array.from({ length: step }, (_, i) => ({ step: i + 1, loss: lossAt(i + 1), samples: 256 })),
      epochs: [],
      validations: validations.map((at) => ({
        step: at,
        epoch: 0,
        metrics: { loss: lossAt(at), auc: 0.7 + at / 8e3 },
      })),
    },
  };
}

const lossAt = (step: number): number => 0.4 + 0.3 * Math.exp(-step / 40);

/** The cluster while its newest job is at `step`. */
export function scriptedStatus({ step }: { step: number }): ClusterStatus {
  const done = { ...scriptedJob({ job: 1, step: 400 }), name: "ratings", phase: "done" as const };
  const leaf = { samples: 12_800, accepted: 50, late: 1, samplesPerSecond: 420 };
  return {
    nodes: [
      {
        node: 1,
        name: "ps-1",
        address: "ws://127.0.0.1:7001",
        alive: true,
        partitions: 128,
        replicas: 128,
        load: 5210,
        rows: 120_000,
        bytes: 48e6,
        bytesMax: 4e9,
        diskRows: 12,
      },
      {
        node: 2,
        name: "ps-2",
        address: "ws://127.0.0.1:7002",
        alive: false,
        draining: true,
        partitions: 128,
        replicas: 128,
        rows: 118_000,
        bytes: 47e6,
      },
    ],
    workers: [
      {
        worker: 1,
        name: "worker-1",
        job: 2,
        backend: "node wasm",
        leaves: [
          { ...leaf, volunteer: 1, name: "Ada", device: "webgl, ANGLE", state: "working", refused: {} },
          {
            ...leaf,
            volunteer: 2,
            name: "Grace",
            device: "webgpu",
            state: "paused",
            refused: { NORM: 2, NOT_FINITE: 3 },
          },
        ],
      },
      { worker: 2, name: "worker-2", job: null, backend: "node cpu" },
    ],
    gateways: [
      { url: "https://127.0.0.1:8443", connected: 2, refused: { TOKEN_USED: 4 }, bytesIn: 5.2e6, bytesOut: 91e6 },
    ],
    volunteers: { invited: 3, redeemed: 2, sessions: 2, observers: 1, expelled: 1 },
    events: [
      { at: 1_000, kind: "ps", message: "ps-1 has joined" },
      { at: 65_000, kind: "volunteer", message: "Ada has joined job 2" },
    ],
    jobs: [done, scriptedJob({ job: 2, step })],
    mapVersion: 4,
    chains: { whole: 250, short: 6, moving: 2 },
    failovers: 1,
    moves: 12,
    overrides: 3,
  };
}
