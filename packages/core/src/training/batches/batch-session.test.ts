import { describe, expect, test } from "vitest";
import type { ConsistencySpec } from "../../consistency/index.ts";
import type { NodeEvents, NodeLinks } from "../../client/index.ts";
import type { Dataset } from "../../data/index.ts";
import { ProtocolError } from "../../errors.ts";
import type { JobManifest } from "../../job/index.ts";
import { SimulatedClock } from "../../testing/index.ts";
import { frame, KeyLists, type Control, type ControlOf, type Frame, type Link } from "../../wire/index.ts";
import type { StepInput } from "../job/gradient-model.ts";
import { batchOf, DIMS, eachKey, manifestOf, mapOf } from "../rows/test-batches.ts";
import { BatchSession } from "./batch-session.ts";

const JOB = 1;
const WORKER = 5;
const ROWS = 8;
const BATCH = 4;
const LAST = ROWS / BATCH - 1;

interface SessionSpec {
  consistency: ConsistencySpec;
  model?: Partial<JobManifest["model"]>;
  /** Resolves when a batch may be computed. */
  compute?: (at: StepInput) => Promise<void>;
  setDense?: () => void;
  predict?: () => void;
  /** Do PS nodes answer a frame? All, by default. */
  answers?: (f: Frame) => boolean;
  epochs?: number;
}

/** A worker, PS nodes whose rows are all ones, and what it told the coordinator. */
function session({ consistency, model = {}, compute = async () => {}, answers = () => true, ...of }: SessionSpec) {
  const { setDense, predict, epochs = 1 } = of;
  const clock = new SimulatedClock();
  const told: Control[] = [];
  const frames: Frame[] = [];
  let events: NodeEvents;
  const map = mapOf({ nodes: 2 });
  const links = map.nodes.map(({ node, name }): Link => {
    const lists = new KeyLists();
    const sendFrame = (sent: Frame): void => {
      const f = lists.resolve(sent)!;
      frames.push(f);
      let floats = 0;
      eachKey(f, ({ table }) => (floats += DIMS.get(table)!));
      const { requestId } = f;
      if (f.opcode === "push" || !answers(f)) return;
      const rows = { opcode: "pullReply" as const, requestId, values: new Float32Array(floats).fill(1) };
      const reply = f.opcode === "pull" ? frame(rows) : frame({ opcode: "pushDirectReply", requestId });
      queueMicrotask(() => events.onFrame(node, reply));
    };
    return { name, listen: () => {}, close: () => {}, sendControl: () => {}, sendFrame };
  });
  const nodes: Partial<NodeLinks> = {
    map,
    onMap: () => () => {},
    get: (node) => links[node - 1],
    requestMap: () => {},
    listen: (own) => void (events = own),
    close: () => {},
  };
  const { tables, model: tables1 } = manifestOf({});
  const spec = { ...tables1, ...model };
  const dataset: Dataset = {
    trainRows: ROWS,
    testRows: 2,
    labelWidth: 1,
    fingerprint: "toy",
    blocks: undefined,
    read: (_, rows) => ({
      ...batchOf({ keys: [...rows].map((row) => [row, row] as const) }),
      label: new Float32Array(rows.length),
    }),
    badRows: () => ({ count: 0, first: [] }),
    close: async () => {},
  };
  const worker = new BatchSession({
    job: JOB,
    worker: WORKER,
    name: "worker",
    dataset,
    nodes: nodes as NodeLinks,
    clock,
    dialer: { dial: () => new Promise(() => {}) },
    coordinator: { send: (control) => void told.push(control) },
    log: () => {},
    manifest: {
      name: "toy",
      seed: 1,
      model: spec,
      tables,
      data: { format: { kind: "parquet" }, files: [{ kind: "file", path: "x" }], fields: {}, badRowsMax: 0 },
      compile: { optimizer: { kind: "sgd", learningRate: 0.5 }, loss: "meanSquaredError", metrics: [] },
      fit: { epochs, batchSize: BATCH, consistency, shuffle: true, validate: "end" },
      workersMin: 1,
    },
    model: {
      denseFloats: spec.variables.length === 0 ? 0 : 5,
      setDense: () => setDense?.(),
      step: async (at) => {
        const { rows } = at;
        await compute(at);
        const floats = spec.variables.length === 0 ? 0 : 5;
        return {
          rowGrads: new Float32Array(rows.length).fill(1),
          denseGrads: new Float32Array(floats).fill(1),
          lossSum: 2,
        };
      },
      predict: async ({ samples }) => (predict?.(), new Float32Array(samples)),
      dispose: () => {},
    },
  });
  const term = (number = 1, members = [WORKER]) =>
    worker.onCoordinator({
      type: "term",
      job: JOB,
      term: number,
      heads: map.heads,
      members: members.map((each) => ({ worker: each, address: "" })),
    });
  const batch = (number: number) => {
    const names = { job: JOB, term: 1, lease: number + 1, batch: number, settled: 0, begun: 0, slowest: 0 };
    worker.onCoordinator({ type: "batch", ...names, step: number + 1, slot: 0 });
  };
  const first = <T extends Control["type"]>(type: T) =>
    told.find((control): control is ControlOf<T> => control.type === type);
  const types = () => told.map(({ type }) => type);
  const refuse = (error: ControlOf<"error">) => events.onControl(1, error);
  /** Lets all go on that waits for nothing but its turn. */
  const settle = () => clock.advance(0);
  return { worker, clock, told, frames, term, batch, first, types, refuse, settle };
}

