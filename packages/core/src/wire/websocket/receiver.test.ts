/** Every rule of RFC 6455 §5 from raw bytes: first what ends a connection, then what is legal. */
import { describe, expect, it } from "vitest";
import { ProtocolError } from "../../errors.ts";
import type { BufferPool } from "../buffer-pool.ts";
import { WebSocketError } from "./close-code.ts";
import { joined, rawFrame } from "./raw-frames.ts";
import { Receiver, type ReceiverOptions } from "./receiver.ts";

type Told = ["text" | "binary" | "ping" | "pong", string] | ["close", number, string];

const latin = (bytes: Uint8Array): string => String.fromCharCode(...bytes);

/** A receiver, and what it told. */
function receiver(o: Partial<Omit<ReceiverOptions, "events">> = {}): { told: Told[]; receiver: Receiver } {
  const told: Told[] = [];
  const events: ReceiverOptions["events"] = {
    onText: (text) => told.push(["text", text]),
    onBinary: (payload) => told.push(["binary", latin(payload)]),
    onPing: (payload) => told.push(["ping", latin(payload)]),
    onPong: (payload) => told.push(["pong", latin(payload)]),
    onClose: (code, reason) => told.push(["close", code, reason]),
  };
  return { told, receiver: new Receiver({ from: "server", payloadBytesMax: 2 ** 20, ...o, events }) };
}

function toldOf(bytes: Uint8Array, o: Partial<Omit<ReceiverOptions, "events">> = {}): Told[] {
  const made = receiver(o);
  made.receiver.push(bytes);
  return made.told;
}

function errorOf(...frames: Uint8Array[]): WebSocketError {
  const made = receiver();
  try {
    made.receiver.push(joined(frames));
  } catch (error) {
    const before = made.told.length;
    made.receiver.push(rawFrame({ opcode: 1, payload: "later" }));
    expect(made.told).toHaveLength(before); // nothing is taken after a violation
    return error as WebSocketError;
  }
  throw new Error(`no violation; told ${JSON.stringify(made.told)}`);
}

const MASK = [1, 2, 3, 250] as const;

describe("a receiver refuses", () => {
  const cases: [name: string, code: number, words: string, ...frames: Uint8Array[]][] = [
    ["a reserved bit", 1002, "reserved bit", rawFrame({ opcode: 1, reserved: 0x40 })],
    ["the second reserved bit", 1002, "reserved bit", rawFrame({ opcode: 2, reserved: 0x20 })],
    ["the third reserved bit", 1002, "reserved bit", rawFrame({ opcode: 9, reserved: 0x10 })],
    ["data opcodes to come", 1002, "unknown opcode 3", rawFrame({ opcode: 3 })],
    ["control opcodes to come", 1002, "unknown opcode 11", rawFrame({ opcode: 11 })],
    ["a continuation of nothing", 1002, "without a message", rawFrame({ opcode: 0, payload: "x" })],
    [
      "a continuation after the last fragment",
      1002,
      "without a message",
      rawFrame({ opcode: 1, fin: false }),
      rawFrame({ opcode: 0 }),
      rawFrame({ opcode: 0 }),
    ],
    [
      "a message in the middle of another",
      1002,
      "before the one under way",
      rawFrame({ opcode: 1, fin: false, payload: "a" }),
      rawFrame({ opcode: 2 }),
    ],
    ["a ping in fragments", 1002, "in fragments", rawFrame({ opcode: 9, fin: false })],
    ["a close in fragments", 1002, "in fragments", rawFrame({ opcode: 8, fin: false })],
    ["a control frame of 126 bytes", 1002, "over 125 bytes", rawFrame({ opcode: 9, payload: "x".repeat(126) })],
    ["a masked frame of a server", 1002, "is masked", rawFrame({ opcode: 1, mask: MASK })],
    ["a short length in two bytes", 1002, "longer form", rawFrame({ opcode: 2, payload: "abc", form: 2 })],
    ["a middling length in eight bytes", 1002, "longer form", rawFrame({ opcode: 2, declared: 65_535, form: 8 })],
    ["a length with its highest bit set", 1002, "2^63", rawFrame({ opcode: 2, declared: 2 ** 63, form: 8 })],
    ["a close of one byte", 1002, "one byte", rawFrame({ opcode: 8, payload: "x" })],
    ...[0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65_535].map((code): [string, number, string, Uint8Array] => [
      `close code ${code}`,
      1002,
      `close code ${code}`,
      rawFrame({ opcode: 8, payload: Uint8Array.of(code >> 8, code & 255) }),
    ]),
    ["text that is no UTF-8", 1007, "UTF-8", rawFrame({ opcode: 1, payload: Uint8Array.of(0xc3, 0x28) })],
    [
      "text that ends within a character",
      1007,
      "UTF-8",
      rawFrame({ opcode: 1, fin: false, payload: Uint8Array.of(0xe2, 0x82) }),
      rawFrame({ opcode: 0 }),
    ],
    ["half a surrogate pair", 1007, "UTF-8", rawFrame({ opcode: 1, payload: Uint8Array.of(0xed, 0xa0, 0x80) })],
    ["a reason that is no UTF-8", 1007, "UTF-8", rawFrame({ opcode: 8, payload: Uint8Array.of(0x03, 0xe8, 0xff) })],
    ["a message over the limit", 1009, "1048577 bytes", rawFrame({ opcode: 2, declared: 2 ** 20 + 1 })],
    ["a message far over the limit", 1009, "over the limit of 1048576", rawFrame({ opcode: 1, declared: 2 ** 52 })],
    [
      "fragments over the limit together",
      1009,
      "1048577 bytes",
      rawFrame({ opcode: 2, fin: false, payload: "x" }),
      rawFrame({ opcode: 0, declared: 2 ** 20 }),
    ],
  ];
  it.each(cases)("%s", (_, code, words, ...frames) => {
    const error = errorOf(...frames);
    expect(error).toBeInstanceOf(ProtocolError);
    expect(error).toBeInstanceOf(WebSocketError);
    expect([error.closeCode, error.message]).toEqual([code, expect.stringContaining(words)]);
  });

  it("a frame of a client that is not masked", () => {
    const { receiver: made } = receiver({ from: "client" });
    expect(() => made.push(rawFrame({ opcode: 1, payload: "a" }))).toThrow("a frame of a client is not masked");
  });

  it("at the header, before any payload has come", () => {
    const { receiver: made } = receiver();
    expect(() => made.push(Uint8Array.of(0x83))).toThrow("unknown opcode");
  });
});

