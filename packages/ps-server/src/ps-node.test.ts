/** A PS node by its messages: what it serves, what it refuses, what waits, and that nothing counts twice. */
import { beforeEach, describe, expect, it } from "vitest";
import { PulledRows } from "@volary/core/client";
import { decodeRows, encodeRows } from "@volary/core/compression";
import { ProtocolError } from "@volary/core/errors";
import { KernelMemory } from "@volary/core/kernels";
import { LIMITS } from "@volary/core/limits";
import { serverUpdate } from "@volary/core/optimizer";
import type { PartitionMap } from "@volary/core/partition";
import { TableMemory, type TableSpec } from "@volary/core/table";
import { pluginOf, Plugins } from "@volary/core/plugin";
import { lend } from "@volary/core/testing";
import {
  decodeFrame,
  encodeFrame,
  END_OF_EXPORT,
  frame,
  OPCODES,
  type Control,
  type ControlOf,
  type ControlType,
  type Frame,
} from "@volary/core/wire";
import { PsNode, type PsBounds, type PsEffect } from "./ps-node.ts";

const COORDINATOR = 0;
const LEADER = 1;
const OTHER = 2;
const JOB = 9;

/** Weights after a step are just minus the summed gradients. */
const TABLE: TableSpec = {
  id: 4,
  name: "items",
  dim: 2,
  initializer: { kind: "zeros" },
  optimizer: { kind: "sgd", learningRate: 1 },
};

/** Node 1 has partitions 0 and 1, node 2 the others. */
const MAP: PartitionMap = {
  version: 3,
  partitionsLog2: 2,
  function: { kind: "hash" },
  nodes: [
    { node: 1, name: "ps-1", address: "ws://ps-1:1" },
    { node: 2, name: "ps-2", address: "ws://ps-2:1" },
  ],
  entries: [
    { generation: 5, chain: [1] },
    { generation: 6, chain: [1] },
    { generation: 7, chain: [2] },
    { generation: 8, chain: [2] },
  ],
};

type Rows = Record<number, readonly number[]>;

/** Keys of each partition, in order, with the generation of the map or another. */
function sections(rows: Rows, generations: Record<number, number> = {}): Partial<Frame> {
  const partitions = Object.keys(rows).map(Number);
  const keys = partitions.flatMap((p) => [...rows[p]!]);
  return {
    tables: Uint32Array.of(TABLE.id),
    partitions: Uint32Array.from(partitions),
    generations: Uint32Array.from(partitions, (p) => generations[p] ?? MAP.entries[p]!.generation),
    counts: Uint32Array.from(partitions, (p) => rows[p]!.length),
    keys: Uint32Array.from(keys.flatMap((key) => [key, 0])),
  };
}

function valuesFor(rows: Rows, gradient: number): Float32Array {
  return new Float32Array(Object.values(rows).flat().length * TABLE.dim).fill(gradient);
}

const MEMORY = new TableMemory();
let node: PsNode;
let out: PsEffect[];

function say(link: number, control: Control): void {
  node.handleControl(link, control, { push: take });
}

/** What is sent is lent: its bytes are scribbled over when the node has handled it. */
function send(link: number, fields: Partial<Frame> & { opcode: Frame["opcode"] }): void {
  lend(frame({ job: JOB, ...fields }), (borrowed) => node.handleFrame(link, borrowed, { push: take }));
}

/** Sends an effect: as its bytes, whose buffer is then used again. */
function take(effect: PsEffect): void {
  if (effect.kind === "control") {
    out.push(effect);
    return;
  }
  const { kind, link } = effect;
  out.push({ kind, link, frame: decodeFrame(encodeFrame(effect.frame).slice()) });
  effect.onSent?.();
}

function push(link: number, at: { step: number; attempt?: number; slot: number; rows: Rows; gradient?: number }): void {
  const { step, attempt = 1, slot, rows, gradient = 1 } = at;
  send(link, {
    opcode: "push",
    requestId: step,
    step,
    attempt,
    term: attempt,
    slot,
    ...sections(rows),
    values: valuesFor(rows, gradient),
  });
}

function pull(
  link: number,
  at: { step: number; term?: number; rows: Rows; generations?: Record<number, number> },
): void {
  const { step, term = 1, rows, generations } = at;
  send(link, { opcode: "pull", requestId: step, step, term, ...sections(rows, generations) });
}

/** What the node said since the last call. */
function said(): PsEffect[] {
  const all = out;
  out = [];
  return all;
}

function controls<T extends ControlType>(
  effects: readonly PsEffect[],
  type: T,
): { link: number; control: ControlOf<T> }[] {
  return effects.flatMap((e) =>
    e.kind === "control" && e.control.type === type ? [{ link: e.link, control: e.control as ControlOf<T> }] : [],
  );
}

function frames(effects: readonly PsEffect[]): { link: number; frame: Frame }[] {
  return effects.flatMap((e) => (e.kind === "frame" ? [{ link: e.link, frame: e.frame }] : []));
}

/** Weights as they are committed now. */
function read(rows: Rows): number[] {
  said();
  pull(OTHER, { step: 0, rows });
  return valuesOf(said());
}

/** The values of all parts of a reply. */
function valuesOf(effects: readonly PsEffect[]): number[] {
  return frames(effects).flatMap(({ frame: part }) => Array.from(part.values));
}

