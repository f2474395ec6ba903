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
import { jobStatus } from "../testing/job-status.ts";

const preparing = jobStatus(0, {
  name: "flight-delays",
  phase: "preparing",
  steps: 0,
  loss: null,
  workers: 0,
  term: 0,
  testRows: 0,
});

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
    replicas: 0,
    rows: 206_000,
    bytes: 29_100_000,
  })),
  workers: [1, 2].map((worker) => ({ worker, name: `worker-${worker}`, job: 1, backend: "wasm (SIMD)" })),
  jobs: [],
  mapVersion: 1,
  chains: { whole: 256, short: 0, moving: 0 },
  failovers: 0,
  moves: 0,
  overrides: 0,
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

const validated: JobStatus = {
  ...training(330),
  validation: { step: 300, epoch: 0, metrics: { loss: 0.4, auc: 0.8123 } },
};

test("progressLines() shows the newest evaluation with its step", () => {
  expect(shown(withJob(after(329), validated, 33_000), { columns: 120 })[1]).toMatch(
    /^ {2}loss 0\.1628 {2}[▁-█]{24} {2}val_auc 0\.8123 at step 300 {2}41\.0 k samples\/s {2}0:33 elapsed, 0:33 left$/,
  );
});

test("a narrower terminal keeps the loss, then the evaluation, then the time that is left", () => {
  const state = withJob(after(329), validated, 33_000);
  const line = (columns: number) =>
    shown(state, { columns })[1]!
      .replaceAll(/ {2}[▁-█]+/g, "")
      .trim();
  expect(line(100)).toBe("loss 0.1628  val_auc 0.8123 at step 300  41.0 k samples/s  0:33 elapsed, 0:33 left");
  expect(line(80)).toBe("loss 0.1628  val_auc 0.8123 at step 300  41.0 k samples/s  0:33 left");
  expect(line(64)).toBe("loss 0.1628  val_auc 0.8123  41.0 k samples/s  0:33 left");
  expect(line(48)).toBe("loss 0.1628  val_auc 0.8123  0:33 left");
  expect(line(32)).toBe("loss 0.1628  val_auc 0.8123");
  expect(line(16)).toBe("loss 0.1628");
  for (let columns = 2; columns < 130; columns++) {
    for (const one of shown(state, { columns })) expect(one.length).toBeLessThan(columns);
  }
});

test("a name cannot command the terminal, and a wide one does not wrap", () => {
  const hostile = { ...training(330), name: "a\u001b[2J\nb" };
  expect(shown(withJob(newProgress, hostile, 0))[0]).toMatch(/^a\ufffd\[2J b {2}█/);
  expect(progressLogLine(withJob(newProgress, hostile, 0), { nowMs: 0 })).not.toMatch(/[\u001b\n]/); // oxlint-disable-line no-control-regex
  const wide = { ...training(330), name: "航空便の遅れ" };
  for (const columns of [12, 30, 60, 80]) {
    const [line = ""] = shown(withJob(newProgress, wide, 0), { columns });
    expect(line.length + line.replaceAll(/[^\u3000-\u9fff]/g, "").length).toBeLessThan(columns);
  }
});

test("progressLines() says which epoch it is in", () => {
  const state = withJob(newProgress, { ...training(400), epochs: 3, epoch: 1 }, 0);
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

test("an evaluation between steps keeps the figures of training on the screen", () => {
  const state = withJob(after(330), { ...training(330), phase: "evaluating", evaluated: 10, testRows: 300 }, 33_100);
  expect(shown(state)[1]).toMatch(/^ {2}loss 0\.1628 .* 0:33 elapsed, 0:33 left$/);
});

test("how batches fared that the coordinator gave out is told while they are trained, and at the end", () => {
  const batches = { finished: 661, dropped: 0, repeated: 0, stalenessMax: 3, rounds: 0, cachedRows: 0, rows: 0 };
  const job = { ...training(330), batches };
  const text = "661 batches, a worker up to 3 ahead";
  const state = withJob(after(329), job, 33_000);
  expect(shown(state)[2]).toBe(`  ${text}`);
  expect(progressLogLine(state, { nowMs: 33_000 })).toContain(`0:33 left, ${text}, 2 workers`);
  const done = resultLines({ ...job, phase: "done" }).map((line) => lineText(line, { colour: false }));
  expect(done[1]).toBe(`  ${text}`);
});

test("progressLogLine() is one line", () => {
  expect(progressLogLine(after(330), { nowMs: 33_000 })).toBe(
    "flight-delays: step 330 of 660 (50 %), loss 0.1628, 41.0 k samples/s, 0:33 elapsed, 0:33 left, " +
      "2 workers on wasm, 2 PS nodes with 412 k rows, 58.2 MB",
  );
});

test("progressLogLine() tells of the newest evaluation", () => {
  expect(progressLogLine(withJob(after(329), validated, 33_000), { nowMs: 33_000 })).toContain(
    "loss 0.1628, val_auc 0.8123 at step 300, 41.0 k samples/s",
  );
});

test("a pause for evaluation does not slow the speed", () => {
  let state = after(100);
  state = withJob(state, { ...training(100), phase: "evaluating" }, 10_000);
  state = withJob(state, { ...training(100), phase: "evaluating" }, 40_000);
  expect(speedOf(withJob(state, training(101), 40_100))).toBeCloseTo(40_960, 0);
});

test("speedOf() is that of the last seconds, not of the whole run", () => {
  let state = withJob(newProgress, training(0), 0);
  for (let step = 1; step <= 101; step++) {
    state = withJob(state, { ...training(step), trainSeconds: 60 + step / 10 }, 60_000 + step * 100);
  }
  expect(speedOf(state)).toBeCloseTo(40_960, 0);
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

test("resultLines() says why a job ended early and what was left out", () => {
  const done: JobStatus = {
    ...training(330),
    phase: "done",
    message: "auc has not improved for 3 evaluations",
    metrics: { auc: 0.8 },
    badRows: { count: 2, first: ["train.csv:7: no number in column age"] },
  };
  expect(
    resultLines(done)
      .slice(1, 3)
      .map((line) => lineText(line, { colour: false })),
  ).toEqual([
    "  auc has not improved for 3 evaluations",
    "  2 bad rows left out, as train.csv:7: no number in column age",
  ]);
});

test("lineText() puts styles only where there is colour", () => {
  expect(lineText([["a", "bold"], ["b"]], { colour: true })).toBe("\u001b[1ma\u001b[0mb");
  expect(lineText([["a", "bold"], ["b"]], { colour: false })).toBe("ab");
});