describe("a receiver takes", () => {
  it.each([0, 1, 125, 126, 127, 65_535, 65_536, 70_001])("a message of %i bytes", (n) => {
    const payload = Uint8Array.from({ length: n }, (_, i) => (i * 7) & 255);
    for (const mask of [undefined, MASK, [0, 0, 0, 0] as const]) {
      const messages: Uint8Array[] = [];
      const made = new Receiver({
        from: mask ? "client" : "server",
        payloadBytesMax: 2 ** 20,
        events: { ...IGNORE, onBinary: (message) => messages.push(message) },
      });
      made.push(rawFrame({ opcode: 2, payload, ...(mask ? { mask } : {}) }));
      expect(messages).toHaveLength(1);
      expect(latinOf(messages[0]!)).toBe(latinOf(payload));
    }
  });

  it("text beyond ASCII, a byte order mark and NUL as they are", () => {
    const text = "\u{FEFF}Ж 学习 \u{1F426} \u0000";
    expect(toldOf(rawFrame({ opcode: 1, payload: text }))).toEqual([["text", text]]);
  });

  it("a character cut in two by a fragment's end", () => {
    const frames = [
      rawFrame({ opcode: 1, fin: false, payload: Uint8Array.of(0xe2, 0x82) }),
      rawFrame({ opcode: 0, payload: Uint8Array.of(0xac) }),
    ];
    expect(toldOf(joined(frames))).toEqual([["text", "€"]]);
  });

  it("fragments, each with a mask of its own, with control frames between them", () => {
    const frames = [
      rawFrame({ opcode: 2, fin: false, payload: "ab", mask: MASK }),
      rawFrame({ opcode: 9, payload: "p", mask: [9, 9, 9, 9] }),
      rawFrame({ opcode: 0, fin: false, payload: "", mask: [0, 0, 0, 0] }),
      rawFrame({ opcode: 10, payload: "q", mask: MASK }),
      rawFrame({ opcode: 0, fin: false, payload: "cde", mask: [7, 0, 255, 1] }),
      rawFrame({ opcode: 0, payload: "f", mask: [5, 6, 7, 8] }),
      rawFrame({ opcode: 1, payload: "next", mask: MASK }),
    ];
    expect(toldOf(joined(frames), { from: "client" })).toEqual([
      ["ping", "p"],
      ["pong", "q"],
      ["binary", "abcdef"],
      ["text", "next"],
    ]);
  });

  it("a close with and without a reason, and nothing after it", () => {
    const after = rawFrame({ opcode: 1, payload: "late" });
    const withReason = rawFrame({
      opcode: 8,
      payload: joined([Uint8Array.of(0x0f, 0xa0), new TextEncoder().encode("完")]),
    });
    expect(toldOf(joined([withReason, after]))).toEqual([["close", 4000, "完"]]);
    expect(toldOf(joined([rawFrame({ opcode: 8, payload: Uint8Array.of(3, 0xe8) }), after]))).toEqual([
      ["close", 1000, ""],
    ]);
    expect(toldOf(joined([rawFrame({ opcode: 8 }), after]))).toEqual([["close", 1005, ""]]);
  });

  it("a large message in pieces of one byte", () => {
    const payload = Uint8Array.from({ length: 200_000 }, (_, i) => i % 251);
    const bytes = rawFrame({ opcode: 2, payload, mask: MASK });
    const messages: Uint8Array[] = [];
    const made = new Receiver({
      from: "client",
      payloadBytesMax: 2 ** 20,
      events: { ...IGNORE, onBinary: (message) => messages.push(message) },
    });
    for (let i = 0; i < bytes.length; i++) made.push(bytes.subarray(i, i + 1));
    expect(latinOf(messages[0]!)).toBe(latinOf(payload));
  });
});

