/** The frame's bytes, and what may be in them. */
import { describe, expect, it } from "vitest";
import { ProtocolError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { decodeFrame, DTYPES, encodeFrame, encodeHead, frame, HEADER_BYTES, type Frame } from "./frame.ts";
import { OPCODES } from "./opcodes.ts";

const PUSH = frame({
  opcode: "push",
  requestId: 1,
  job: 2,
  table: 3,
  generation: 4,
  step: 5,
  attempt: 6,
  term: 7,
  slot: 8,
  slots: 9,
  cursor: 10,
  tables: Uint32Array.of(11),
  partitions: Uint32Array.of(12, 13),
  generations: Uint32Array.of(14, 15),
  counts: Uint32Array.of(1, 2),
  keys: Uint32Array.of(20, 0, 21, 0, 22, 1),
  values: Float32Array.of(0.5, -1, 2),
});

/** What a head sends the next replica of two partitions. */
const RECORD = frame({ ...PUSH, opcode: "stageRecord", sequences: Uint32Array.of(16, 17) });

describe("encodeHead()", () => {
  it("gives the two halves of a frame, of which the values are where they were", () => {
    const values = Float32Array.of(1, 2, 3, 4);
    const f = { ...PUSH, values };
    const { head, body } = encodeHead(f)!;
    expect([body.buffer, body.byteLength]).toEqual([values.buffer, 16]);
    expect([...head, ...body]).toEqual(Array.from(encodeFrame(f)));
  });

  it("does not halve a frame whose values need padding", () => {
    expect(encodeHead(frame({ opcode: "reduce", values: Float32Array.of(1, 2, 3) }))).toBeUndefined();
  });

  it("refuses what encodeFrame() refuses", () => {
    const bad = frame({ opcode: "reduce", slot: 65_536, values: Float32Array.of(1, 2) });
    expect(() => encodeHead(bad)).toThrow(RangeError);
    expect(() => encodeFrame(bad)).toThrow(RangeError);
  });
});

describe("encodeFrame()", () => {
  it("writes the documented bytes, which no later version may change", () => {
    const bytes = encodeFrame(PUSH);
    const words = Array.from(new Uint32Array(bytes.buffer));
    expect(Array.from(bytes.subarray(0, 8))).toEqual([0x56, 0x4c, 3, OPCODES.push, 1, 0, 0, 0]);
    expect(words.slice(2, 16)).toEqual([1, 2, 3, 4, 5, 6, 7, 8 | (9 << 16), 10, 1, 2, 3, 3, 0]);
    const [half, minusOne, two] = new Uint32Array(Float32Array.of(0.5, -1, 2).buffer);
    const sections = [
      [11, 0],
      [12, 13],
      [14, 15],
      [1, 2],
      [20, 0, 21, 0, 22, 1],
      [half, minusOne, two, 0],
    ];
    expect(words.slice(16)).toEqual(sections.flat());
  });

  it("writes the sequence numbers of a record behind its generations, and says by a flag that they are there", () => {
    const [push, record] = [encodeFrame(PUSH), encodeFrame(RECORD)];
    expect(Array.from(record.subarray(2, 6))).toEqual([3, OPCODES.stageRecord, 1, 4]);
    const at = HEADER_BYTES + 24;
    expect(Array.from(new Uint32Array(record.buffer, at, 2))).toEqual([16, 17]);
    expect(Array.from(record.subarray(HEADER_BYTES, at))).toEqual(Array.from(push.subarray(HEADER_BYTES, at)));
    expect(Array.from(record.subarray(at + 8))).toEqual(Array.from(push.subarray(at)));
    expect(decodeFrame(record)).toEqual(RECORD);
  });

  it("takes a copy, so that the sender may go on", () => {
    const values = Float32Array.of(1, 2);
    const bytes = encodeFrame(frame({ opcode: "pullReply", values }));
    values.fill(0);
    expect(Array.from(decodeFrame(bytes).values)).toEqual([1, 2]);
  });

  it("writes the name of its keys behind the header, and tells by a flag that more parts follow", () => {
    const keyList = Uint8Array.from({ length: 16 }, (_, i) => i + 1);
    const bytes = encodeFrame(frame({ opcode: "pullReply", keyList, partial: true, values: Float32Array.of(2) }));
    expect([bytes[5], bytes.length]).toEqual([3, HEADER_BYTES + 16 + 8]);
    expect(Array.from(bytes.subarray(HEADER_BYTES, HEADER_BYTES + 16))).toEqual(Array.from(keyList));
    expect(decodeFrame(bytes)).toMatchObject({ keyList, partial: true, values: Float32Array.of(2) });
  });

  it.each(["bfloat16", "int8"] as const)("carries %s values as they were coded", (dtype) => {
    const coded = Uint8Array.of(1, 2, 3, 4, 5, 6);
    const bytes = encodeFrame(frame({ opcode: "push", dtype, coded }));
    expect(bytes[4]).toBe(DTYPES[dtype]);
    expect(new Uint32Array(bytes.buffer)[14]).toBe(dtype === "int8" ? 6 : 3);
    expect(decodeFrame(bytes)).toEqual(frame({ opcode: "push", dtype, coded }));
  });

  const headBytesOf = (f: Frame): number => encodeFrame({ ...f, values: new Float32Array(0) }).byteLength;

  it.each([PUSH, RECORD])("writes around the values of a $opcode that have head room, without a copy", (f) => {
    const buffer = new ArrayBuffer(1024);
    const values = new Float32Array(buffer, 256, 3).fill(1.5);
    const room = { ...f, values, headRoom: headBytesOf(f) };
    const bytes = encodeFrame(room);
    expect([bytes.buffer, bytes.byteOffset]).toEqual([buffer, 256 - headBytesOf(f)]);
    expect(Array.from(bytes)).toEqual(Array.from(encodeFrame({ ...f, values })));
    expect(decodeFrame(bytes)).toEqual({ ...f, values });
  });

  it.each([
    ["too little head room", 256, headBytesOf(PUSH) - 1],
    ["values that do not lie as numbers must", 260, 256],
    ["no room for the bytes that pad the values", 1024 - 12, 512],
  ])("copies the values where there is %s", (_, at, headRoom) => {
    const buffer = new ArrayBuffer(1024);
    const values = new Float32Array(buffer, at, 3).fill(1.5);
    const bytes = encodeFrame({ ...PUSH, values, headRoom });
    expect(bytes.buffer).not.toBe(buffer);
    expect(decodeFrame(bytes)).toEqual({ ...PUSH, values });
    expect(new Uint8Array(buffer, 0, at).every((byte) => byte === 0)).toBe(true);
  });

  const refused: [string, Partial<Frame>][] = [
    ["generations is missing", { generations: new Uint32Array(0) }],
    ["counts are too few", { counts: Uint32Array.of(3) }],
    ["sequences are too few", { sequences: Uint32Array.of(1) }],
    ["a record has no sequences", { opcode: "checkRecord" }],
    ["the keys of a record are named", { ...RECORD, keyList: new Uint8Array(16) }],
    ["a key has one word", { keys: new Uint32Array(5) }],
    ["the name of its keys is too short", { keyList: new Uint8Array(15) }],
    ["values are coded that should not be", { coded: new Uint8Array(4) }],
    ["values are floats that should not be", { dtype: "int8" }],
    ["half a bfloat16", { dtype: "bfloat16", values: new Float32Array(0), coded: new Uint8Array(3) }],
    ["the slot is too large", { slot: 65_536 }],
    ["the step is negative", { step: -1 }],
    ["the term is not whole", { term: 1.5 }],
    ["the job is not a number", { job: NaN }],
    ["there are too many tables", { tables: new Uint32Array(LIMITS.tablesPerFrameMax + 1) }],
  ];
  it.each(refused)("refuses a frame where %s", (_, change) => {
    expect(() => encodeFrame({ ...PUSH, ...change })).toThrow(RangeError);
  });
});

describe("decodeFrame()", () => {
  it("makes views of the bytes, not copies", () => {
    const bytes = encodeFrame(PUSH);
    expect(decodeFrame(bytes).values.buffer).toBe(bytes.buffer);
  });

  it("copies bytes that do not lie as numbers must, also where slice() is a view, as a Buffer's is", () => {
    class View extends Uint8Array<ArrayBuffer> {
      override slice(start?: number, end?: number): Uint8Array<ArrayBuffer> {
        return this.subarray(start, end);
      }
    }
    const bytes = encodeFrame(PUSH);
    const unaligned = new View(new ArrayBuffer(bytes.length + 3), 3);
    unaligned.set(bytes);
    expect(decodeFrame(unaligned)).toEqual(PUSH);
  });

  const broken: [string, number, number, string][] = [
    ["another magic", 0, 0x12, "not a Volary frame"],
    ["another version", 2, 9, "frame version 9; this side speaks 3"],
    ["an unknown opcode", 3, 200, "unknown opcode 200"],
    ["an unknown dtype", 4, 7, "unknown dtype 7 in push frame"],
    ["the version before this one", 2, 2, "frame version 2; this side speaks 3"],
    ["an unknown flag", 5, 8, "unknown flags 0x8 in push frame"],
    ["sequences that are not there", 5, 4, "push frame of 136 bytes declares 144"],
    ["a record without sequences", 3, OPCODES.chainAck, "chainAck frame: 2 partitions without sequences"],
    ["a name that is not there", 5, 1, "push frame of 136 bytes declares 152"],
    ["counts that do not add up", HEADER_BYTES + 24, 9, "push frame has 3 keys but its counts add up to 11"],
  ];
  it("refuses a record whose keys are named, for it is taken as it is", () => {
    const named = encodeFrame({ ...PUSH, keyList: new Uint8Array(16), sequences: Uint32Array.of(1, 2) });
    named[3] = OPCODES.commitRecord;
    expect(() => decodeFrame(named)).toThrow("commitRecord frame: its keys are named; they must be in it");
  });

  it.each(["stageRecord", "commitRecord", "setRecord", "pushRecord"] as const)(
    "refuses a %s whose counts do not add up",
    (opcode) => {
      const bytes = encodeFrame({ ...RECORD, opcode });
      bytes[HEADER_BYTES + 32] = 9;
      expect(() => decodeFrame(bytes)).toThrow(`${opcode} frame has 3 keys but its counts add up to 11`);
    },
  );

  it.each(broken)("refuses %s and says so", (_, at, byte, message) => {
    const bytes = encodeFrame(PUSH);
    bytes[at] = byte;
    expect(() => decodeFrame(bytes)).toThrow(ProtocolError);
    expect(() => decodeFrame(bytes)).toThrow(message);
  });
});

it("opcodes keep their numbers for ever", () => {
  expect(OPCODES).toEqual({
    pull: 1,
    pullReply: 2,
    push: 3,
    set: 5,
    setReply: 6,
    export: 7,
    exportReply: 8,
    reduce: 9,
    denseState: 10,
    pushDirect: 11,
    pushDirectReply: 12,
    unknownKeys: 13,
    stageRecord: 14,
    commitRecord: 15,
    promiseRecord: 16,
    setRecord: 17,
    pushRecord: 18,
    checkRecord: 19,
    chainAck: 20,
    copyPart: 21,
    copyPartReply: 22,
    stateShare: 23,
    leafDense: 24,
    leafRows: 25,
    leafInputs: 26,
    leafRowGradients: 27,
    leafDenseGradients: 28,
    leafRowNumbers: 29,
  });
});
