/** Headers byte by byte, and who may touch a payload when. */
import { describe, expect, it } from "vitest";
import { FakeStream } from "./fake-stream.ts";
import { OPCODE } from "./opcode.ts";
import { Sender } from "./sender.ts";

function headerOf(payload: Uint8Array, mask: (() => number) | "none"): number[] {
  const stream = new FakeStream();
  new Sender({ stream, mask }).send(OPCODE.BINARY, payload);
  return Array.from(stream.pieces[0]!);
}

describe("Sender", () => {
  it("writes each of the three lengths in its shortest form", () => {
    expect(headerOf(new Uint8Array(0), "none")).toEqual([0x82, 0]);
    expect(headerOf(new Uint8Array(125), "none")).toEqual([0x82, 125]);
    expect(headerOf(new Uint8Array(126), "none")).toEqual([0x82, 126, 0, 126]);
    expect(headerOf(new Uint8Array(65_535), "none")).toEqual([0x82, 126, 255, 255]);
    expect(headerOf(new Uint8Array(65_536), "none")).toEqual([0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
  });

  it("writes the mask last, low byte first", () => {
    expect(headerOf(new Uint8Array(1), () => 0x04030201)).toEqual([0x82, 0x81, 1, 2, 3, 4]);
    expect(headerOf(new Uint8Array(300), () => 0)).toEqual([0x82, 0xfe, 1, 44, 0, 0, 0, 0]);
  });

  it("sends a payload from where it lies when there is no mask, or one of zeros", () => {
    const payload = Uint8Array.of(1, 2, 3);
    for (const mask of ["none" as const, () => 0]) {
      const stream = new FakeStream();
      let told = 0;
      new Sender({ stream, mask }).send(OPCODE.TEXT, payload, () => told++);
      expect(stream.pieces[1]).toBe(payload);
      expect(told).toBe(0);
      stream.sent();
      expect(told).toBe(1);
    }
  });

  it("masks a copy, so that the caller's payload stays as it is and may change at once", () => {
    const stream = new FakeStream();
    const payload = Uint8Array.of(1, 2, 3, 4, 5);
    let told = 0;
    new Sender({ stream, mask: () => 0x40302010 }).send(OPCODE.BINARY, payload, () => told++);
    expect(told).toBe(1);
    expect(Array.from(payload)).toEqual([1, 2, 3, 4, 5]);
    payload.fill(0);
    expect(Array.from(stream.pieces[1]!)).toEqual([0x11, 0x22, 0x33, 0x44, 0x15]);
    stream.sent();
    expect(told).toBe(1);
  });

  it("sends two pieces as one payload, the second from where it lies", () => {
    const stream = new FakeStream();
    const body = Uint8Array.of(3, 4);
    let told = 0;
    new Sender({ stream, mask: "none" }).sendPieces(OPCODE.BINARY, { head: Uint8Array.of(1, 2), body }, () => told++);
    expect(stream.pieces[1]).toBe(body);
    expect([stream.bytes, told]).toEqual([[0x82, 4, 1, 2, 3, 4], 0]);
    stream.sent();
    expect(told).toBe(1);
  });

  it("masks two pieces as one payload", () => {
    const stream = new FakeStream();
    const pieces = { head: Uint8Array.of(1, 2, 3), body: Uint8Array.of(4, 5) };
    new Sender({ stream, mask: () => 0x40302010 }).sendPieces(OPCODE.BINARY, pieces);
    expect(Array.from(stream.pieces[1]!)).toEqual([0x11, 0x22, 0x33, 0x44, 0x15]);
  });

  it("uses a masked copy's memory again only when it has been sent", () => {
    const stream = new FakeStream();
    const sender = new Sender({ stream, mask: () => 7 });
    sender.send(OPCODE.BINARY, new Uint8Array(100));
    sender.send(OPCODE.BINARY, new Uint8Array(100));
    const [first, second] = [stream.pieces[1]!.buffer, stream.pieces[3]!.buffer];
    expect(second).not.toBe(first);
    stream.sent();
    sender.send(OPCODE.BINARY, new Uint8Array(100));
    expect([first, second]).toContain(stream.pieces[5]!.buffer);
  });

  it("takes a fresh mask for every frame", () => {
    const stream = new FakeStream();
    let mask = 1;
    const sender = new Sender({ stream, mask: () => mask++ });
    sender.send(OPCODE.PING, Uint8Array.of(0));
    sender.send(OPCODE.PING, Uint8Array.of(0));
    expect(stream.bytes).toEqual([0x89, 0x81, 1, 0, 0, 0, 1, 0x89, 0x81, 2, 0, 0, 0, 2]);
  });
});