describe("a receiver's buffers", () => {
  /** A pool that knows what is out. */
  function watched(): { pool: BufferPool; out: Set<Uint8Array>; lengths: number[] } {
    const out = new Set<Uint8Array>();
    const lengths: number[] = [];
    const pool: BufferPool = {
      allocate: (bytes) => {
        const buffer = new Uint8Array(bytes);
        out.add(buffer);
        lengths.push(bytes);
        return buffer;
      },
      release: (buffer) => {
        expect(out.delete(buffer)).toBe(true);
      },
    };
    return { pool, out, lengths };
  }

  it("are the message's own memory while the handler runs, and come back after it", () => {
    const { pool, out, lengths } = watched();
    let seen = 0;
    const made = new Receiver({
      from: "server",
      payloadBytesMax: 2 ** 20,
      buffers: pool,
      events: { ...IGNORE, onBinary: (message) => void (expect(out.has(message)).toBe(true), seen++) },
    });
    for (let i = 0; i < 3; i++) made.push(rawFrame({ opcode: 2, payload: new Uint8Array(1000) }));
    expect([seen, out.size, lengths]).toEqual([3, 0, [1000, 1000, 1000]]);
  });

  it("come back when the handler throws, when the rest never comes, and when it breaks the protocol", () => {
    const { pool, out } = watched();
    const bug = () => {
      throw new Error("a bug");
    };
    const made = (onBinary: () => void) =>
      new Receiver({ from: "server", payloadBytesMax: 2 ** 20, buffers: pool, events: { ...IGNORE, onBinary } });
    expect(() => made(bug).push(rawFrame({ opcode: 2, payload: "abc" }))).toThrow("a bug");
    expect(out.size).toBe(0);
    const cut = made(() => {});
    cut.push(rawFrame({ opcode: 2, payload: "abc", declared: 100 }));
    expect(out.size).toBe(1);
    cut.stop();
    expect(out.size).toBe(0);
    const broken = made(() => {});
    broken.push(rawFrame({ opcode: 2, fin: false, payload: "abc" }));
    expect(() => broken.push(rawFrame({ opcode: 2 }))).toThrow("before the one under way");
    expect(out.size).toBe(0);
  });

  it("come back when the handler stops the receiver, once", () => {
    const { pool, out } = watched();
    const made = new Receiver({
      from: "server",
      payloadBytesMax: 2 ** 20,
      buffers: pool,
      events: { ...IGNORE, onBinary: () => made.stop() },
    });
    made.push(joined([rawFrame({ opcode: 2, payload: "a" }), rawFrame({ opcode: 2, payload: "b" })]));
    expect(out.size).toBe(0);
  });

  it("grow with what has come, not with what is announced, until as much has come before", () => {
    const MB = 1024 * 1024;
    const { pool, lengths } = watched();
    const made = new Receiver({ from: "server", payloadBytesMax: 256 * MB, buffers: pool, events: IGNORE });
    const message = rawFrame({ opcode: 2, payload: new Uint8Array(5 * MB) });
    made.push(message.subarray(0, 14));
    expect(lengths).toEqual([MB]);
    for (let at = 14; at < message.length; at += 65_536) made.push(message.subarray(at, at + 65_536));
    expect(lengths).toEqual([MB, 2 * MB, 4 * MB, 8 * MB]);
    made.push(message);
    expect(lengths.slice(4)).toEqual([5 * MB]);
  });

  it("are few for a message of many small fragments", () => {
    const { pool, lengths, out } = watched();
    const made = new Receiver({ from: "server", payloadBytesMax: 2 ** 20, buffers: pool, events: IGNORE });
    made.push(rawFrame({ opcode: 2, fin: false, payload: "x" }));
    const fragment = rawFrame({ opcode: 0, fin: false, payload: "x" });
    for (let i = 0; i < 10_000; i++) made.push(fragment);
    made.push(rawFrame({ opcode: 0 }));
    expect(lengths.length).toBeLessThan(20);
    expect(out.size).toBe(0);
  });
});

const IGNORE: ReceiverOptions["events"] = {
  onText: () => {},
  onBinary: () => {},
  onPing: () => {},
  onPong: () => {},
  onClose: () => {},
};

/** Faster to compare than arrays are. */
const latinOf = (bytes: Uint8Array): string => new TextDecoder("latin1").decode(bytes);
