/** Frames of a chain that no PS node sends: each is refused, and the replicas are as they were. */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ProtocolError } from "@volary/core/errors";
import { frame, type Frame } from "@volary/core/wire";
import { JOB, TestChains } from "../testing/test-chains.ts";

let t: TestChains;
let before: string;

beforeEach(() => {
  t = new TestChains({ chains: [[1, 2]], others: [3], bounds: { copyPartBytes: 300 } });
  t.push(1, { 0: { 5: 1, 6: 2 } }, { sequence: 1 });
  t.pump();
  t.answers();
  before = t.digest(2, 0);
});

afterEach(() => t.dispose());

type Fields = Partial<Frame> & { opcode: Frame["opcode"] };

/** To node 2, as if it came from the head. */
function record(fields: Fields): void {
  t.at(2).handleUpstream(999, frame({ job: JOB, ...NEXT, ...fields }), { push: (effect) => said.push(effect) });
}

const said: unknown[] = [];
/** The next record of partition 0. */
const NEXT = { partitions: Uint32Array.of(0), generations: Uint32Array.of(1), sequences: Uint32Array.of(2) };
const ROW = {
  tables: Uint32Array.of(1),
  counts: Uint32Array.of(1),
  keys: Uint32Array.of(9, 0),
  values: Float32Array.of(1),
};

function isAsBefore(): void {
  expect(t.digest(2, 0)).toBe(before);
  t.push(1, { 0: { 5: 1 } }, { sequence: 2 });
  t.pump();
  expect(t.answers()).toEqual([expect.stringMatching(/pushDirectReply/)]);
  expect(t.digests(0).size).toBe(1);
}

const unfit: [string, Fields, string][] = [
  ["fewer keys than counts", { opcode: "setRecord", ...ROW, counts: Uint32Array.of(2) }, "has 1 keys and 1 values"],
  ["fewer values than keys", { opcode: "stageRecord", ...ROW, values: new Float32Array(0) }, "has 1 keys and 0 values"],
  ["more values than keys", { opcode: "setRecord", ...ROW, values: new Float32Array(7) }, "has 1 keys and 7 values"],
  ["no counts", { opcode: "setRecord", ...ROW, counts: new Uint32Array(0) }, "1 keys"],
  ["an unknown table", { opcode: "setRecord", ...ROW, tables: Uint32Array.of(77) }, "names table 77"],
  ["another number of tables", { opcode: "pushRecord", ...ROW, table: 3 }, "has 1 tables, 3 were expected"],
  ["tables in a commit", { opcode: "commitRecord", ...ROW, step: 1, attempt: 1 }, "has 1 tables, 0 were expected"],
  ["an acknowledgement from the wrong side", { opcode: "chainAck" }, 'takes no "chainAck" frame from another one'],
  ["a request with a place in the log", { opcode: "set", ...ROW }, 'takes no "set" frame from another one'],
  ["a request", { opcode: "pull", ...ROW, sequences: new Uint32Array(0) }, 'takes no "pull" frame from another one'],
  ["nothing", { opcode: "pull", partitions: new Uint32Array(0), sequences: new Uint32Array(0) }, 'takes no "pull"'],
];