function begin({ slots, term = 1, step = 1 }: { slots: number; term?: number; step?: number }): void {
  say(LEADER, { type: "fence", job: JOB, term });
  say(LEADER, {
    type: "start",
    job: JOB,
    step,
    attempt: term,
    term,
    slots,
    members: Array.from({ length: slots }, (_, i) => i),
  });
}

beforeEach(() => {
  out = [];
  node?.dispose();
  node = new PsNode({ node: 1, memory: MEMORY });
  say(COORDINATOR, { type: "map", map: MAP });
  say(COORDINATOR, { type: "open-job", job: JOB, seed: 1, consistency: { mode: "bsp" }, tables: [TABLE] });
  expect(said()).toEqual([{ kind: "control", link: COORDINATOR, control: { type: "job-opened", job: JOB } }]);
});

describe("a step", () => {
  it("is staged once every slot is in, and applied at the commit", () => {
    begin({ slots: 2 });
    expect(controls(said(), "promise")).toEqual([
      { link: LEADER, control: { type: "promise", job: JOB, term: 1, committed: { step: 0, attempt: 0 } } },
    ]);
    push(LEADER, { step: 1, slot: 0, rows: { 0: [10, 20], 1: [30] }, gradient: 1 });
    expect(said()).toEqual([]);
    push(OTHER, { step: 1, slot: 1, rows: { 0: [20] }, gradient: 0.5 });
    expect(said()).toEqual([
      { kind: "control", link: LEADER, control: { type: "staged", job: JOB, step: 1, attempt: 1 } },
    ]);
    expect(read({ 0: [10, 20], 1: [30] })).toEqual([0, 0, 0, 0, 0, 0]);
    say(LEADER, { type: "commit", job: JOB, step: 1, attempt: 1, term: 1 });
    expect(said()).toEqual([
      { kind: "control", link: LEADER, control: { type: "committed", job: JOB, step: 1, attempt: 1 } },
    ]);
    expect(read({ 0: [10, 20], 1: [30] })).toEqual([-1, -1, -1.5, -1.5, -1, -1]);
    expect(node.usage().rows).toBe(3);
  });

  it("counts a slot that has nothing for this node", () => {
    begin({ slots: 2 });
    push(LEADER, { step: 1, slot: 0, rows: {} });
    push(OTHER, { step: 1, slot: 1, rows: {} });
    expect(controls(said(), "staged")).toHaveLength(1);
  });

  it("does not depend on the order in which slots arrive", () => {
    const results = [
      [0, 1, 2],
      [2, 0, 1],
    ].map((order) => {
      say(COORDINATOR, { type: "close-job", job: JOB });
      say(COORDINATOR, { type: "open-job", job: JOB, seed: 1, consistency: { mode: "bsp" }, tables: [TABLE] });
      begin({ slots: 3 });
      for (const slot of order) push(OTHER, { step: 1, slot, rows: { 0: [1] }, gradient: [0.1, 1e8, -1e8][slot]! });
      say(LEADER, { type: "commit", job: JOB, step: 1, attempt: 1, term: 1 });
      return read({ 0: [1] });
    });
    expect(results[0]).toEqual(results[1]);
  });

  it("is applied once, however often pushes and commits are repeated", () => {
    begin({ slots: 1 });
    for (let i = 0; i < 3; i++) push(LEADER, { step: 1, slot: 0, rows: { 0: [1] } });
    expect(controls(said(), "staged")).toHaveLength(3); // each repeat is answered
    for (let i = 0; i < 3; i++) say(LEADER, { type: "commit", job: JOB, step: 1, attempt: 1, term: 1 });
    expect(controls(said(), "committed")).toHaveLength(3);
    push(LEADER, { step: 1, slot: 0, rows: { 0: [1] } });
    say(LEADER, { type: "start", job: JOB, step: 1, attempt: 1, term: 1, slots: 1, members: [0] });
    expect(read({ 0: [1] })).toEqual([-1, -1]);
    expect(node.counters).toMatchObject({ pushes: 1, repeatedPushes: 2, latePushes: 1, commits: 1, refusedSteps: 1 });
  });

  it("is not committed before it is staged", () => {
    begin({ slots: 2 });
    push(LEADER, { step: 1, slot: 0, rows: { 0: [1] } });
    said();
    say(LEADER, { type: "commit", job: JOB, step: 1, attempt: 1, term: 1 });
    expect(said()).toEqual([]);
    expect(node.counters.refusedSteps).toBe(1);
  });

  it("opens the next one by itself", () => {
    begin({ slots: 1 });
    for (const step of [1, 2, 3]) {
      push(LEADER, { step, slot: 0, rows: { 0: [1] } });
      say(LEADER, { type: "commit", job: JOB, step, attempt: 1, term: 1 });
    }
    expect(read({ 0: [1] })).toEqual([-3, -3]);
  });
});

