import type { ClusterStatus, JobStatus } from "@volary/core/wire";
import { expect, test } from "vitest";
import {
  lineText,
  newProgress,
  progressLines,
  progressLogLine,
  resultLines,
  speedOf,
  withCluster,
  withJob,
  type ProgressState,
} from "./progress.ts";

const preparing: JobStatus = {
  job: 1,
  name: "flight-delays",
  phase: "preparing",
  step: 0,
  steps: 0,
  epochs: 1,
  samples: 0,
  loss: null,
  workers: 0,
  term: 0,
  evaluated: 0,
  testRows: 0,
  metrics: null,
  trainSeconds: 0,
};

const training = (step: number): JobStatus => ({
  ...preparing,
  phase: "training",
  step,
  steps: 660,
  samples: step * 4096,
  loss: 0.7 / (1 + step / 100),
  workers: 2,
  term: 1,
  trainSeconds: step / 10,
});

const cluster: ClusterStatus = {
  nodes: [1, 2].map((node) => ({
    node,
    name: `ps-${node}`,
    address: "ws://a",
    alive: true,
    partitions: 128,
    rows: 206_000,
    bytes: 29_100_000,
  })),
  workers: [1, 2].map((worker) => ({ worker, name: `worker-${worker}`, job: 1, backend: "wasm (SIMD)" })),
  jobs: [],
  mapVersion: 1,
};

/** Ten steps a second. */
const after = (steps: number): ProgressState => {
  let state = withCluster(newProgress, cluster);
  for (let step = 1; step <= steps; step++) state = withJob(state, training(step), step * 100);
  return state;
};

const shown = (state: ProgressState, { columns = 100, nowMs = 0 } = {}): string[] =>
  progressLines(state, { columns, nowMs }).map((line) => lineText(line, { colour: false }));

test("progressLines() shows step, loss, speed, time and rows", () => {
  expect(shown(after(330))).toEqual([
    expect.stringMatching(/^flight-delays {2}█{16}░{16} {2}step 330 of 660 \(50 %\)$/),
    expect.stringMatching(/^ {2}loss 0\.1628 {2}█[▁-█]{22}▁ {2}41\.0 k samples\/s {2}0:33 elapsed, 0:33 left$/),
    "  2 workers on wasm, 2 PS nodes with 412 k rows, 58.2 MB",
  ]);
});

test("progressLines() never wraps, however narrow the terminal", () => {
  for (const columns of [10, 24, 40, 60, 80]) {
    for (const line of shown(after(50), { columns })) expect(line.length).toBeLessThan(columns);
  }
});

test("progressLines() says which epoch it is in", () => {
  const state = withJob(newProgress, { ...training(400), epochs: 3 }, 0);
  expect(shown(state)[0]).toContain("epoch 2 of 3, step 400 of 660");
});

test("progressLines() says what a job waits for, and why it failed", () => {
  expect(shown(newProgress)).toEqual([]);
  let waiting = withJob(newProgress, { ...preparing, phase: "waiting" }, 1_000);
  expect(shown(waiting, { nowMs: 13_000 })).toEqual(["flight-delays  workers read their data (0:12)"]);
  waiting = withCluster(waiting, { ...cluster, workers: [] });
  expect(shown(waiting)[0]).toBe("flight-delays  waits for a worker; start one with `volary worker`");
  expect(shown(withJob(newProgress, { ...preparing, phase: "failed", message: "no column" }, 0))).toEqual([
    "flight-delays  failed: no column",
  ]);
});

test("progressLines() shows how far the evaluation is", () => {
  const evaluating: JobStatus = { ...training(660), phase: "evaluating", evaluated: 75_000, testRows: 300_000 };
  expect(shown(withJob(newProgress, evaluating, 0))[0]).toMatch(
    /█{8}░{24} {2}evaluating 75,000 of 300,000 held-out rows/,
  );
});

test("progressLogLine() is one line", () => {
  expect(progressLogLine(after(330), { nowMs: 33_000 })).toBe(
    "flight-delays: step 330 of 660 (50 %), loss 0.1628, 41.0 k samples/s, 0:33 elapsed, 0:33 left, " +
      "2 workers on wasm, 2 PS nodes with 412 k rows, 58.2 MB",
  );
});

test("speedOf() is that of the last seconds, not of the whole run", () => {
  let state = withJob(newProgress, training(0), 0);
  state = withJob(state, training(1), 60_000);
  for (let step = 2; step <= 101; step++) state = withJob(state, training(step), 60_000 + step * 100);
  expect(speedOf(state)).toBeCloseTo(40_960, -3);
});

test("a state stays small, however long the job", () => {
  let state = newProgress;
  for (let step = 1; step <= 20_000; step++) state = withJob(state, training(step), step * 2);
  expect(state.losses.length).toBeLessThanOrEqual(64);
  expect(state.losses.length).toBeGreaterThan(16);
  expect(state.marks.length).toBeLessThan(64);
});

test("another job starts with a clean state", () => {
  const state = withJob(after(100), { ...training(1), job: 2 }, 11_000);
  expect(state.losses).toHaveLength(1);
  expect(state.cluster).toBe(cluster);
});

test("resultLines() gives every held-out metric, or says that there is none", () => {
  const done: JobStatus = {
    ...training(660),
    phase: "done",
    metrics: { auc: 0.81764, logloss: 0.415 },
    testRows: 300_000,
  };
  expect(resultLines(done).map((line) => lineText(line, { colour: false }))).toEqual([
    "flight-delays  trained on 2.70 M samples in 1:06 (41.0 k samples/s)",
    "  held out  auc 0.8176   logloss 0.4150   on 300,000 rows",
  ]);
  expect(lineText(resultLines({ ...done, metrics: {} })[1]!, { colour: false })).toContain("nothing was evaluated");
});

test("lineText() puts styles only where there is colour", () => {
  expect(lineText([["a", "bold"], ["b"]], { colour: true })).toBe("\u001b[1ma\u001b[0mb");
  expect(lineText([["a", "bold"], ["b"]], { colour: false })).toBe("ab");
});
