/** A PS node by its messages: what it refuses, and that what is wrong with one concerns no other. */
import { beforeEach, describe, expect, it } from "vitest";
import { decodeRows, encodeRows } from "@volary/core/compression";
import { ProtocolError } from "@volary/core/errors";
import { KernelMemory } from "@volary/core/kernels";
import { serverUpdate } from "@volary/core/optimizer";
import { pluginOf, Plugins } from "@volary/core/plugin";
import type { TableSpec } from "@volary/core/table";
import { OPCODES, type Frame } from "@volary/core/wire";
import {
  COORDINATOR,
  HEADS,
  JOB,
  LEADER,
  MAP,
  OTHER,
  TABLE,
  controls,
  frames,
  openJob,
  sections,
  testNode,
  valuesFor,
  type TestNode,
} from "./testing/test-node.ts";

let t: TestNode;

beforeEach(() => {
  t?.node.dispose();
  t = testNode();
});

describe("keys by name", () => {
  const name = Uint8Array.from({ length: 16 }, (_, i) => i);
  const rows = { 0: [1, 2], 1: [3] };

  it("are those that were sent with it before", () => {
    t.send(OTHER, { opcode: "pull", keyList: name, ...sections(rows) });
    t.said();
    t.send(OTHER, { opcode: "set", keyList: name, values: valuesFor(rows, 2) });
    expect(frames(t.said()).map(({ frame: f }) => f.opcode)).toEqual(["setReply"]);
    expect(t.read(rows)).toEqual([2, 2, 2, 2, 2, 2]);
  });

  it("that are not known are asked for, and nothing is applied", () => {
    t.send(OTHER, { opcode: "set", requestId: 7, keyList: name, values: valuesFor(rows, 2) });
    expect(frames(t.said())).toMatchObject([
      { link: OTHER, frame: { opcode: "unknownKeys", requestId: 7, cursor: OPCODES.set, keyList: name } },
    ]);
    expect(t.node.usage().rows).toBe(0);
  });

  it("belong to their link, and go with it", () => {
    t.send(OTHER, { opcode: "pull", keyList: name, ...sections(rows) });
    t.said();
    t.send(LEADER, { opcode: "pull", keyList: name });
    expect(frames(t.said())).toMatchObject([{ link: LEADER, frame: { opcode: "unknownKeys" } }]);
    t.node.handleClose(OTHER);
    t.send(OTHER, { opcode: "pull", keyList: name });
    expect(frames(t.said())).toMatchObject([{ link: OTHER, frame: { opcode: "unknownKeys" } }]);
  });

  it("may be named by a push that waits for its start", () => {
    t.send(OTHER, { opcode: "pull", keyList: name, ...sections(rows) });
    const at = { requestId: 1, generation: HEADS, step: 1, attempt: 1, term: 1, slot: 0 };
    t.send(OTHER, { opcode: "push", ...at, keyList: name, values: valuesFor(rows, 1) });
    t.begin({ slots: 1 });
    expect(controls(t.said(), "staged")).toHaveLength(1);
    t.commit(LEADER, { step: 1, attempt: 1, term: 1 });
    expect(t.read(rows)).toEqual([-1, -1, -1, -1, -1, -1]);
  });
});

