import { describe, expect, it } from "vitest";
import { RecycledBuffers } from "./buffer-pool.ts";

const KB = 1024;

describe("RecycledBuffers", () => {
  it("gives what was given back, at any length that is not much smaller", () => {
    const pool = new RecycledBuffers({ bytesMax: 1024 * KB });
    const first = pool.allocate(200 * KB);
    expect([first.length, first.byteOffset % 8]).toEqual([200 * KB, 0]);
    pool.release(first);
    const second = pool.allocate(190 * KB + 1);
    expect(second.length).toBe(190 * KB + 1);
    expect(second.buffer).toBe(first.buffer);
    expect(pool.allocate(200 * KB).buffer).not.toBe(first.buffer); // it is in use
  });

  it("holds no large buffer for a small message, and none that is too short", () => {
    const pool = new RecycledBuffers({ bytesMax: 1024 * KB });
    const large = pool.allocate(512 * KB);
    pool.release(large);
    expect(pool.allocate(100).buffer).not.toBe(large.buffer);
    expect(pool.allocate(513 * KB).buffer).not.toBe(large.buffer);
    expect(pool.allocate(512 * KB).buffer).toBe(large.buffer);
  });

  it("keeps no more than it may, the youngest", () => {
    const pool = new RecycledBuffers({ bytesMax: 128 * KB });
    const three = [0, 1, 2].map(() => pool.allocate(64 * KB));
    for (const buffer of three) pool.release(buffer);
    expect(pool.allocate(64 * KB).buffer).toBe(three[2]!.buffer);
    expect(pool.allocate(64 * KB).buffer).toBe(three[1]!.buffer);
    expect(pool.allocate(64 * KB).buffer).not.toBe(three[0]!.buffer);
  });

  it("keeps nothing that is larger than all it may keep", () => {
    const pool = new RecycledBuffers({ bytesMax: 64 * KB });
    const large = pool.allocate(65 * KB);
    pool.release(large);
    expect(pool.allocate(65 * KB).buffer).not.toBe(large.buffer);
  });
});
