/** What a PS node answers outside of steps: in which parts, for which partitions, and that a push counts once. */
import { beforeEach, describe, expect, it } from "vitest";
import { PulledRows } from "@volary/core/client";
import { LIMITS } from "@volary/core/limits";
import { TableMemory, type TableSpec } from "@volary/core/table";
import { END_OF_EXPORT, frame, type Frame } from "@volary/core/wire";
import type { PsBounds, PsEffect } from "./effects.ts";
import {
  COORDINATOR,
  JOB,
  MAP,
  LEADER,
  MEMORY,
  OTHER,
  TABLE,
  controls,
  frames,
  openJob,
  sections,
  testNode,
  valuesFor,
  type Rows,
  type TestNode,
} from "./testing/test-node.ts";

let t: TestNode;

beforeEach(() => {
  t?.node.dispose();
  t = testNode();
});

describe("a reply in parts", () => {
  /** A node whose parts hold `replyPartBytes`, with rows 1 … 4 in its partitions. */
  function openWith(bounds: PsBounds, memory = MEMORY): void {
    t.node.dispose();
    t = testNode({ memory, bounds });
    const rows = { 0: [1, 2], 1: [3, 4] };
    const values = Float32Array.from([1, 1, 2, 2, 3, 3, 4, 4]);
    t.send(OTHER, { opcode: "set", ...sections(rows), values });
    t.said();
  }
  const rows = { 0: [1, 2], 1: [3, 4] };

  it("says of each where it begins, and of the last that it is", () => {
    openWith({ replyPartBytes: 1 });
    t.pull(OTHER, { step: 0, rows });
    const parts = frames(t.said()).map(({ frame: f }) => [f.cursor, f.partial, ...f.values]);
    expect(parts).toEqual([
      [0, true, 1, 1, 2, 2],
      [4, false, 3, 3, 4, 4],
    ]);
  });

  it("has one part where all fits into it", () => {
    openWith({}, new TableMemory({ arenaBytes: 2 ** 26, bytesMax: 2 ** 25 }));
    t.pull(OTHER, { step: 0, rows });
    expect(frames(t.said()).map(({ frame: f }) => [f.cursor, f.partial, ...f.values])).toEqual([
      [0, false, 1, 1, 2, 2, 3, 3, 4, 4],
    ]);
  });

  it("ends a part where the next partition lives in another memory", () => {
    openWith({}, new TableMemory({ arenaBytes: 2 ** 25, bytesMax: 2 ** 26 }));
    t.pull(OTHER, { step: 0, rows });
    expect(frames(t.said()).map(({ frame: f }) => [f.cursor, f.partial])).toEqual([
      [0, true],
      [4, false],
    ]);
    expect(t.read(rows)).toEqual([1, 1, 2, 2, 3, 3, 4, 4]);
  });

  it("is read before more is written to its buffers: those that are on their way are not taken again", () => {
    openWith({ replyPartBytes: 1 });
    const onWay: Extract<PsEffect, { kind: "frame" }>[] = [];
    const keep = { push: (effect: PsEffect) => effect.kind === "frame" && onWay.push(effect) };
    for (let i = 0; i < 20; i++) {
      t.node.handleFrame(OTHER, frame({ opcode: "pull", job: JOB, ...sections({ 0: [1, 2] }) }), keep);
      t.send(OTHER, { opcode: "set", ...sections({ 0: [1] }), values: Float32Array.of(i, i) });
    }
    expect(onWay.map((effect) => effect.frame.values[0])).toEqual([1, ...Array.from({ length: 19 }, (_, i) => i)]);
    const used = MEMORY.bytesUsed;
    for (const effect of onWay) effect.onSent!();
    expect(MEMORY.bytesUsed).toBeLessThan(used); // only some are kept
  });

  it.each(["bfloat16", "int8"] as const)("comes as %s to who asks so", (dtype) => {
    openWith({ replyPartBytes: 1 });
    t.send(OTHER, { opcode: "pull", dtype, ...sections(rows) });
    const parts = frames(t.said()).map(({ frame: f }) => f);
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

describe("stale segments", () => {
  it("of a pull are refused with their new entries, the rest is served", () => {
    t.begin({ slots: 1 });
    t.push(LEADER, { step: 1, slot: 0, rows: { 0: [1], 1: [2] } });
    t.commit(LEADER, { step: 1, attempt: 1, term: 1 });
    t.said();
    t.pull(OTHER, { step: 0, rows: { 0: [1], 1: [2], 2: [3] }, generations: { 0: 4 } });
    const [part, last] = frames(t.said());
    expect(part!.frame).toMatchObject({ partial: true, cursor: 2, values: Float32Array.of(-1, -1) });
    const { partial, partitions, generations, counts, values } = last!.frame;
    expect([partial, values.length]).toEqual([false, 0]);
    expect(Array.from(partitions)).toEqual([0, 2]);
    expect(Array.from(generations)).toEqual([5, 7]);
    expect(Array.from(counts)).toEqual([1, 2]); // the nodes that own them
    expect(t.node.counters.staleSegments).toBe(2);
  });

  it("of a set are refused, the rest is set", () => {
    const rows = { 0: [1], 1: [2] };
    t.send(OTHER, { opcode: "set", requestId: 5, ...sections(rows, { 1: 99 }), values: valuesFor(rows, 3) });
    const { frame: reply } = frames(t.said())[0]!;
    expect([reply.opcode, reply.requestId, ...reply.partitions]).toEqual(["setReply", 5, 1]);
    expect(t.read(rows)).toEqual([3, 3, 0, 0]);
  });
});

describe("export", () => {
  it("streams the rows of one table of one partition", () => {
    const rows = { 0: [5, 6, 7], 1: [8] };
    t.send(OTHER, { opcode: "set", ...sections(rows), values: valuesFor(rows, 2) });
    t.said();
    const partition = { partitions: Uint32Array.of(0), generations: Uint32Array.of(5) };
    t.send(OTHER, { opcode: "export", requestId: 1, table: TABLE.id, cursor: 0, ...partition });
    const { frame: reply } = frames(t.said())[0]!;
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
    t.say(COORDINATOR, openJob(10, wide));
    const rows = LIMITS.exportFloatsMax / wide.dim + 1;
    const keys = Array.from({ length: rows }, (_, key) => key);
    t.send(OTHER, {
      opcode: "set",
      job: 10,
      ...sections({ 0: keys }),
      tables: Uint32Array.of(5),
      values: new Float32Array(rows * wide.dim),
    });
    t.said();
    const partition = { partitions: Uint32Array.of(0), generations: Uint32Array.of(5) };
    t.send(OTHER, { opcode: "export", job: 10, table: 5, cursor: 0, ...partition });
    const { frame: first } = frames(t.said())[0]!;
    expect(first.values).toHaveLength(LIMITS.exportFloatsMax);
    t.send(OTHER, { opcode: "export", job: 10, table: 5, cursor: first.cursor, ...partition });
    const { frame: last } = frames(t.said())[0]!;
    expect(last.values).toHaveLength(wide.dim);
    expect(last.cursor).toBe(END_OF_EXPORT);
  });

  it("of what is not here is answered with an error", () => {
    t.send(OTHER, { opcode: "export", table: TABLE.id, partitions: Uint32Array.of(2), generations: Uint32Array.of(7) });
    t.send(OTHER, { opcode: "export", table: TABLE.id });
    t.send(OTHER, { opcode: "export", table: 77, partitions: Uint32Array.of(0), generations: Uint32Array.of(5) });
    expect(controls(t.said(), "error").map(({ control }) => control.code)).toEqual([
      "STALE_GENERATION",
      "STALE_GENERATION",
      "BAD_UPDATE",
    ]);
  });
});

describe("a direct push", () => {
  const CLIENT = { term: 7, attempt: 3 };
  const pushDirect = (
    rows: Rows,
    at: { sequence: number; settled?: number; gradient?: number },
    fields: Partial<Frame> = {},
  ) =>
    t.send(OTHER, {
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
    const { control } = controls(t.said(), "error")[0]!;
    expect(control).toMatchObject({ code: "BAD_UPDATE", requestId: 101 });
    expect(control.message).toMatch(/^Infinity for key 2 of table "items", component 1/);
    expect(t.read(rows)).toEqual([0, 0, 0, 0]);
    pushDirect(rows, { sequence: 1 }); // it was not applied, so its number is free
    expect(t.read(rows)).toEqual([-1, -1, -1, -1]);
  });

  it("of a client's number that no client draws is refused", () => {
    pushDirect({ 0: [1] }, { sequence: 1 }, { attempt: 1 << 21 });
    expect(controls(t.said(), "error")).toMatchObject([{ control: { code: "BAD_UPDATE" } }]);
  });

  it("is applied at once and answered, without a step", () => {
    pushDirect({ 0: [1, 2] }, { sequence: 1, gradient: 2 });
    expect(frames(t.said())).toMatchObject([{ link: OTHER, frame: { opcode: "pushDirectReply", requestId: 101 } }]);
    expect(t.read({ 0: [1, 2] })).toEqual([-2, -2, -2, -2]);
  });

  it("that is sent again is answered again and counts once; another client's counts too", () => {
    for (let i = 0; i < 3; i++) pushDirect({ 0: [1], 1: [2] }, { sequence: 1 });
    expect(frames(t.said())).toHaveLength(3);
    pushDirect({ 0: [1] }, { sequence: 1 }, { term: 8 });
    pushDirect({ 0: [1] }, { sequence: 2, settled: 1 });
    expect(t.read({ 0: [1], 1: [2] })).toEqual([-3, -3, -1, -1]);
    expect(t.node.counters).toMatchObject({ directPushes: 3, repeatedPushes: 2 });
  });

  it("with a stale segment is refused there alone, and can be sent again", () => {
    const rows = { 0: [1], 1: [2] };
    pushDirect(rows, { sequence: 1 }, sections(rows, { 1: 99 }));
    expect(Array.from(frames(t.said())[0]!.frame.partitions)).toEqual([1]);
    pushDirect(rows, { sequence: 1 });
    expect(t.read(rows)).toEqual([-1, -1, -1, -1]);
  });
});

describe("a push of a batch of training", () => {
  const pushBatch = (number: number, rows: Rows, fields: Partial<Frame> = {}) =>
    t.send(OTHER, {
      opcode: "pushDirect",
      requestId: 100 + number,
      step: number + 1,
      slots: 2,
      ...sections(rows),
      values: valuesFor(rows, 1),
      ...fields,
    });

  it("counts once, whichever worker sends it, and reads name its step", () => {
    t.node.dispose();
    t = testNode({ consistency: { mode: "asp" } });
    for (const number of [0, 2, 2, 1]) pushBatch(number, { 0: [1] });
    pushBatch(5, { 1: [2] });
    expect(frames(t.said()).map(({ frame: f }) => f.opcode)).toEqual(
      Array.from({ length: 5 }, () => "pushDirectReply"),
    );
    expect(t.node.counters).toMatchObject({ directPushes: 4, repeatedPushes: 1 });
    t.pull(OTHER, { step: 0, rows: { 0: [1] } });
    t.pull(OTHER, { step: 0, rows: { 1: [2] } });
    t.pull(OTHER, { step: 0, rows: { 0: [1], 1: [2] } }); // the older of the two
    const replies = frames(t.said()).map(({ frame: f }) => [f.step, f.attempt, ...f.values]);
    expect(replies).toEqual([
      [2, 0, -3, -3],
      [3, 0, -1, -1],
      [2, 0, -3, -3, -1, -1],
    ]);
  });

  it("waits while its partition is about to have another head, as any does", () => {
    t.node.dispose();
    t = testNode({ consistency: { mode: "asp" } });
    const [first, ...others] = MAP.entries;
    t.say(COORDINATOR, { type: "map", map: { ...MAP, version: 4, entries: [{ ...first!, held: true }, ...others] } });
    pushBatch(0, { 0: [1] }, { slots: 1 });
    expect(t.said()).toEqual([]);
    t.say(COORDINATOR, { type: "map", map: { ...MAP, version: 5 } });
    expect(frames(t.said())).toMatchObject([{ frame: { opcode: "pushDirectReply" } }]);
  });

  it("is refused of a client, without batches a step, and in a job whose steps are committed", () => {
    pushBatch(0, { 0: [1] });
    t.node.dispose();
    const messages = controls(t.said(), "error").map(({ control }) => control.message);
    t = testNode({ consistency: { mode: "asp" } });
    pushBatch(0, { 0: [1] }, { term: 7 });
    pushBatch(0, { 0: [1] }, { slots: 0 });
    messages.push(...controls(t.said(), "error").map(({ control }) => control.message));
    expect(messages).toEqual([
      "the gradients of job 9 are applied step by step: push them to a step",
      "client 7 pushes with 2 batches a step: those of training are client 0 with 1 or more, all others have none; draw a number from 1",
      "client 0 pushes with 0 batches a step: those of training are client 0 with 1 or more, all others have none; draw a number from 1",
    ]);
    expect(t.node.usage().rows).toBe(0);
  });
});

it("a set with one bad value sets nothing, in no partition", () => {
  const rows = { 0: [1], 1: [2] };
  t.send(OTHER, { opcode: "set", requestId: 5, ...sections(rows), values: Float32Array.of(1, 1, NaN, 1) });
  expect(controls(t.said(), "error")).toHaveLength(1);
  expect(t.read(rows)).toEqual([0, 0, 0, 0]);
});