describe("pulls", () => {
  it("read initial values without making rows, and name what is committed", () => {
    pull(OTHER, { step: 0, rows: { 0: [1, 2], 1: [3] } });
    const effects = said();
    expect(frames(effects)[0]).toMatchObject({
      link: OTHER,
      frame: { opcode: "pullReply", job: JOB, requestId: 0, step: 0, attempt: 0 },
    });
    expect(valuesOf(effects)).toEqual([0, 0, 0, 0, 0, 0]);
    expect(node.usage().rows).toBe(0);
  });

  it("for the next step wait until this one is committed", () => {
    begin({ slots: 1 });
    pull(OTHER, { step: 1, rows: { 0: [1] } });
    expect(frames(said())).toHaveLength(1);
    pull(OTHER, { step: 2, rows: { 0: [1] } });
    push(LEADER, { step: 1, slot: 0, rows: { 0: [1] } });
    expect(frames(said())).toEqual([]);
    say(LEADER, { type: "commit", job: JOB, step: 1, attempt: 1, term: 1 });
    const effects = said();
    expect(effects.map(({ kind }) => kind)).toEqual(["control", "frame"]);
    expect(frames(effects)[0]).toMatchObject({ link: OTHER, frame: { requestId: 2, step: 1, attempt: 1, term: 1 } });
    expect(Array.from(frames(effects)[0]!.frame.values)).toEqual([-1, -1]);
  });

  it("that are repeated while they wait are answered once", () => {
    begin({ slots: 1 });
    for (let i = 0; i < 5; i++) pull(OTHER, { step: 2, rows: { 0: [1] } });
    push(LEADER, { step: 1, slot: 0, rows: {} });
    say(LEADER, { type: "commit", job: JOB, step: 1, attempt: 1, term: 1 });
    expect(frames(said())).toHaveLength(1);
  });

  it("of a client that left are forgotten and counted", () => {
    begin({ slots: 1 });
    pull(OTHER, { step: 2, rows: { 0: [1] } });
    node.handleClose(OTHER);
    push(LEADER, { step: 1, slot: 0, rows: {} });
    said();
    say(LEADER, { type: "commit", job: JOB, step: 1, attempt: 1, term: 1 });
    expect(frames(said())).toEqual([]);
    expect(node.counters.abandonedPulls).toBe(1);
  });

  it("that wait are bounded", () => {
    begin({ slots: 1 });
    for (let requestId = 0; requestId <= LIMITS.parkedPullsMax; requestId++) {
      send(OTHER, { opcode: "pull", requestId, step: 2, term: 1 });
    }
    expect(controls(said(), "error")).toMatchObject([
      { link: OTHER, control: { code: "LIMIT_EXCEEDED", requestId: LIMITS.parkedPullsMax } },
    ]);
  });

  it("that are wrong are refused at once, not when the leader commits", () => {
    begin({ slots: 1 });
    said();
    send(OTHER, {
      opcode: "pull",
      requestId: 2,
      step: 2,
      term: 1,
      ...sections({ 0: [1] }),
      tables: Uint32Array.of(77),
    });
    expect(controls(said(), "error")).toMatchObject([{ link: OTHER, control: { code: "BAD_UPDATE", requestId: 2 } }]);
  });
});

describe("a reply in parts", () => {
  /** A node whose parts hold `replyPartBytes`, with rows 1 … 4 in its partitions. */
  function openWith(bounds: PsBounds, memory = MEMORY): void {
    node.dispose();
    node = new PsNode({ node: 1, memory, bounds });
    say(COORDINATOR, { type: "map", map: MAP });
    say(COORDINATOR, { type: "open-job", job: JOB, seed: 1, consistency: { mode: "bsp" }, tables: [TABLE] });
    const rows = { 0: [1, 2], 1: [3, 4] };
    const values = Float32Array.from([1, 1, 2, 2, 3, 3, 4, 4]);
    send(OTHER, { opcode: "set", ...sections(rows), values });
    said();
  }
  const rows = { 0: [1, 2], 1: [3, 4] };

  it("says of each where it begins, and of the last that it is", () => {
    openWith({ replyPartBytes: 1 });
    pull(OTHER, { step: 0, rows });
    const parts = frames(said()).map(({ frame: f }) => [f.cursor, f.partial, ...f.values]);
    expect(parts).toEqual([
      [0, true, 1, 1, 2, 2],
      [4, false, 3, 3, 4, 4],
    ]);
  });

  it("has one part where all fits into it", () => {
    openWith({}, new TableMemory({ arenaBytes: 2 ** 26, bytesMax: 2 ** 25 }));
    pull(OTHER, { step: 0, rows });
    expect(frames(said()).map(({ frame: f }) => [f.cursor, f.partial, ...f.values])).toEqual([
      [0, false, 1, 1, 2, 2, 3, 3, 4, 4],
    ]);
  });

  it("ends a part where the next partition lives in another memory", () => {
    openWith({}, new TableMemory({ arenaBytes: 2 ** 25, bytesMax: 2 ** 25 }));
    pull(OTHER, { step: 0, rows });
    expect(frames(said()).map(({ frame: f }) => [f.cursor, f.partial])).toEqual([
      [0, true],
      [4, false],
    ]);
    expect(read(rows)).toEqual([1, 1, 2, 2, 3, 3, 4, 4]);
  });

  it("is read before more is written to its buffers: those that are on their way are not taken again", () => {
    openWith({ replyPartBytes: 1 });
    const onWay: Extract<PsEffect, { kind: "frame" }>[] = [];
    const keep = { push: (effect: PsEffect) => effect.kind === "frame" && onWay.push(effect) };
    for (let i = 0; i < 20; i++) {
      node.handleFrame(OTHER, frame({ opcode: "pull", job: JOB, ...sections({ 0: [1, 2] }) }), keep);
      send(OTHER, { opcode: "set", ...sections({ 0: [1] }), values: Float32Array.of(i, i) });
    }
    expect(onWay.map((effect) => effect.frame.values[0])).toEqual([1, ...Array.from({ length: 19 }, (_, i) => i)]);
    const used = MEMORY.bytesUsed;
    for (const effect of onWay) effect.onSent!();
    expect(MEMORY.bytesUsed).toBeLessThan(used); // only some are kept
  });

  it.each(["bfloat16", "int8"] as const)("comes as %s to who asks so", (dtype) => {
    openWith({ replyPartBytes: 1 });
    send(OTHER, { opcode: "pull", dtype, ...sections(rows) });
    const parts = frames(said()).map(({ frame: f }) => f);
    expect(parts.map((f) => [f.dtype, f.cursor, f.partial, f.values.length])).toEqual([
      [dtype, 0, true, 0],
      [dtype, 4, false, 0],
    ]);
    const dims = Uint32Array.of(TABLE.dim);
    const pulled = new PulledRows({ rows: new Float32Array(8), counts: Uint32Array.of(2, 2), dims });
    expect(parts.map((part) => pulled.take(part))).toEqual([false, true]);
    expect(pulled.rows).toEqual(Float32Array.of(1, 1, 2, 2, 3, 3, 4, 4));
  });
});

