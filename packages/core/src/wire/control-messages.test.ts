/** Every control message there is: it arrives as it was sent, and no field of it may be missing, wrong or unknown. */
import { describe, expect, it } from "vitest";
import { ProtocolError } from "../errors.ts";
import type { JobManifest } from "../job/index.ts";
import { newMetrics } from "../metrics/index.ts";
import { firstPartitionMap, type PartitionMap } from "../partition/index.ts";
import {
  controlSchema,
  decodeControl,
  encodeControl,
  PROTOCOL_MAX,
  type Control,
  type ControlOf,
  type ControlType,
} from "./control.ts";
import type { ClusterStatus, GatewayStatus, LeafStatus } from "./messages/cluster-status.ts";
import type { JobStatus } from "./messages/job-status.ts";

const NODES = [1, 2, 3].map((node) => ({ node, name: `ps${node}`, address: `ws://host:1234/${node}` }));

/** One partition is copied to a third node, and another is about to have another order. */
const MAP: PartitionMap = (() => {
  const map = firstPartitionMap({ partitions: 4, nodes: NODES, replicas: 2 });
  const [first, second, ...others] = map.entries;
  const missing = [1, 2, 3].filter((node) => !first!.chain.includes(node));
  const copied = { ...first!, next: [...first!.chain, ...missing] };
  const turned = { ...second!, next: second!.chain.toReversed(), held: true };
  return { ...map, entries: [copied, turned, ...others] };
})();

const MANIFEST: JobManifest = {
  name: "flights",
  seed: 1,
  model: { topology: {}, embeddings: [], numbers: [], variables: [], outputs: 1 },
  tables: [],
  data: {
    format: { kind: "parquet" },
    files: [{ kind: "file", path: "x" }],
    badRowsMax: 0,
    fields: {},
    label: { kind: "column", column: "y" },
  },
  compile: { optimizer: { kind: "sgd", learningRate: 0.1 }, loss: "meanSquaredError", metrics: ["mse"] },
  fit: { epochs: 1, batchSize: 10, consistency: { mode: "bsp" }, shuffle: true, validate: "end" },
  workersMin: 2,
};

const JOB: JobStatus = {
  job: 1,
  name: "flights",
  phase: "training",
  step: 2,
  steps: 100,
  epochs: 1,
  epoch: 0,
  samples: 20,
  loss: 0.5,
  workers: 2,
  term: 3,
  evaluated: 0,
  testRows: 40,
  metrics: null,
  validation: null,
  badRows: { count: 0, first: [] },
  trainSeconds: 1.5,
};

const LEAF: LeafStatus = {
  volunteer: 4,
  name: "volunteer 4",
  device: "webgl",
  state: "working",
  samples: 2 ** 33,
  accepted: 9,
  late: 1,
  refused: { UPDATE_NORM: 2 },
  samplesPerSecond: 1234.5,
};

const GATEWAY: GatewayStatus = {
  url: "https://volunteers.example",
  connected: 3,
  refused: { TOKEN_USED: 1 },
  bytesIn: 2 ** 33,
  bytesOut: 2 ** 34,
};

const SECRET = "0123456789abcdefABCDEF_-";

const STATUS: ClusterStatus = {
  nodes: [
    { ...NODES[0]!, alive: true, draining: true, partitions: 2, replicas: 1, load: 0.5, rows: 10, bytes: 2 ** 40 },
  ],
  workers: [{ worker: 1, name: "w1", job: null, backend: "wasm", leaves: [LEAF] }],
  gateways: [GATEWAY],
  volunteers: { invited: 5, redeemed: 4, sessions: 3, observers: 2, expelled: 1 },
  events: [{ at: 1_500.5, kind: "worker", message: "worker w1 joined on wasm" }],
  jobs: [JOB],
  mapVersion: 7,
  chains: { whole: 2, short: 1, moving: 1 },
  failovers: 1,
  moves: 2,
  overrides: 0,
};