const asp: ConsistencySpec = { mode: "asp" };
const quorum: ConsistencySpec = { mode: "bsp", quorum: 0.5 };
const rounds: ConsistencySpec = { mode: "localSgd", every: 1, outer: { kind: "average" } };

test("held-out rows are evaluated once the batch under way is over, which changes the model's weights", async () => {
  let go = () => {};
  const { worker, term, batch, types, settle } = session({
    consistency: asp,
    compute: () => new Promise((resolve) => (go = resolve)),
  });
  await worker.open();
  term();
  batch(0);
  await settle();
  worker.onCoordinator({ type: "evaluate", job: JOB, term: 1, step: 2 });
  await settle();
  expect(types()).toEqual(["ready"]);
  go();
  await settle();
  expect(types()).toEqual(["ready", "batch-done", "lease-request"]);
});

test("while a batch is computed the rows of the next are pulled, and the gradients of the one before are pushed", async () => {
  const computing: (() => void)[] = [];
  const { worker, term, batch, frames, types, settle } = session({
    consistency: asp,
    epochs: 2,
    compute: () => new Promise((resolve) => computing.push(resolve)),
    answers: ({ opcode }) => opcode === "pull",
  });
  await worker.open();
  term();
  for (const number of [0, 1, 2, 3]) batch(number);
  const nodes = 2;
  const under = async () => {
    await settle();
    const batchesOf = (opcode: Frame["opcode"]) => frames.filter((f) => f.opcode === opcode).length / nodes;
    return { pulled: batchesOf("pull"), computed: computing.length, pushed: batchesOf("pushDirect") };
  };
  expect(await under()).toEqual({ pulled: 2, computed: 1, pushed: 0 });
  computing[0]!();
  expect(await under()).toEqual({ pulled: 3, computed: 2, pushed: 1 });
  computing[1]!(); // whose push waits for the one before, which nobody answers
  expect(await under()).toEqual({ pulled: 3, computed: 2, pushed: 1 });
  expect(types()).toEqual(["ready"]);
});

test("a pull that fails while the batch before is computed fails the job when its turn comes", async () => {
  const computing: (() => void)[] = [];
  const { worker, term, batch, frames, refuse, first, types, settle } = session({
    consistency: asp,
    compute: () => new Promise((resolve) => computing.push(resolve)),
    answers: ({ requestId, opcode }) => opcode !== "pull" || requestId <= 2,
  });
  await worker.open();
  term();
  batch(0);
  batch(1);
  await settle();
  const { requestId } = frames.findLast(({ opcode }) => opcode === "pull")!;
  refuse({ type: "error", code: "LIMIT_EXCEEDED", message: "no such table", job: JOB, requestId });
  await settle();
  expect(types()).toEqual(["ready"]);
  computing[0]!();
  await settle();
  expect(types()).toEqual(["ready", "fail", "batch-done"]);
  expect(first("fail")!.message).toContain("no such table");
});

test("the model is told which rows of a batch are the same", async () => {
  const computed: StepInput[] = [];
  const { worker, term, batch, settle } = session({ consistency: asp, compute: async (at) => void computed.push(at) });
  await worker.open();
  term();
  batch(0);
  await settle();
  const ids = computed.map(({ samples, rowIds }) => [samples, rowIds!()] as const);
  expect(ids.map(([samples, { length }]) => [samples, length])).toEqual([[4, 8]]);
  expect(new Set(ids[0]![1]).size).toBe(8);
});