describe("keys by name", () => {
  const name = Uint8Array.from({ length: 16 }, (_, i) => i);
  const rows = { 0: [1, 2], 1: [3] };

  it("are those that were sent with it before", () => {
    send(OTHER, { opcode: "pull", keyList: name, ...sections(rows) });
    said();
    send(OTHER, { opcode: "set", keyList: name, values: valuesFor(rows, 2) });
    expect(frames(said()).map(({ frame: f }) => f.opcode)).toEqual(["setReply"]);
    expect(read(rows)).toEqual([2, 2, 2, 2, 2, 2]);
  });

  it("that are not known are asked for, and nothing is applied", () => {
    send(OTHER, { opcode: "set", requestId: 7, keyList: name, values: valuesFor(rows, 2) });
    expect(frames(said())).toMatchObject([
      { link: OTHER, frame: { opcode: "unknownKeys", requestId: 7, cursor: OPCODES.set, keyList: name } },
    ]);
    expect(node.usage().rows).toBe(0);
  });

  it("belong to their link, and go with it", () => {
    send(OTHER, { opcode: "pull", keyList: name, ...sections(rows) });
    said();
    send(LEADER, { opcode: "pull", keyList: name });
    expect(frames(said())).toMatchObject([{ link: LEADER, frame: { opcode: "unknownKeys" } }]);
    node.handleClose(OTHER);
    send(OTHER, { opcode: "pull", keyList: name });
    expect(frames(said())).toMatchObject([{ link: OTHER, frame: { opcode: "unknownKeys" } }]);
  });

  it("may be named by a push that waits for its start", () => {
    send(OTHER, { opcode: "pull", keyList: name, ...sections(rows) });
    const at = { requestId: 1, step: 1, attempt: 1, term: 1, slot: 0 };
    send(OTHER, { opcode: "push", ...at, keyList: name, values: valuesFor(rows, 1) });
    begin({ slots: 1 });
    expect(controls(said(), "staged")).toHaveLength(1);
    say(LEADER, { type: "commit", job: JOB, step: 1, attempt: 1, term: 1 });
    expect(read(rows)).toEqual([-1, -1, -1, -1, -1, -1]);
  });
});

describe("gradients in fewer bytes", () => {
  const rows = { 0: [1, 2], 1: [3] };
  const gradients = Float32Array.of(1, -2, 0.5, 0.5, 4, 8);
  const kernels = new KernelMemory();

  it.each(["bfloat16", "int8"] as const)("count as %s says", (dtype) => {
    begin({ slots: 1 });
    const widths = { counts: Uint32Array.of(2, 1), dims: Uint32Array.of(TABLE.dim) };
    const coded = encodeRows(kernels, gradients, { dtype, ...widths });
    const at = { requestId: 1, step: 1, attempt: 1, term: 1, slot: 0 };
    send(OTHER, { opcode: "push", ...at, ...sections(rows), dtype, coded });
    say(LEADER, { type: "commit", job: JOB, step: 1, attempt: 1, term: 1 });
    const decoded = decodeRows(kernels, coded, { dtype, first: 0, ...widths });
    expect(read(rows)).toEqual(Array.from(decoded, (gradient) => 0 - gradient));
    for (const [i, gradient] of gradients.entries()) expect(decoded[i]).toBeCloseTo(gradient, 5);
  });

  it("that are not finite are refused, naming the key", () => {
    const coded = encodeRows(kernels, Float32Array.of(1, 1, 1, NaN, 1, 1), {
      dtype: "bfloat16",
      counts: Uint32Array.of(2, 1),
      dims: Uint32Array.of(TABLE.dim),
    });
    send(OTHER, { opcode: "pushDirect", term: 1, step: 1, ...sections(rows), dtype: "bfloat16", coded });
    expect(controls(said(), "error")[0]!.control.message).toMatch(/^NaN for key 2 of table "items", component 1/);
    expect(node.usage().rows).toBe(0);
  });

  it("whose bytes do not fit their keys break the protocol", () => {
    const coded = new Uint8Array(11);
    expect(() => send(OTHER, { opcode: "set", ...sections(rows), dtype: "int8", coded })).toThrow(
      "carries 11 bytes of int8 values where its keys need 36",
    );
  });
});