const IN_JOB = { job: 1, term: 2 };
const ATTEMPT = { step: 3, attempt: 2 };

/** One of each; a new message does not compile without its own. */
const MESSAGES: { [T in ControlType]: ControlOf<T> } = {
  hello: {
    type: "hello",
    protocol: { min: 1, max: PROTOCOL_MAX },
    role: "ps",
    name: "ps1",
    id: 1,
    job: 0,
    session: SECRET,
  },
  welcome: { type: "welcome", protocol: PROTOCOL_MAX, name: "ps2" },
  refuse: { type: "refuse", code: "NOT_A_MEMBER", message: "no peer here" },
  error: { type: "error", code: "PARTITION_UNAVAILABLE", message: "gone", job: 1, requestId: 2 },
  heartbeat: {
    type: "heartbeat",
    rows: 1,
    bytes: 2 ** 33,
    bytesMax: 2 ** 34,
    diskRows: 4,
    load: { partitions: [0, 255], rows: [7, 8] },
  },

  "ps-join": { type: "ps-join", name: "ps1", address: "ws://host:1234/1", node: 1 },
  "ps-joined": { type: "ps-joined", node: 1 },
  map: { type: "map", map: MAP },
  "map-request": { type: "map-request" },
  "open-job": {
    type: "open-job",
    job: 1,
    seed: 2,
    consistency: { mode: "bsp" },
    tables: [{ id: 1, name: "user", dim: 8, initializer: { kind: "zeros" }, optimizer: { kind: "none" } }],
  },
  "job-opened": { type: "job-opened", job: 1 },
  "close-job": { type: "close-job", job: 1 },
  "chain-ready": { type: "chain-ready", partition: 3, generation: 4, next: [2, 3] },
  "chain-quiet": { type: "chain-quiet", partition: 3, generation: 4 },
  "chain-broken": { type: "chain-broken", partition: 3, generation: 4, node: 2, message: "no memory for its rows" },

  fence: { type: "fence", ...IN_JOB, heads: 5 },
  promise: { type: "promise", ...IN_JOB, heads: 5, committed: ATTEMPT, whole: false },
  start: { type: "start", ...IN_JOB, ...ATTEMPT, heads: 5, slots: 2, members: [1, 2], owners: [1, 0] },
  staged: { type: "staged", job: 1, ...ATTEMPT, heads: 5 },
  held: { type: "held", job: 1, ...ATTEMPT, rank: 1, hash: "0f".repeat(16) },
  commit: { type: "commit", ...IN_JOB, ...ATTEMPT, heads: 5 },
  committed: { type: "committed", job: 1, ...ATTEMPT, heads: 5 },
  "stale-heads": { type: "stale-heads", job: 1, heads: 6 },
  "stale-term": { type: "stale-term", job: 1, promised: 3 },

  "slot-in": { type: "slot-in", job: 1, ...ATTEMPT, slot: 1, heads: 5 },
  close: { type: "close", ...IN_JOB, ...ATTEMPT, heads: 5, slots: [0, 2], scale: 1.5 },
  batch: { type: "batch", ...IN_JOB, lease: 4, batch: 9, settled: 7, begun: 3, slowest: 2, step: 3, slot: 1 },
  "batch-done": {
    type: "batch-done",
    job: 1,
    lease: 4,
    batch: 9,
    samples: 100,
    lossSum: 60.5,
    computeMs: 12.5,
    cachedRows: 3,
    rows: 10,
  },
  "call-round": { type: "call-round", ...IN_JOB, round: 2, shares: [0.5, 0.5] },
  "round-held": { type: "round-held", ...IN_JOB, round: 2 },
  "commit-round": { type: "commit-round", ...IN_JOB, round: 2, newcomers: [3] },
  "dense-ready": { type: "dense-ready", job: 1, round: 2 },
  "store-dense": { type: "store-dense", ...IN_JOB, step: 30 },

  "worker-join": { type: "worker-join", name: "w1", address: "ws://host:99", backend: "cpu", leaves: 64 },
  "worker-joined": { type: "worker-joined", worker: 1 },
  assign: { type: "assign", job: 1, manifest: MANIFEST, map: MAP },
  ready: { type: "ready", job: 1, trainRows: 100, testRows: 40, fingerprint: "f" },
  term: { type: "term", ...IN_JOB, heads: 5, members: [{ worker: 1, address: "ws://host:99" }], shares: [1] },
  "step-times": { type: "step-times", ...IN_JOB, step: 7, samples: 300, computeMs: 12.5 },
  "term-request": { type: "term-request", ...IN_JOB, reason: "a PS node has a newer map" },
  "lease-request": { type: "lease-request", ...IN_JOB, purpose: "train" },
  lease: { type: "lease", ...IN_JOB, purpose: "evaluate", lease: 1, from: 0, to: 64 },
  "no-lease": { type: "no-lease", ...IN_JOB, purpose: "train", reason: "wait" },
  progress: { type: "progress", ...IN_JOB, commits: [{ ...ATTEMPT, samples: 32, lossSum: 0.25 }] },
  trained: { type: "trained", ...IN_JOB, step: 3 },
  evaluate: { type: "evaluate", ...IN_JOB, step: 3 },
  evaluated: { type: "evaluated", job: 1, lease: 2, metrics: newMetrics(MANIFEST).toJSON() },
  "bad-rows": { type: "bad-rows", job: 1, scope: "read", count: 1, first: ["x.csv:3: no label"] },
  fail: { type: "fail", job: 1, code: "NAN_LOSS", message: "step 3" },
  end: { type: "end", job: 1, phase: "failed", message: "step 3" },

  leaves: { type: "leaves", job: 1, leaves: [LEAF] },
  expel: { type: "expel", job: 1, volunteer: 4, reason: "its gradients are not those of its samples" },

  "gateway-join": { type: "gateway-join", name: "gateway-1", url: GATEWAY.url },
  redeem: { type: "redeem", request: 3, token: SECRET, claim: SECRET },
  "session-request": { type: "session-request", request: 4, session: SECRET, state: "connects" },
  session: {
    type: "session",
    request: 3,
    session: SECRET,
    volunteer: 4,
    job: 1,
    phase: "training",
    expiresInMs: 3_600_000.5,
    invitation: { text: "{}", signature: "s".repeat(86), publicKey: "k".repeat(43) },
    reducers: [{ worker: 1, address: "ws://host:99", leaves: 2, leavesMax: 64 }],
  },
  revoked: { type: "revoked", volunteer: 4, code: "UPDATE_DIFFERS", reason: "its gradients are not those" },
  "gateway-report": { type: "gateway-report", ...GATEWAY },

  "leaf-join": { type: "leaf-join", device: "webgpu", samples: 256, computeMs: 12.5 },
  "leaf-ready": { type: "leaf-ready" },
  "leaf-pause": { type: "leaf-pause", reason: "hidden" },
  "leaf-task": { type: "leaf-task", task: 7, step: 3, samples: 256, globalSamples: 4096, weighted: true },
  "leaf-update": { type: "leaf-update", task: 7, lossSum: 0.25, computeMs: 12.5 },
  "leaf-accepted": { type: "leaf-accepted", task: 7, step: 3, samples: 256, stepSamples: 4096 },
  "leaf-refused": { type: "leaf-refused", task: 7, code: "UPDATE_LATE", message: "the step has gone on" },
  "leaf-end": { type: "leaf-end", code: "NO_REDUCER", message: "nobody takes volunteers now", mayReturn: true },
  "leaf-signal": { type: "leaf-signal", from: 4, to: 5, data: "offer" },
  "leaf-group": { type: "leaf-group", task: 7, round: 2, members: [0, 4, 5] },

  submit: { type: "submit", manifest: MANIFEST },
  submitted: { type: "submitted", job: 1, map: MAP },
  "run-job": { type: "run-job", job: 1 },
  invite: {
    type: "invite",
    job: 1,
    role: "volunteer",
    uses: 2,
    validMs: 1_800_000.5,
    trusted: false,
    by: "The university's library",
    about: "which books are lent together",
  },
  invited: { type: "invited", tokens: [SECRET], keyId: "kkkk", urls: [GATEWAY.url] },
  "finish-job": { type: "finish-job", job: 1, reason: "it is good enough" },
  "stop-job": { type: "stop-job", job: 1 },
  watch: { type: "watch", job: 1 },
  "job-status": { type: "job-status", status: JOB },
  drain: { type: "drain", node: "ps1" },
  draining: { type: "draining", node: "ps1" },
  "status-request": { type: "status-request" },
  status: { type: "status", status: STATUS },
  "commits-request": { type: "commits-request", job: 1 },
  commits: { type: "commits", job: 1, commits: [ATTEMPT], terms: [{ term: 2, members: [1, 2], shares: [2, 1] }] },
};