describe("a record", () => {
  it.each(unfit)("with %s breaks the protocol", (_, fields, message) => {
    expect(() => record(fields)).toThrow(ProtocolError);
    expect(() => record(fields)).toThrow(message);
    isAsBefore();
  });

  const impossible: [string, Fields, string][] = [
    ["a commit of what is not staged", { opcode: "commitRecord", step: 1, attempt: 1 }, "a commit of step 1/1"],
    ["a value that is none", { opcode: "setRecord", ...ROW, values: Float32Array.of(NaN) }, "NaN for key 9"],
    [
      "keys that do not ascend",
      {
        opcode: "stageRecord",
        ...ROW,
        step: 1,
        attempt: 1,
        slots: 1,
        counts: Uint32Array.of(2),
        keys: Uint32Array.of(9, 0, 8, 0),
        values: Float32Array.of(1, 1),
      },
      "keys must ascend",
    ],
    ["a client's number that no client has", { opcode: "pushRecord", ...ROW, table: 1, attempt: 1 << 21 }, "2^53"],
  ];
  it.each(impossible)("with %s costs this replica its place, and no more", (_, fields, message) => {
    said.length = 0;
    record(fields);
    expect(said).toMatchObject([{ link: 0, control: { type: "chain-broken", partition: 0, generation: 1, node: 2 } }]);
    expect(JSON.stringify(said)).toContain(message);
    expect(t.digest(2, 0)).toBe("");
    t.change({ 0: { chain: [1] } });
    t.push(1, { 0: { 5: 1 } }, { sequence: 2 });
    expect(t.answers()).toEqual([expect.stringMatching(/pushDirectReply/)]);
  });

  it("of a partition or a job that is not here changes nothing", () => {
    record({ opcode: "setRecord", ...ROW, job: 77 });
    record({ opcode: "setRecord", ...ROW, partitions: Uint32Array.of(9) });
    expect(t.at(2).counters.refusedRecords).toBe(1);
    isAsBefore();
  });
});

describe("an acknowledgement", () => {
  const answer = (node: number, fields: Fields) =>
    t.at(1).handleDownstream(node, frame({ job: JOB, ...NEXT, ...fields }), { push: () => {} });

  it("of what was never sent, or from a node that is not behind, releases nothing", () => {
    t.push(1, { 0: { 5: 1 } }, { sequence: 2 });
    answer(2, { opcode: "chainAck", sequences: Uint32Array.of(99) });
    answer(3, { opcode: "chainAck" });
    answer(2, { opcode: "chainAck", partitions: Uint32Array.of(44) });
    answer(2, { opcode: "copyPartReply", cursor: 0 });
    expect(t.answers()).toEqual([]);
    t.pump();
    expect(t.answers()).toHaveLength(1);
  });

  it("that is none breaks the protocol", () => {
    expect(() => answer(2, { opcode: "setRecord", ...ROW })).toThrow('takes no "setRecord" frame from one behind it');
  });
});

describe("a part of a copy", () => {
  const part = (node: number, fields: Partial<Frame>) =>
    t
      .at(node)
      .handleUpstream(999, frame({ opcode: "copyPart", job: JOB, ...NEXT, dtype: "int8", partial: true, ...fields }), {
        push: () => {},
      });

  it("of no partition, or of one that no map has, breaks the protocol", () => {
    const none = new Uint32Array(0);
    expect(() => part(3, { partitions: none, generations: none, sequences: none })).toThrow(ProtocolError);
    expect(() => part(3, { partitions: Uint32Array.of(4096) })).toThrow("of partition 4096, which the map has not");
  });

  it("does not touch a replica that is one of the chain", () => {
    part(2, { coded: new Uint8Array(40), generations: Uint32Array.of(7) });
    isAsBefore();
  });

  it("that is cut short, or no part at all, breaks the protocol, and a whole copy can follow", () => {
    t.push(1, { 0: Object.fromEntries(Array.from({ length: 60 }, (_, key) => [key, 1])) }, { sequence: 2 });
    t.pump();
    t.change({ 0: { next: [1, 2, 3] } });
    t.tick(20);
    t.tick(20);
    expect(t.lane(2, 3).down.length).toBeGreaterThan(0);
    t.lane(2, 3).down.length = 0;
    const generations = Uint32Array.of(t.map.entries[0]!.generation);
    const unfitParts = [new Uint8Array(0), new Uint8Array(3), new Uint8Array(400).fill(255)];
    for (const [i, coded] of unfitParts.entries()) {
      expect(() => part(3, { coded, generations, attempt: i + 1 })).toThrow(ProtocolError);
    }
    t.run(30_000);
    expect(t.told.at(-1)).toMatchObject({ node: 2, control: { type: "chain-ready", next: [1, 2, 3] } });
    t.change({ 0: { chain: [1, 2, 3] } });
    t.pump();
    expect(t.digests(0).size).toBe(1);
  });
});