describe("gradients in fewer bytes", () => {
  const rows = { 0: [1, 2], 1: [3] };
  const gradients = Float32Array.of(1, -2, 0.5, 0.5, 4, 8);
  const kernels = new KernelMemory();

  it.each(["bfloat16", "int8"] as const)("count as %s says", (dtype) => {
    t.begin({ slots: 1 });
    const widths = { counts: Uint32Array.of(2, 1), dims: Uint32Array.of(TABLE.dim) };
    const coded = encodeRows(kernels, gradients, { dtype, ...widths });
    const at = { requestId: 1, generation: HEADS, step: 1, attempt: 1, term: 1, slot: 0 };
    t.send(OTHER, { opcode: "push", ...at, ...sections(rows), dtype, coded });
    t.commit(LEADER, { step: 1, attempt: 1, term: 1 });
    const decoded = decodeRows(kernels, coded, { dtype, first: 0, ...widths });
    expect(t.read(rows)).toEqual(Array.from(decoded, (gradient) => 0 - gradient));
    for (const [i, gradient] of gradients.entries()) expect(decoded[i]).toBeCloseTo(gradient, 5);
  });

  it("that are not finite are refused, naming the key", () => {
    const coded = encodeRows(kernels, Float32Array.of(1, 1, 1, NaN, 1, 1), {
      dtype: "bfloat16",
      counts: Uint32Array.of(2, 1),
      dims: Uint32Array.of(TABLE.dim),
    });
    t.send(OTHER, { opcode: "pushDirect", term: 1, step: 1, ...sections(rows), dtype: "bfloat16", coded });
    expect(controls(t.said(), "error")[0]!.control.message).toMatch(/^NaN for key 2 of table "items", component 1/);
    expect(t.node.usage().rows).toBe(0);
  });

  it("whose bytes do not fit their keys break the protocol", () => {
    const coded = new Uint8Array(11);
    expect(() => t.send(OTHER, { opcode: "set", ...sections(rows), dtype: "int8", coded })).toThrow(
      "carries 11 bytes of int8 values where its keys need 36",
    );
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
    t.begin({ slots: 1 });
    t.said();
    const rows = { 0: [1] };
    t.send(OTHER, {
      opcode: "push",
      requestId: 1,
      generation: HEADS,
      step: 1,
      attempt: 1,
      term: 1,
      ...sections(rows),
      values: valuesFor(rows, 1),
      ...change,
    });
    const [error] = controls(t.said(), "error");
    expect(error).toMatchObject({ link: OTHER, control: { code: "BAD_UPDATE", job: JOB, requestId: 1 } });
    expect(error!.control.message).toContain(message);
    t.push(LEADER, { step: 1, slot: 0, rows });
    t.commit(LEADER, { step: 1, attempt: 1, term: 1 });
    expect(t.read(rows)).toEqual([-1, -1]);
  });

  it("with keys that do not ascend are answered", () => {
    t.begin({ slots: 1 });
    t.said();
    t.push(OTHER, { step: 1, slot: 0, rows: { 0: [2, 1] } });
    expect(controls(t.said(), "error")[0]!.control.message).toContain("keys must ascend: keys[1]=1 after 2");
  });

  it("that are bad in one partition cannot be committed in the others", () => {
    t.begin({ slots: 1 });
    t.push(OTHER, { step: 1, slot: 0, rows: { 0: [1], 1: [4, 3] }, gradient: 7 });
    expect(controls(t.said(), "staged")).toEqual([]);
    t.commit(LEADER, { step: 1, attempt: 1, term: 1 });
    expect(controls(t.said(), "committed")).toEqual([]);
    expect(t.read({ 0: [1] })).toEqual([0, 0]);
    t.push(OTHER, { step: 1, slot: 0, rows: { 0: [1], 1: [3, 4] } }); // the sender mends it
    t.commit(LEADER, { step: 1, attempt: 1, term: 1 });
    expect(t.read({ 0: [1], 1: [3] })).toEqual([-1, -1, -1, -1]);
  });

  it("with values that do not fit their keys break the protocol", () => {
    t.begin({ slots: 1 });
    expect(() =>
      t.send(OTHER, {
        opcode: "push",
        generation: HEADS,
        step: 1,
        attempt: 1,
        ...sections({ 0: [1] }),
        values: new Float32Array(3),
      }),
    ).toThrow(ProtocolError);
    expect(() => t.send(OTHER, { opcode: "reduce" })).toThrow('a PS node takes no "reduce" frame');
    expect(() => t.say(OTHER, { type: "submitted", job: JOB, map: MAP })).toThrow(
      'a PS node takes no "submitted" message',
    );
  });

  it("of a job that is not open are answered so", () => {
    t.send(OTHER, { opcode: "pull", job: 55, requestId: 3 });
    t.say(OTHER, { type: "fence", job: 55, term: 1, heads: HEADS });
    expect(controls(t.said(), "error").map(({ control }) => control.code)).toEqual(["UNKNOWN_JOB", "UNKNOWN_JOB"]);
  });

  it("for a job of which this node owns nothing are answered", () => {
    const entries = MAP.entries.map(({ generation }) => ({ generation, headSince: generation, chain: [2] }));
    t.say(COORDINATOR, { type: "map", map: { ...MAP, version: 4, heads: 4, entries } });
    t.say(COORDINATOR, openJob(10, TABLE));
    t.said();
    t.say(LEADER, { type: "fence", job: 10, term: 1, heads: 4 });
    expect(controls(t.said(), "error")).toMatchObject([
      { link: LEADER, control: { code: "PARTITION_UNAVAILABLE", job: 10 } },
    ]);
  });
});

