/** Messages in chunks: whole at the other end, whatever their lengths, and refused where a chunk cannot come now. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ProtocolError } from "../../../errors.ts";
import { LIMITS } from "../../../limits.ts";
import { CHUNK_HEADER_BYTES, ChunkReader, ChunkWriter } from "./chunks.ts";

const PART_BYTES = LIMITS.groupChunkBytes - CHUNK_HEADER_BYTES;

function chunksOf(message: number, bytes: Uint8Array): Uint8Array[] {
  const writer = new ChunkWriter(message, bytes);
  const chunks = [];
  while (!writer.done) chunks.push(writer.next());
  return chunks;
}

/** Bytes that tell their places. */
const patterned = (length: number, seed: number): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 8) * 7 + seed) & 0xff);

const areSame = (a: Uint8Array, b: Uint8Array): boolean => a.length === b.length && a.every((byte, i) => byte === b[i]);

/** A chunk with any header. */
function chunk(message: number, at: number, chunks: number, partBytes = PART_BYTES): Uint8Array {
  const bytes = new Uint8Array(CHUNK_HEADER_BYTES + partBytes);
  new Uint32Array(bytes.buffer, 0, 3).set([message, at, chunks]);
  return bytes;
}

describe("ChunkReader", () => {
  it("gives back what ChunkWriter has cut, in order and no chunk over its limit", () => {
    const length = fc.oneof(
      fc.nat(100),
      fc.integer({ min: -2, max: 2 }).map((more) => PART_BYTES + more),
      fc.integer({ min: -2, max: 2 }).map((more) => 3 * PART_BYTES + more),
    );
    fc.assert(
      fc.property(fc.array(length, { maxLength: 5 }), (lengths) => {
        const reader = new ChunkReader();
        for (const [message, bytes] of lengths.map((n, seed) => patterned(n, seed)).entries()) {
          const chunks = chunksOf(message, bytes);
          expect(chunks.every((one) => one.length <= LIMITS.groupChunkBytes)).toBe(true);
          const whole = chunks.map((one) => reader.take(one));
          expect(whole.slice(0, -1).every((one) => one === undefined)).toBe(true);
          expect(areSame(whole.at(-1)!, bytes)).toBe(true);
        }
      }),
      { numRuns: 30 },
    );
  });

  it("takes the longest message that ChunkWriter may cut, and none with more chunks", () => {
    const bytes = new Uint8Array(LIMITS.groupMessageBytesMax).fill(3);
    const chunks = chunksOf(0, bytes);
    const reader = new ChunkReader();
    expect(chunks.map((one) => reader.take(one)).at(-1)?.length).toBe(bytes.length);
    expect(() => new ChunkReader().take(chunk(0, 0, chunks.length + 1))).toThrow(/must have 1 to/);
  });

  it("refuses what is out of order, interleaved, of another length or count", () => {
    const refused: [string, Uint8Array[]][] = [
      ["is due later", [chunk(0, 1, 2)]],
      ["is of a later message", [chunk(1, 0, 1)]],
      ["repeats", [chunk(0, 0, 3), chunk(0, 0, 3)]],
      ["is left out", [chunk(0, 0, 3), chunk(0, 2, 3, 1)]],
      ["is of a message between", [chunk(0, 0, 2), chunk(1, 0, 1, 1)]],
      ["counts otherwise", [chunk(0, 0, 3), chunk(0, 1, 2)]],
      ["is one of none", [chunk(0, 0, 0)]],
      ["is one of far too many", [chunk(0, 0, 0xffff_ffff)]],
      ["is not full and not the last", [chunk(0, 0, 2, PART_BYTES - 1)]],
      ["has no whole header", [new Uint8Array(CHUNK_HEADER_BYTES - 1)]],
      ["is too long", [new Uint8Array(LIMITS.groupChunkBytes + 1)]],
    ];
    for (const [name, chunks] of refused) {
      const reader = new ChunkReader();
      for (const one of chunks.slice(0, -1)) expect(reader.take(one), name).toBeUndefined();
      expect(() => reader.take(chunks.at(-1)!), name).toThrow(ProtocolError);
    }
  });

  it("throws ProtocolErrors alone, and never gives more bytes than came, whatever comes", () => {
    const anyChunk = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc
        .tuple(fc.nat(2), fc.nat(3), fc.nat(4), fc.constantFrom(0, 1, PART_BYTES))
        .map(([message, at, chunks, bytes]) => chunk(message, at, chunks, bytes)),
    );
    fc.assert(
      fc.property(fc.array(anyChunk, { maxLength: 12 }), (chunks) => {
        const reader = new ChunkReader();
        let came = 0;
        try {
          for (const one of chunks) {
            came += one.length;
            expect(reader.take(one)?.length ?? 0).toBeLessThan(came);
          }
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
        }
      }),
      { numRuns: 200 },
    );
  });
});