/** Peers of other versions read these, which may say more then. */
const OPEN: ReadonlySet<ControlType> = new Set<ControlType>(["hello", "welcome", "refuse"]);
/** Numbers that may be larger than 32 bits. */
const LARGE: ReadonlySet<string> = new Set(["bytes", "bytesMax", "bytesIn", "bytesOut", "count"]);

describe.each(Object.values<Control>(MESSAGES))("$type", (message) => {
  const shape = shapeOf(message.type);
  const fields = Object.keys(message).filter((field) => field !== "type");

  it("arrives as it was sent", () => {
    expect(decodeControl(encodeControl(message))).toEqual(message);
  });

  it("is tried here with every field it may have", () => {
    expect(["type", ...fields].toSorted()).toEqual(Object.keys(shape).toSorted());
  });

  it("may leave out what is optional, and nothing else", () => {
    for (const field of fields) {
      const without = JSON.stringify({ ...message, [field]: undefined });
      if (shape[field]!.safeParse(undefined).success) expect(decodeControl(without)).not.toHaveProperty(field);
      else expect(() => decodeControl(without), field).toThrow(`control message "${message.type}": ${field}`);
    }
  });

  it("is refused with a field of another type", () => {
    for (const [field, value] of Object.entries(message)) {
      const wrong: unknown[] = [null, typeof value === "object" ? 7 : {}];
      if (Number.isInteger(value) && !LARGE.has(field)) wrong.push(-1, 0.5, 2 ** 32);
      for (const other of wrong) {
        expect(() => decodeControl(JSON.stringify({ ...message, [field]: other })), field).toThrow(ProtocolError);
      }
    }
  });

  it(
    OPEN.has(message.type) ? "may have a field of a later version" : "is refused with a field it does not have",
    () => {
      const json = JSON.stringify({ ...message, urgent: 1 });
      if (OPEN.has(message.type)) expect(decodeControl(json)).toEqual(message);
      else expect(() => decodeControl(json)).toThrow("urgent");
    },
  );

  it("is refused where its text ends too early", () => {
    const json = encodeControl(message);
    for (let length = 0; length < json.length; length += Math.ceil(json.length / 200)) {
      expect(() => decodeControl(json.slice(0, length))).toThrow(ProtocolError);
    }
  });
});

function shapeOf(type: ControlType): Record<string, { safeParse(value: unknown): { success: boolean } }> {
  return controlSchema.options.find((option) => option.shape.type.value === type)!.shape;
}

it("a load has one number of rows for each of its partitions", () => {
  const load = { partitions: [0, 1], rows: [7] };
  expect(() => decodeControl(JSON.stringify({ type: "heartbeat", load }))).toThrow("one number of rows a partition");
});
