/** Whatever the pieces, the same messages; whatever the bytes, an answer. */
import fc from "fast-check";
import { expect, it } from "vitest";
import { WebSocketError } from "./close-code.ts";
import { joined, rawFrame, type RawFrame } from "./raw-frames.ts";
import { Receiver } from "./receiver.ts";
import { Sender } from "./sender.ts";

function receive(pieces: readonly Uint8Array[], from: "client" | "server"): string[] {
  const told: string[] = [];
  const receiver = new Receiver({
    from,
    payloadBytesMax: 5000,
    events: {
      onText: (text) => told.push(`text ${text}`),
      onBinary: (payload) => told.push(`binary ${payload.join()}`),
      onPing: (payload) => told.push(`ping ${payload.join()}`),
      onPong: (payload) => told.push(`pong ${payload.join()}`),
      onClose: (code, reason) => told.push(`close ${code} ${reason}`),
    },
  });
  try {
    for (const piece of pieces) receiver.push(piece);
  } catch (error) {
    if (!(error instanceof WebSocketError)) throw error;
    told.push(`${error.closeCode} ${error.message}`);
  }
  return told;
}

/** Cuts bytes into pieces of the given lengths, over and over. */
function cut(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0, i = 0; at < bytes.length; at += lengths[i++ % lengths.length]!) {
    pieces.push(bytes.subarray(at, at + lengths[i % lengths.length]!));
  }
  return pieces;
}

const byte = fc.nat(255);
const piecesOf = fc.array(fc.integer({ min: 1, max: 200 }), { minLength: 1, maxLength: 10 });
const messages = fc.array(
  fc.record({
    opcode: fc.constantFrom(1, 2, 9, 10),
    text: fc.string({ unit: "binary", maxLength: 60 }),
    /** The payload is repeated. */
    times: fc.constantFrom(1, 1, 1, 20),
    masks: fc.array(fc.tuple(byte, byte, byte, byte), { minLength: 1, maxLength: 4 }),
  }),
  { maxLength: 12 },
);

const KINDS: Record<number, string> = { 1: "text", 2: "binary", 9: "ping", 10: "pong" };

it("any cutting and any fragmentation give the same messages", () => {
  fc.assert(
    fc.property(messages, piecesOf, (sent, lengths) => {
      const expected: string[] = [];
      const frames: Uint8Array[] = [];
      for (const { opcode, text, times, masks } of sent) {
        const isControl = opcode > 2;
        const whole = new TextEncoder().encode(isControl ? text : text.repeat(times));
        const payload = isControl ? whole.subarray(0, 125) : whole;
        expected.push(`${KINDS[opcode]} ${opcode === 1 ? text.repeat(times) : payload.join()}`);
        if (isControl) frames.push(rawFrame({ opcode, payload, mask: masks[0]! }));
        else frames.push(...fragments({ opcode, payload }, masks));
      }
      expect(receive(cut(joined(frames), lengths), "client")).toEqual(expected);
    }),
  );
});

function fragments(message: RawFrame & { payload: Uint8Array }, masks: readonly RawFrame["mask"][]): Uint8Array[] {
  const each = Math.ceil(message.payload.length / masks.length);
  return masks.map((mask, i) =>
    rawFrame({
      opcode: i === 0 ? message.opcode : 0,
      payload: message.payload.subarray(i * each, (i + 1) * each),
      fin: i === masks.length - 1,
      ...(mask ? { mask } : {}),
    }),
  );
}

it("random bytes are told or refused, the same however they are cut", () => {
  const headers = fc.array(
    fc.constantFrom(0x81, 0x82, 0x01, 0x02, 0x00, 0x80, 0x88, 0x89, 0x8a, 0, 1, 2, 5, 126, 127),
    {
      maxLength: 300,
    },
  );
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    headers.map((list) => Uint8Array.from(list)),
  );
  fc.assert(
    fc.property(bytes, piecesOf, fc.constantFrom("client" as const, "server" as const), (all, lengths, from) => {
      expect(receive(cut(all, lengths), from)).toEqual(receive([all], from));
    }),
    { numRuns: 500 },
  );
});

it("what a sender sends is received, whatever its mask", () => {
  const mask = fc.option(fc.integer({ min: 0, max: 0xffff_ffff }), { nil: undefined });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), mask, piecesOf, (payload, m, lengths) => {
      const written: Uint8Array[] = [];
      const stream = {
        bufferedBytes: 0,
        write: (header: Uint8Array, body: Uint8Array, onSent?: () => void) => {
          written.push(header.slice(), body.slice());
          onSent?.();
        },
        end: () => {},
        destroy: () => {},
      };
      const before = payload.slice();
      new Sender({ stream, mask: m === undefined ? "none" : () => m }).send(2, payload);
      expect(payload).toEqual(before);
      expect(receive(cut(joined(written), lengths), m === undefined ? "server" : "client")).toEqual([
        `binary ${payload.join()}`,
      ]);
    }),
  );
});
