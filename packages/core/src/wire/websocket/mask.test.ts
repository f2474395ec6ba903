import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { applyMask } from "./mask.ts";

/** RFC 6455 §5.3, word for word. */
function maskedBytewise(bytes: Uint8Array, mask: number, at: number): number[] {
  return Array.from(bytes, (byte, i) => byte ^ ((mask >>> (8 * ((at + i) & 3))) & 255));
}

describe("applyMask()", () => {
  it("does as the RFC says, at any alignment, length and place in the frame", () => {
    const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), u32, fc.nat(9), fc.nat(7), (bytes, mask, at, offset) => {
        const room = new Uint8Array(bytes.length + 16).fill(99);
        const part = room.subarray(offset, offset + bytes.length);
        part.set(bytes);
        applyMask(part, mask, at);
        expect(Array.from(part)).toEqual(maskedBytewise(bytes, mask, at));
        expect(room.subarray(0, offset).every((byte) => byte === 99)).toBe(true);
        expect(room.subarray(offset + bytes.length).every((byte) => byte === 99)).toBe(true);
      }),
    );
  });
});
