/** Any frame survives the wire; no bytes do anything worse than a ProtocolError, nor make one allocate by their word. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ProtocolError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import { decodeFrame, DTYPES, encodeFrame, frame, HEADER_BYTES, type Frame } from "./frame.ts";
import { isSequenced, OPCODES, type Opcode } from "./opcodes.ts";

const u32 = fc.nat(0xffff_ffff);
const u16 = fc.nat(0xffff);
const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const u32s = (length: number) => fc.uint32Array({ minLength: length, maxLength: length });

const OPCODE_NAMES = Object.keys(OPCODES) as Opcode[];
const anyFrame = fc.constantFrom(...OPCODE_NAMES).chain(frameOf);

/** Counts say how the keys fall into segments and tables, whether the frame needs it or not. */
function frameOf(opcode: Opcode): fc.Arbitrary<Frame> {
  return fc
    .record({
      T: fc.nat(4),
      S: fc.nat(5),
      header: fc.record({
        requestId: u32,
        job: u32,
        table: u32,
        generation: u32,
        step: u32,
        attempt: u32,
        term: u32,
        slot: u16,
        slots: u16,
        cursor: u32,
      }),
    })
    .chain(({ T, S, header }) =>
      fc
        .record({
          tables: u32s(T),
          partitions: u32s(S),
          generations: u32s(S),
          counts: fc.array(fc.nat(3), { minLength: S * T, maxLength: S * T }),
          dtype: fc.constantFrom(...(Object.keys(DTYPES) as (keyof typeof DTYPES)[])),
          floats: fc.float32Array({ maxLength: 20 }),
          partial: fc.boolean(),
          sequences: isSequenced(opcode) ? u32s(S) : fc.oneof(u32s(0), u32s(S)),
          keyList: isSequenced(opcode) ? bytes(0) : fc.oneof(bytes(0), bytes(16)),
        })
        .chain(({ counts, dtype, floats, ...sections }) => {
          const K = counts.reduce((a, b) => a + b, 0);
          const coded = new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength);
          const values =
            dtype === "float32"
              ? { dtype, values: floats, coded: new Uint8Array(0) }
              : { dtype, values: new Float32Array(0), coded };
          const { length } = counts;
          return u32s(2 * K).map((keys) => ({
            opcode,
            ...header,
            ...sections,
            ...values,
            counts: Uint32Array.from({ length }, (_, i) => counts[i]!),
            keys,
          }));
        }),
    );
}

describe("a frame", () => {
  it("comes out as it went in", () => {
    fc.assert(
      fc.property(anyFrame, (f) => {
        expect(decodeFrame(encodeFrame(f))).toEqual(f);
      }),
      { numRuns: 500 },
    );
  });

  it("is the same from any place in a larger buffer, even an unaligned one", () => {
    fc.assert(
      fc.property(anyFrame, fc.nat(17), (f, offset) => {
        const bytes = encodeFrame(f);
        const larger = new Uint8Array(bytes.length + offset + 9).fill(0xaa);
        larger.set(bytes, offset);
        expect(decodeFrame(larger.subarray(offset, offset + bytes.length))).toEqual(f);
      }),
      { numRuns: 200 },
    );
  });

  it("is the same where it is written around its values", () => {
    fc.assert(
      fc.property(anyFrame, fc.nat(400), fc.nat(8), (f, headRoom, odd) => {
        const body = f.dtype === "float32" ? f.values : f.coded;
        const at = 512 + (f.dtype === "float32" ? 4 : 1) * odd;
        const buffer = new ArrayBuffer(at + body.byteLength + 8);
        const values = new Float32Array(
          f.dtype === "float32" ? buffer : new ArrayBuffer(0),
          f.dtype === "float32" ? at : 0,
          f.values.length,
        );
        values.set(f.values);
        const coded = f.dtype === "float32" ? f.coded : new Uint8Array(buffer, at, f.coded.length);
        coded.set(f.coded);
        expect(decodeFrame(encodeFrame({ ...f, values, coded, headRoom }))).toEqual(f);
      }),
      { numRuns: 300 },
    );
  });

  it.each(OPCODE_NAMES)("that ends too early, at any byte, is refused: %s", (opcode) => {
    fc.assert(
      fc.property(frameOf(opcode), (f) => {
        const bytes = encodeFrame(f);
        for (let length = 0; length < bytes.length; length++) {
          expect(() => decodeFrame(bytes.subarray(0, length))).toThrow(ProtocolError);
        }
      }),
      { numRuns: 5 },
    );
  });

  it("that goes on too long is refused", () => {
    const bytes = encodeFrame(frame({ opcode: "pull" }));
    const longer = new Uint8Array(bytes.length + 1);
    longer.set(bytes);
    expect(() => decodeFrame(longer)).toThrow(`pull frame of ${bytes.length + 1} bytes declares ${bytes.length}`);
  });

  it("with any byte of its header changed to anything decodes or is refused", () => {
    fc.assert(
      fc.property(anyFrame, (f) => {
        const bytes = encodeFrame(f);
        for (let at = 0; at < HEADER_BYTES; at++) {
          for (const flip of [0x01, 0x80, 0xff]) {
            const broken = bytes.slice();
            broken[at]! ^= flip;
            onlyProtocolError(broken);
          }
        }
      }),
      { numRuns: 30 },
    );
  });

  it("of random bytes, with a true header start or without, decodes or is refused", () => {
    const start = encodeFrame(frame({ opcode: "push" })).subarray(0, 8);
    let refused = 0;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.boolean(), (bytes, withStart) => {
        if (withStart && bytes.length >= 8) bytes.set(start);
        if (!onlyProtocolError(bytes)) refused++;
      }),
      { numRuns: 3000 },
    );
    expect(refused).toBeGreaterThan(2900);
  });

  it("that declares more than it holds allocates nothing for it", () => {
    const huge = { tables: 44, segments: 48, keys: 52, values: 56 };
    for (const at of Object.values(huge)) {
      for (const count of [1, 1000, LIMITS.segmentsPerFrameMax, LIMITS.valuesPerFrameMax, 0xffff_ffff]) {
        const bytes = encodeFrame(frame({ opcode: "pullReply" }));
        new DataView(bytes.buffer).setUint32(at, count, true);
        expect(() => decodeFrame(bytes)).toThrow(ProtocolError);
      }
    }
    const both = encodeFrame(frame({ opcode: "pullReply" }));
    new DataView(both.buffer).setUint32(44, LIMITS.tablesPerFrameMax, true);
    new DataView(both.buffer).setUint32(48, LIMITS.segmentsPerFrameMax, true);
    expect(() => decodeFrame(both)).toThrow("larger than");
  });
});

/** Whether the bytes decode. */
function onlyProtocolError(bytes: Uint8Array): boolean {
  try {
    decodeFrame(bytes);
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(ProtocolError);
    return false;
  }
}
