import { beforeEach, describe, expect, it } from "vitest";
import { ClusterError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import { TableMemory, type Arena } from "@volary/core/table";
import { decodeFrame, encodeFrame, frame, HEADER_BYTES } from "@volary/core/wire";
import { ReplyBuffers, valuesIn } from "./reply-buffers.ts";

const MEMORY = new TableMemory({ arenaBytes: 2 ** 26, bytesMax: 2 ** 25 });
let arena: Arena;
let buffers: ReplyBuffers;

beforeEach(() => {
  arena = MEMORY.first;
  buffers = new ReplyBuffers();
});

describe("ReplyBuffers", () => {
  it("gives room for a frame's header before the values, so that it is encoded where they lie", () => {
    const buffer = buffers.take(arena, 12);
    const at = buffer.valuesAt / 4;
    arena.floats.set([1, 2, 3], at);
    const bytes = encodeFrame(frame({ opcode: "pullReply", ...valuesIn(buffer, { bytes: 12, dtype: "float32" }) }));
    expect([bytes.buffer, bytes.byteOffset]).toEqual([arena.bytes.buffer, buffer.valuesAt - HEADER_BYTES]);
    expect([...decodeFrame(bytes).values]).toEqual([1, 2, 3]);
    buffers.give(buffer);
  });

  it("keeps a few of the usual size, and gives the others back to their memory", () => {
    const before = arena.bytesUsed;
    const many = Array.from({ length: LIMITS.replyBuffersKept + 3 }, () => buffers.take(arena, 100));
    const large = buffers.take(arena, 2 * LIMITS.replyPartBytes);
    for (const buffer of [...many, large]) buffers.give(buffer);
    expect(buffers.taken).toBe(0);
    const again = buffers.take(arena, LIMITS.replyPartBytes);
    expect(many).toContain(again);
    buffers.give(again);
    buffers.dispose();
    expect(arena.bytesUsed).toBe(before);
  });

  it("gives back what was on its way when it was disposed", () => {
    const before = arena.bytesUsed;
    const buffer = buffers.take(arena, 8);
    buffers.dispose();
    expect(arena.bytesUsed).toBeGreaterThan(before);
    buffers.give(buffer);
    expect(arena.bytesUsed).toBe(before);
  });

  it("says that the memory is full, and counts nothing as taken then", () => {
    expect(() => buffers.take(arena, 2 ** 27)).toThrow(ClusterError);
    expect(buffers.taken).toBe(0);
  });
});