describe("stale segments", () => {
  it("of a pull are refused with their new entries, the rest is served", () => {
    begin({ slots: 1 });
    push(LEADER, { step: 1, slot: 0, rows: { 0: [1], 1: [2] } });
    say(LEADER, { type: "commit", job: JOB, step: 1, attempt: 1, term: 1 });
    said();
    pull(OTHER, { step: 0, rows: { 0: [1], 1: [2], 2: [3] }, generations: { 0: 4 } });
    const [part, last] = frames(said());
    expect(part!.frame).toMatchObject({ partial: true, cursor: 2, values: Float32Array.of(-1, -1) });
    const { partial, partitions, generations, counts, values } = last!.frame;
    expect([partial, values.length]).toEqual([false, 0]);
    expect(Array.from(partitions)).toEqual([0, 2]);
    expect(Array.from(generations)).toEqual([5, 7]);
    expect(Array.from(counts)).toEqual([1, 2]); // the nodes that own them
    expect(node.counters.staleSegments).toBe(2);
  });

  it("of a set are refused, the rest is set", () => {
    const rows = { 0: [1], 1: [2] };
    send(OTHER, { opcode: "set", requestId: 5, ...sections(rows, { 1: 99 }), values: valuesFor(rows, 3) });
    const { frame: reply } = frames(said())[0]!;
    expect([reply.opcode, reply.requestId, ...reply.partitions]).toEqual(["setReply", 5, 1]);
    expect(read(rows)).toEqual([3, 3, 0, 0]);
  });

  it("of a push keep its step from being staged, and its sender hears where they are", () => {
    begin({ slots: 1 });
    said();
    const rows = { 0: [1], 2: [3] };
    push(OTHER, { step: 1, slot: 0, rows });
    const effects = said();
    expect(frames(effects)).toMatchObject([{ link: OTHER, frame: { opcode: "pushReply", step: 1, attempt: 1 } }]);
    expect(Array.from(frames(effects)[0]!.frame.partitions)).toEqual([2]);
  });
});

describe("a new leader", () => {
  it("fences: older terms are refused from then on, and told why", () => {
    begin({ slots: 1 });
    push(LEADER, { step: 1, slot: 0, rows: { 0: [1] } });
    said();
    say(OTHER, { type: "fence", job: JOB, term: 2 });
    expect(said()).toEqual([
      {
        kind: "control",
        link: OTHER,
        control: { type: "promise", job: JOB, term: 2, committed: { step: 0, attempt: 0 } },
      },
    ]);
    const stale = { type: "stale-term", job: JOB, promised: 2 } as const;
    say(LEADER, { type: "commit", job: JOB, step: 1, attempt: 1, term: 1 });
    say(LEADER, { type: "start", job: JOB, step: 1, attempt: 1, term: 1, slots: 1, members: [0] });
    say(LEADER, { type: "fence", job: JOB, term: 1 });
    expect(said()).toEqual([stale, stale, stale].map((control) => ({ kind: "control", link: LEADER, control })));
    expect(read({ 0: [1] })).toEqual([0, 0]);
  });

  it("may finish what the old one had staged, under its own term", () => {
    begin({ slots: 1 });
    push(LEADER, { step: 1, slot: 0, rows: { 0: [1] } });
    say(OTHER, { type: "fence", job: JOB, term: 2 });
    said();
    say(OTHER, { type: "commit", job: JOB, step: 1, attempt: 1, term: 2 });
    expect(said()).toEqual([
      { kind: "control", link: OTHER, control: { type: "committed", job: JOB, step: 1, attempt: 1 } },
    ]);
    expect(read({ 0: [1] })).toEqual([-1, -1]);
  });

  it("may start anew: what the old attempt pushed is dropped", () => {
    begin({ slots: 2 });
    push(LEADER, { step: 1, slot: 0, rows: { 0: [1] }, gradient: 100 });
    say(OTHER, { type: "fence", job: JOB, term: 2 });
    say(OTHER, { type: "start", job: JOB, step: 1, attempt: 2, term: 2, slots: 1, members: [1] });
    push(LEADER, { step: 1, attempt: 1, slot: 1, rows: { 0: [1] }, gradient: 100 }); // a straggler
    push(OTHER, { step: 1, attempt: 2, slot: 0, rows: { 0: [1] }, gradient: 1 });
    say(OTHER, { type: "commit", job: JOB, step: 1, attempt: 2, term: 2 });
    expect(read({ 0: [1] })).toEqual([-1, -1]);
    expect(node.counters.latePushes).toBe(1);
  });

  it("is told what is staged when it fences again over a new link", () => {
    begin({ slots: 1 });
    push(LEADER, { step: 1, slot: 0, rows: {} });
    node.handleClose(LEADER);
    said();
    say(OTHER, { type: "fence", job: JOB, term: 1 });
    expect(said()).toMatchObject([
      { link: OTHER, control: { type: "promise" } },
      { link: OTHER, control: { type: "staged", step: 1, attempt: 1 } },
    ]);
  });

  it("drops pulls of older attempts, those that wait and those that come", () => {
    begin({ slots: 1 });
    pull(OTHER, { step: 2, term: 1, rows: { 0: [1] } });
    say(OTHER, { type: "fence", job: JOB, term: 2 });
    pull(OTHER, { step: 1, term: 1, rows: { 0: [1] } });
    expect(frames(said())).toEqual([]);
    expect(node.counters.abandonedPulls).toBe(2);
    pull(OTHER, { step: 1, term: 2, rows: { 0: [1] } });
    expect(frames(said())).toHaveLength(1);
  });
});