test("who had to wait in one evaluation, and asks again in the next, has the weights of that one", async () => {
  const variables = [{ name: "w", shape: [5], trainable: true }];
  let reads = 0;
  const used: number[] = [];
  const { worker, term, clock, types, settle } = session({
    consistency: asp,
    model: { variables },
    setDense: () => void reads++,
    predict: () => void used.push(reads),
  });
  await worker.open();
  term();
  const evaluate = () => worker.onCoordinator({ type: "evaluate", job: JOB, term: 1, step: 2 });
  evaluate();
  await settle();
  worker.onCoordinator({ type: "no-lease", job: JOB, purpose: "evaluate", term: 1, reason: "wait" });
  await clock.advance(1000);
  // The last step was validated, and is evaluated again as training ends.
  evaluate();
  worker.onCoordinator({ type: "lease", job: JOB, purpose: "evaluate", term: 1, lease: 1, from: 0, to: 2 });
  await settle();
  expect(types()).toContain("evaluated");
  expect([reads, ...used]).toEqual([2, 2]);
});

test("a refusal of a slot is no answer to a pull under way, and asks for a new term or fails the job", async () => {
  const { worker, term, batch, frames, refuse, told, settle } = session({ consistency: quorum });
  await worker.open();
  term();
  batch(1);
  await settle();
  const { requestId } = frames.find(({ opcode }) => opcode === "push")!;
  batch(0); // its pulls have the numbers of requests that wait
  const waiting = frames.filter(({ opcode }) => opcode === "pull").map((pull) => pull.requestId);
  expect(waiting).not.toContain(requestId);
  refuse({ type: "error", code: "PARTITION_UNAVAILABLE", message: "a partition moves", job: JOB, requestId });
  refuse({ type: "error", code: "LIMIT_EXCEEDED", message: "no memory for 7 rows", job: JOB, requestId });
  await settle();
  expect(told).toContainEqual({
    type: "term-request",
    job: JOB,
    term: 1,
    reason: "PS node 1 refused: a partition moves",
  });
  expect(told).toContainEqual({
    type: "fail",
    job: JOB,
    code: "BAD_UPDATE",
    message: "PS node 1 refused: no memory for 7 rows",
  });
});

describe.each([
  ["asp", asp],
  ["a quorum", quorum],
  ["rounds", rounds],
] satisfies [string, ConsistencySpec][])("in %s", (_, consistency) => {
  test.each([
    ["dense variables", { variables: [] }],
    ["embeddings", { embeddings: [] }],
    ["either", { embeddings: [], variables: [] }],
  ])("a job without %s is trained", async (__, model) => {
    const { worker, term, batch, told, first, settle } = session({ consistency, model });
    await worker.open();
    term();
    batch(0);
    batch(1);
    await settle();
    expect(told.filter(({ type }) => type === "batch-done")).toMatchObject([
      { batch: 0, samples: BATCH, lossSum: 2 },
      { batch: 1, samples: BATCH, lossSum: 2 },
    ]);
    if (consistency.mode === "localSgd") {
      worker.onCoordinator({ type: "call-round", job: JOB, term: 1, round: 1, shares: [1] });
      worker.onCoordinator({ type: "commit-round", job: JOB, term: 1, round: 1, newcomers: [] });
      worker.onCoordinator({ type: "store-dense", job: JOB, term: 1, step: 2 });
      await settle();
      expect(first("round-held")).toMatchObject({ round: 1 });
      expect(first("trained")).toMatchObject({ step: 2 });
    }
    worker.onCoordinator({ type: "evaluate", job: JOB, term: 1, step: 2 });
    await settle();
    expect(first("lease-request")).toMatchObject({ purpose: "evaluate" });
    expect(first("fail")).toBeUndefined();
  });
});

test("what the coordinator cannot mean is refused, and says why", async () => {
  const { worker, term, batch, told, settle } = session({ consistency: asp });
  await worker.open();
  term();
  worker.onCoordinator({ type: "store-dense", job: JOB, term: 1, step: 0 });
  batch(LAST + 1);
  await settle();
  expect(told.filter(({ type }) => type === "fail")).toMatchObject([
    { message: expect.stringContaining("dense weights of its own") },
    { message: expect.stringMatching(/batch 2 .* job has 2/) },
  ]);

  const averaging = session({ consistency: rounds });
  await averaging.worker.open();
  averaging.term(1, [WORKER, 6]);
  expect(() =>
    averaging.worker.onCoordinator({ type: "call-round", job: JOB, term: 1, round: 1, shares: [0.5, 0.25, 0.25] }),
  ).toThrow(ProtocolError);
});
