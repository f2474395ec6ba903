import type { ClusterStatus } from "@volary/core/wire";
import { expect, test } from "vitest";
import { statusText } from "./status.ts";
import { jobStatus } from "../testing/job-status.ts";

const status: ClusterStatus = {
  nodes: [
    {
      node: 1,
      name: "ps-1",
      address: "ws://127.0.0.1:40001",
      alive: true,
      partitions: 128,
      replicas: 128,
      rows: 9,
      bytes: 720,
    },
    {
      node: 2,
      name: "ps-two",
      address: "ws://127.0.0.1:40002",
      alive: true,
      draining: true,
      partitions: 128,
      replicas: 0,
      load: 31_234.5,
      rows: 206_113,
      bytes: 29_100_000,
      bytesMax: 64_000_000,
      diskRows: 150_000,
    },
  ],
  workers: [{ worker: 1, name: "worker-1", job: 4, backend: "wasm" }],
  jobs: [
    jobStatus(1234, {
      job: 4,
      name: "flights",
      phase: "failed",
      message: "a column is missing",
      steps: 5000,
      samples: 5_054_464,
      loss: 0.41234,
      workers: 1,
      testRows: 0,
      trainSeconds: 61,
    }),
  ],
  mapVersion: 3,
  chains: { whole: 254, short: 2, moving: 1 },
  failovers: 128,
  moves: 1,
  overrides: 0,
};

test("statusText() lines its columns up", () => {
  expect(statusText(status)).toBe(
    [
      "PS NODE            ADDRESS               HEADS  REPLICAS  ROWS/S    ROWS  ON DISK  MEMORY",
      "ps-1               ws://127.0.0.1:40001    128       128  –            9  –        720 B",
      "ps-two (draining)  ws://127.0.0.1:40002    128         0  31.2 k  206113  150000   29.1 MB of 64.0 MB",
      "",
      "CHAINS  254 partitions with all replicas, 2 that lack one, 1 on the move; so far 128 heads taken over from lost nodes, 1 move, 0 placed by load",
      "",
      "WORKER    BACKEND  JOB        VOLUNTEERS",
      "worker-1  wasm     4 flights  –",
      "",
      "JOB  NAME     PHASE                        STEP         LOSS    WORKERS  TIME  HELD OUT",
      "  4  flights  failed: a column is missing  1,234/5,000  0.4123        1  1:01",
    ].join("\n"),
  );
});

test("statusText() tells how batches fared that the coordinator gave out", () => {
  const batches = { finished: 64, dropped: 2, repeated: 0, stalenessMax: 0, rounds: 3, cachedRows: 0, rows: 0 };
  const jobs = status.jobs.map((job) => ({ ...job, batches }));
  expect(
    statusText({ ...status, jobs })
      .split("\n")
      .at(-1),
  ).toBe("BATCHES  4 flights: 64 batches, 2 dropped, 3 rounds");
});

test("statusText() shows volunteers and gateways, and counts what was refused", () => {
  const leaf = {
    volunteer: 12,
    name: "volunteer 12",
    device: "webgl",
    state: "working" as const,
    samples: 123_456,
    accepted: 40,
    late: 2,
    refused: { UPDATE_NORM: 1, UPDATE_NOT_FINITE: 3 },
    samplesPerSecond: 2_345.6,
  };
  const text = statusText({
    ...status,
    workers: status.workers.map((worker) => ({ ...worker, leaves: [leaf] })),
    gateways: [{ url: "https://help.example", connected: 1, refused: {}, bytesIn: 2_000_000, bytesOut: 30_000_000 }],
    volunteers: { invited: 5, redeemed: 3, sessions: 1, observers: 2, expelled: 1 },
  });
  expect(text).toContain("VOLUNTEERS  5 invited, 3 came, 1 may compute now, 2 may watch, 1 expelled");
  const rows = text.split("\n").map((line) => line.split(/ {2,}/).map((cell) => cell.trim()));
  const volunteer = [
    "12",
    "webgl",
    "working",
    "worker-1",
    "123,456",
    "2.35 k",
    "2",
    "1 UPDATE_NORM, 3 UPDATE_NOT_FINITE",
  ];
  expect(rows).toContainEqual(expect.arrayContaining(volunteer));
  expect(rows).toContainEqual(["https://help.example", "1", "2.00 MB", "30.0 MB", "–"]);
});

test("statusText() says how to fill what is empty", () => {
  const chains = { whole: 0, short: 0, moving: 0 };
  const text = statusText({
    nodes: [],
    workers: [],
    jobs: [],
    mapVersion: 0,
    chains,
    failovers: 0,
    moves: 0,
    overrides: 0,
  });
  expect(text).not.toContain("CHAINS");
  expect(text).toContain("no PS nodes; start one with `volary ps`");
  expect(text).toContain("no workers; start one with `volary worker`");
  expect(text).toContain("no jobs yet; start one with `volary train");
});