describe("pushes that are early", () => {
  it("wait for the start of their attempt", () => {
    say(LEADER, { type: "fence", job: JOB, term: 1 });
    push(OTHER, { step: 1, slot: 1, rows: { 0: [1] }, gradient: 2 });
    push(OTHER, { step: 1, slot: 1, rows: { 0: [1] }, gradient: 2 }); // repeated while it waits
    push(LEADER, { step: 1, slot: 0, rows: { 0: [1] } });
    expect(controls(said(), "staged")).toEqual([]);
    say(LEADER, { type: "start", job: JOB, step: 1, attempt: 1, term: 1, slots: 2, members: [0, 1] });
    expect(controls(said(), "staged")).toHaveLength(1);
    say(LEADER, { type: "commit", job: JOB, step: 1, attempt: 1, term: 1 });
    expect(read({ 0: [1] })).toEqual([-3, -3]);
  });

  it("of an attempt that is given up are dropped and counted", () => {
    push(OTHER, { step: 1, slot: 0, rows: { 0: [1] }, gradient: 100 });
    say(LEADER, { type: "fence", job: JOB, term: 2 });
    say(LEADER, { type: "start", job: JOB, step: 1, attempt: 2, term: 2, slots: 1, members: [0] });
    expect(controls(said(), "staged")).toEqual([]);
    expect(node.counters.latePushes).toBe(1);
  });

  it("that turn out bad are told to their sender, not to the leader", () => {
    push(OTHER, { step: 1, slot: 7, rows: { 0: [1] } });
    begin({ slots: 1 });
    expect(controls(said(), "error")).toMatchObject([
      { link: OTHER, control: { code: "BAD_UPDATE", message: "slot 7 of a step that has slots 0 to 0", requestId: 1 } },
    ]);
  });

  it("are bounded", () => {
    for (let slot = 0; slot <= LIMITS.earlyFramesMax; slot++) push(OTHER, { step: 1, slot, rows: {} });
    expect(controls(said(), "error")).toMatchObject([{ link: OTHER, control: { code: "LIMIT_EXCEEDED" } }]);
  });
});

describe("bad frames", () => {
  const bad: [string, Partial<Frame>, string][] = [
    ["NaN in a gradient", { values: Float32Array.of(1, NaN) }, 'NaN for key 1 of table "items", component 1'],
    ["an infinite gradient", { values: Float32Array.of(-Infinity, 1) }, "-Infinity for key 1"],
    ["a slot that the step does not have", { slot: 9 }, "slot 9 of a step that has slots 0 to 0"],
    ["an unknown table", { tables: Uint32Array.of(77) }, "job 9 has no table 77; its tables are 4 (items)"],
  ];
  it.each(bad)("with %s are answered, and the node goes on", (_, change, message) => {
    begin({ slots: 1 });
    said();
    const rows = { 0: [1] };
    send(OTHER, {
      opcode: "push",
      requestId: 1,
      step: 1,
      attempt: 1,
      term: 1,
      ...sections(rows),
      values: valuesFor(rows, 1),
      ...change,
    });
    const [error] = controls(said(), "error");
    expect(error).toMatchObject({ link: OTHER, control: { code: "BAD_UPDATE", job: JOB, requestId: 1 } });
    expect(error!.control.message).toContain(message);
    push(LEADER, { step: 1, slot: 0, rows });
    say(LEADER, { type: "commit", job: JOB, step: 1, attempt: 1, term: 1 });
    expect(read(rows)).toEqual([-1, -1]);
  });

  it("with keys that do not ascend are answered", () => {
    begin({ slots: 1 });
    said();
    push(OTHER, { step: 1, slot: 0, rows: { 0: [2, 1] } });
    expect(controls(said(), "error")[0]!.control.message).toContain("keys must ascend: keys[1]=1 after 2");
  });

  it("that are bad in one partition cannot be committed in the others", () => {
    begin({ slots: 1 });
    push(OTHER, { step: 1, slot: 0, rows: { 0: [1], 1: [4, 3] }, gradient: 7 });
    expect(controls(said(), "staged")).toEqual([]);
    say(LEADER, { type: "commit", job: JOB, step: 1, attempt: 1, term: 1 });
    expect(controls(said(), "committed")).toEqual([]);
    expect(read({ 0: [1] })).toEqual([0, 0]);
    push(OTHER, { step: 1, slot: 0, rows: { 0: [1], 1: [3, 4] } }); // the sender mends it
    say(LEADER, { type: "commit", job: JOB, step: 1, attempt: 1, term: 1 });
    expect(read({ 0: [1], 1: [3] })).toEqual([-1, -1, -1, -1]);
  });

  it("with values that do not fit their keys break the protocol", () => {
    begin({ slots: 1 });
    expect(() =>
      send(OTHER, { opcode: "push", step: 1, attempt: 1, ...sections({ 0: [1] }), values: new Float32Array(3) }),
    ).toThrow(ProtocolError);
    expect(() => send(OTHER, { opcode: "reduce" })).toThrow('a PS node takes no "reduce" frame');
    expect(() => say(OTHER, { type: "submitted", job: JOB, map: MAP })).toThrow(
      'a PS node takes no "submitted" message',
    );
  });

  it("of a job that is not open are answered so", () => {
    send(OTHER, { opcode: "pull", job: 55, requestId: 3 });
    say(OTHER, { type: "fence", job: 55, term: 1 });
    expect(controls(said(), "error").map(({ control }) => control.code)).toEqual(["UNKNOWN_JOB", "UNKNOWN_JOB"]);
  });

  it("for a job of which this node owns nothing are answered", () => {
    const entries = MAP.entries.map(({ generation }) => ({ generation, chain: [2] }));
    say(COORDINATOR, { type: "map", map: { ...MAP, version: 4, entries } });
    say(COORDINATOR, { type: "open-job", job: 10, seed: 1, consistency: { mode: "bsp" }, tables: [TABLE] });
    said();
    say(LEADER, { type: "fence", job: 10, term: 1 });
    expect(controls(said(), "error")).toMatchObject([
      { link: LEADER, control: { code: "PARTITION_UNAVAILABLE", job: 10 } },
    ]);
  });
});

