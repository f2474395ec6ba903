import { LIMITS } from "@volary/core/limits";
import { Arena } from "@volary/core/table";
import { describe, expect, it } from "vitest";
import { ReceiveBuffers } from "./receive-buffers.ts";

const MEBIBYTE = 2 ** 20;
const arena = new Arena(96 * MEBIBYTE);

describe("ReceiveBuffers", () => {
  it("gives exactly what was asked for, in the memory of the rows, at an 8-byte boundary", () => {
    const buffers = new ReceiveBuffers(arena);
    for (const bytes of [1, 64 * 1024, 64 * 1024 + 1, MEBIBYTE + 3]) {
      const buffer = buffers.allocate(bytes);
      expect(buffer.buffer).toBe(arena.bytes.buffer);
      expect([buffer.length, buffer.byteOffset % 8]).toEqual([bytes, 0]);
      buffers.release(buffer);
    }
  });

  it("gives a buffer again once it was given back, and never to two", () => {
    const buffers = new ReceiveBuffers(arena);
    const first = buffers.allocate(1000);
    const second = buffers.allocate(1000);
    expect(Math.abs(second.byteOffset - first.byteOffset)).toBeGreaterThanOrEqual(1000);
    buffers.release(first);
    expect(buffers.allocate(2000).byteOffset).toBe(first.byteOffset);
  });

  it("takes its part of the memory and no more: what comes then lies elsewhere, and is given back there", () => {
    const used = arena.bytesUsed;
    const buffers = new ReceiveBuffers(arena);
    const most = buffers.allocate(LIMITS.receiveBuffersBytesMax);
    const outside = buffers.allocate(1000);
    expect(outside.buffer).not.toBe(arena.bytes.buffer);
    expect(outside.length).toBe(1000);
    expect(arena.bytesUsed - used).toBeLessThanOrEqual(LIMITS.receiveBuffersBytesMax + 64);
    buffers.release(outside);
    buffers.release(most);
    expect(buffers.allocate(1000).buffer).not.toBe(arena.bytes.buffer);
    expect(buffers.allocate(LIMITS.receiveBuffersBytesMax).byteOffset).toBe(most.byteOffset);
  });

  it("lies elsewhere where the memory is full", () => {
    const small = new Arena(64 * 1024);
    expect(new ReceiveBuffers(small).allocate(64 * 1024).buffer).not.toBe(small.bytes.buffer);
  });
});