it("a job that is closed leaves nothing behind", () => {
  const rows = { 0: [5] };
  t.send(OTHER, { opcode: "set", ...sections(rows), values: valuesFor(rows, 2) });
  expect(t.node.usage()).toMatchObject({ rows: 1 });
  t.say(COORDINATOR, { type: "close-job", job: JOB });
  expect(t.node.usage()).toEqual({ rows: 0, bytes: 0 });
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

  it("is refused where its plugin is not loaded", () => {
    expect(() => t.say(COORDINATOR, openJob(10, table))).toThrow(
      /server update "double" .* give it that file, as `volary ps --plugin FILE`/,
    );
    t.pull(OTHER, { step: 0, rows: { 0: [1] } });
    expect(frames(t.said())).toHaveLength(1); // other jobs go on
  });

  it("applies it where it is", () => {
    const plugins = new Plugins([pluginOf({ file: "x.ts", sha256: "a".repeat(64), module: { double } })]);
    t = testNode({ plugins, tables: [table] });
    t.send(OTHER, {
      opcode: "pushDirect",
      term: 1,
      step: 1,
      ...sections({ 0: [5] }),
      values: valuesFor({ 0: [5] }, 1),
    });
    expect(t.read({ 0: [5, 6] })).toEqual([6, 6, 3, 3]);
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
    t = testNode({ plugins, tables: [{ ...table, optimizer }] });
    t.say(COORDINATOR, openJob(11, TABLE));
    t.fence(LEADER, { term: 1 });
    t.start(LEADER, { step: 1, attempt: 1, slots: 1, term: 1, members: [1] });
    const rows = { 0: [5], 1: [6] };
    t.push(LEADER, { step: 1, slot: 0, rows, gradient: 11 });
    t.pull(OTHER, { step: 2, rows });
    t.said();
    t.commit(LEADER, { step: 1, attempt: 1, term: 1 });
    const lost = { code: "BAD_UPDATE", message: expect.stringMatching(/^the rows of job 9 are lost: .*too much/) };
    const errors = controls(t.said(), "error");
    expect(new Set(errors.map(({ link }) => link))).toEqual(new Set([LEADER, OTHER]));
    for (const { control } of errors) expect(control).toMatchObject(lost);
    t.pull(OTHER, { step: 0, rows });
    const of = { partitions: Uint32Array.of(0), generations: Uint32Array.of(5) };
    t.send(OTHER, { opcode: "export", requestId: 7, table: TABLE.id, ...of });
    t.fence(LEADER, { term: 2 });
    expect(controls(t.said(), "error").map(({ control }) => control.code)).toEqual(Array(3).fill("BAD_UPDATE"));
    t.send(OTHER, { opcode: "pull", job: 11, requestId: 8, step: 0, ...sections(rows) });
    expect(frames(t.said())).toMatchObject([{ frame: { opcode: "pullReply", requestId: 8 } }]);
  });
});