describe("export", () => {
  it("streams the rows of one table of one partition", () => {
    const rows = { 0: [5, 6, 7], 1: [8] };
    send(OTHER, { opcode: "set", ...sections(rows), values: valuesFor(rows, 2) });
    said();
    const partition = { partitions: Uint32Array.of(0), generations: Uint32Array.of(5) };
    send(OTHER, { opcode: "export", requestId: 1, table: TABLE.id, cursor: 0, ...partition });
    const { frame: reply } = frames(said())[0]!;
    expect(reply).toMatchObject({ opcode: "exportReply", requestId: 1, table: TABLE.id });
    expect(
      Array.from(reply.keys)
        .filter((_, i) => i % 2 === 0)
        .toSorted((a, b) => a - b),
    ).toEqual([5, 6, 7]);
    expect(reply.values).toHaveLength(6);
  });

  it("cuts a table of long rows into replies of bounded size", () => {
    const wide: TableSpec = { ...TABLE, id: 5, name: "wide", dim: LIMITS.dimMax };
    say(COORDINATOR, { type: "open-job", job: 10, seed: 1, consistency: { mode: "bsp" }, tables: [wide] });
    const rows = LIMITS.exportFloatsMax / wide.dim + 1;
    const keys = Array.from({ length: rows }, (_, key) => key);
    send(OTHER, {
      opcode: "set",
      job: 10,
      ...sections({ 0: keys }),
      tables: Uint32Array.of(5),
      values: new Float32Array(rows * wide.dim),
    });
    said();
    const partition = { partitions: Uint32Array.of(0), generations: Uint32Array.of(5) };
    send(OTHER, { opcode: "export", job: 10, table: 5, cursor: 0, ...partition });
    const { frame: first } = frames(said())[0]!;
    expect(first.values).toHaveLength(LIMITS.exportFloatsMax);
    send(OTHER, { opcode: "export", job: 10, table: 5, cursor: first.cursor, ...partition });
    const { frame: last } = frames(said())[0]!;
    expect(last.values).toHaveLength(wide.dim);
    expect(last.cursor).toBe(END_OF_EXPORT);
  });

  it("of what is not here is answered with an error", () => {
    send(OTHER, { opcode: "export", table: TABLE.id, partitions: Uint32Array.of(2), generations: Uint32Array.of(7) });
    send(OTHER, { opcode: "export", table: TABLE.id });
    send(OTHER, { opcode: "export", table: 77, partitions: Uint32Array.of(0), generations: Uint32Array.of(5) });
    expect(controls(said(), "error").map(({ control }) => control.code)).toEqual([
      "PARTITION_UNAVAILABLE",
      "PARTITION_UNAVAILABLE",
      "BAD_UPDATE",
    ]);
  });
});

it("a job that is closed leaves nothing behind", () => {
  const rows = { 0: [5] };
  send(OTHER, { opcode: "set", ...sections(rows), values: valuesFor(rows, 2) });
  expect(node.usage()).toMatchObject({ rows: 1 });
  say(COORDINATOR, { type: "close-job", job: JOB });
  expect(node.usage()).toEqual({ rows: 0, bytes: 0 });
});

describe("a direct push", () => {
  const CLIENT = { term: 7, attempt: 3 };
  const pushDirect = (
    rows: Rows,
    at: { sequence: number; settled?: number; gradient?: number },
    fields: Partial<Frame> = {},
  ) =>
    send(OTHER, {
      opcode: "pushDirect",
      requestId: 100 + at.sequence,
      ...CLIENT,
      step: at.sequence,
      cursor: at.settled ?? 0,
      ...sections(rows),
      values: valuesFor(rows, at.gradient ?? 1),
      ...fields,
    });

  it("with one bad value applies nothing, in no partition, and names table and key", () => {
    const rows = { 0: [1], 1: [2] };
    pushDirect(rows, { sequence: 1 }, { values: Float32Array.of(1, 1, 1, Infinity) });
    const { control } = controls(said(), "error")[0]!;
    expect(control).toMatchObject({ code: "BAD_UPDATE", requestId: 101 });
    expect(control.message).toMatch(/^Infinity for key 2 of table "items", component 1/);
    expect(read(rows)).toEqual([0, 0, 0, 0]);
    pushDirect(rows, { sequence: 1 }); // it was not applied, so its number is free
    expect(read(rows)).toEqual([-1, -1, -1, -1]);
  });

  it("of a client's number that no client draws is refused", () => {
    pushDirect({ 0: [1] }, { sequence: 1 }, { attempt: 1 << 21 });
    expect(controls(said(), "error")).toMatchObject([{ control: { code: "BAD_UPDATE" } }]);
  });

  it("is applied at once and answered, without a step", () => {
    pushDirect({ 0: [1, 2] }, { sequence: 1, gradient: 2 });
    expect(frames(said())).toMatchObject([{ link: OTHER, frame: { opcode: "pushDirectReply", requestId: 101 } }]);
    expect(read({ 0: [1, 2] })).toEqual([-2, -2, -2, -2]);
  });

  it("that is sent again is answered again and counts once; another client's counts too", () => {
    for (let i = 0; i < 3; i++) pushDirect({ 0: [1], 1: [2] }, { sequence: 1 });
    expect(frames(said())).toHaveLength(3);
    pushDirect({ 0: [1] }, { sequence: 1 }, { term: 8 });
    pushDirect({ 0: [1] }, { sequence: 2, settled: 1 });
    expect(read({ 0: [1], 1: [2] })).toEqual([-3, -3, -1, -1]);
    expect(node.counters).toMatchObject({ directPushes: 3, repeatedPushes: 2 });
  });

  it("with a stale segment is refused there alone, and can be sent again", () => {
    const rows = { 0: [1], 1: [2] };
    pushDirect(rows, { sequence: 1 }, sections(rows, { 1: 99 }));
    expect(Array.from(frames(said())[0]!.frame.partitions)).toEqual([1]);
    pushDirect(rows, { sequence: 1 });
    expect(read(rows)).toEqual([-1, -1, -1, -1]);
  });
});

it("a set with one bad value sets nothing, in no partition", () => {
  const rows = { 0: [1], 1: [2] };
  send(OTHER, { opcode: "set", requestId: 5, ...sections(rows), values: Float32Array.of(1, 1, NaN, 1) });
  expect(controls(said(), "error")).toHaveLength(1);
  expect(read(rows)).toEqual([0, 0, 0, 0]);
});

describe("a table with a server update", () => {
  const double = serverUpdate({
    name: "double",
    update: ({ weights }) => weights.forEach((w, i) => (weights[i] = 2 * w)),
  });
  const table: TableSpec = {
    ...TABLE,
    initializer: { kind: "constant", value: 3 },
    optimizer: { kind: "custom", update: "double", sha256: "a".repeat(64), options: {} },
  };
  const openJob: ControlOf<"open-job"> = {
    type: "open-job",
    job: 10,
    seed: 1,
    consistency: { mode: "bsp" },
    tables: [table],
  };

  it("is refused where its plugin is not loaded", () => {
    expect(() => say(COORDINATOR, openJob)).toThrow(
      /server update "double" .* give it that file, as `volary ps --plugin FILE`/,
    );
    pull(OTHER, { step: 0, rows: { 0: [1] } });
    expect(frames(said())).toHaveLength(1); // other jobs go on
  });

  it("applies it where it is", () => {
    const plugins = new Plugins([pluginOf({ file: "x.ts", sha256: "a".repeat(64), module: { double } })]);
    node = new PsNode({ node: 1, memory: MEMORY, plugins });
    say(COORDINATOR, { type: "map", map: MAP });
    say(COORDINATOR, { ...openJob, job: JOB });
    send(OTHER, { opcode: "pushDirect", term: 1, step: 1, ...sections({ 0: [5] }), values: valuesFor({ 0: [5] }, 1) });
    expect(read({ 0: [5, 6] })).toEqual([6, 6, 3, 3]);
  });

  it("that fails in the middle of a commit ends its job, whose rows nobody reads any more; other jobs go on", () => {
    const fails = serverUpdate({
      name: "fails",
      update({ weights, gradient }) {
        if (gradient[0]! > 10) throw new Error("too much");
        weights[0]! += 1;
      },
    });
    const optimizer = { kind: "custom", update: "fails", sha256: "b".repeat(64), options: {} } as const;
    const plugins = new Plugins([pluginOf({ file: "x.ts", sha256: "b".repeat(64), module: { fails } })]);
    node = new PsNode({ node: 1, memory: MEMORY, plugins });
    say(COORDINATOR, { type: "map", map: MAP });
    say(COORDINATOR, { ...openJob, job: JOB, tables: [{ ...table, optimizer }] });
    say(COORDINATOR, { ...openJob, job: 11, tables: [TABLE] });
    say(LEADER, { type: "fence", job: JOB, term: 1 });
    say(LEADER, { type: "start", job: JOB, step: 1, attempt: 1, slots: 1, term: 1, members: [1] });
    const rows = { 0: [5], 1: [6] };
    push(LEADER, { step: 1, slot: 0, rows, gradient: 11 });
    pull(OTHER, { step: 2, rows });
    said();
    say(LEADER, { type: "commit", job: JOB, step: 1, attempt: 1, term: 1 });
    const lost = { code: "BAD_UPDATE", message: expect.stringMatching(/^the rows of job 9 are lost: .*too much/) };
    const errors = controls(said(), "error");
    expect(new Set(errors.map(({ link }) => link))).toEqual(new Set([LEADER, OTHER]));
    for (const { control } of errors) expect(control).toMatchObject(lost);
    pull(OTHER, { step: 0, rows });
    const of = { partitions: Uint32Array.of(0), generations: Uint32Array.of(5) };
    send(OTHER, { opcode: "export", requestId: 7, table: TABLE.id, ...of });
    say(LEADER, { type: "fence", job: JOB, term: 2 });
    expect(controls(said(), "error").map(({ control }) => control.code)).toEqual(Array(3).fill("BAD_UPDATE"));
    send(OTHER, { opcode: "pull", job: 11, requestId: 8, step: 0, ...sections(rows) });
    expect(frames(said())).toMatchObject([{ frame: { opcode: "pullReply", requestId: 8 } }]);
    say(COORDINATOR, { type: "close-job", job: JOB });
    node.dispose();
  });
});
