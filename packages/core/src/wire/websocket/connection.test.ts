/** How a connection opens, answers and ends, over a stream that does only what a test says. */
import { describe, expect, it } from "vitest";
import { LIMITS } from "../../limits.ts";
import { SimulatedClock } from "../../testing/simulated-clock.ts";
import { Connection } from "./connection.ts";
import { FakeStream } from "./fake-stream.ts";
import { rawFrame } from "./raw-frames.ts";

const MASK = [1, 2, 3, 4] as const;

function connection(role: "client" | "server" = "server") {
  const clock = new SimulatedClock();
  const stream = new FakeStream();
  const told: unknown[] = [];
  const made = new Connection({
    clock,
    abort: () => told.push("aborted"),
    end: role === "server" ? { role } : { role, mask: () => 0 },
  });
  made.onopen = () => told.push("open");
  made.onmessage = ({ data }) => told.push(data);
  made.onerror = ({ message }) => told.push(`error: ${message}`);
  made.onclose = ({ code, reason }) => told.push([code, reason]);
  /** A frame of the peer's. */
  const hears = (opcode: number, payload: Uint8Array | string = "") =>
    made.receive(rawFrame({ opcode, payload, ...(role === "server" ? { mask: MASK } : {}) }));
  return { clock, stream, told, made, hears };
}

function opened(role: "client" | "server" = "server") {
  const c = connection(role);
  c.made.open(c.stream);
  c.told.length = 0;
  return c;
}

const close = (code: number, reason = "") =>
  Uint8Array.from([code >> 8, code & 255, ...new TextEncoder().encode(reason)]);

describe("a connection that opens", () => {
  it("sends nothing before it is open, and tells that nothing is kept", () => {
    const { made, stream, told } = connection();
    let sent = 0;
    made.send("early", () => sent++);
    expect([made.readyState, made.bufferedAmount, sent]).toEqual([0, 0, 1]);
    made.open(stream);
    expect([made.readyState, told, stream.bytes]).toEqual([1, ["open"], []]);
  });

  it("tells of pieces, too, that they are not kept", () => {
    let sent = 0;
    connection().made.sendPieces(Uint8Array.of(1), Uint8Array.of(2), () => sent++);
    expect(sent).toBe(1);
  });

  it("gives up when it is closed first, and wants no stream any more", () => {
    const { made, stream, told } = connection("client");
    made.close(4000, "too late");
    expect(told).toEqual(["aborted", [1006, ""]]);
    made.open(stream);
    expect([made.readyState, stream.isDestroyed]).toEqual([3, true]);
  });

  it("says why it did not come", () => {
    const { made, told } = connection("client");
    made.streamClosed(new Error("connect ECONNREFUSED"));
    expect(told).toEqual(["error: connect ECONNREFUSED", [1006, ""]]);
  });
});

describe("an open connection", () => {
  it("tells text as a string and binary as bytes", () => {
    const { hears, told } = opened();
    hears(1, "a");
    hears(2, Uint8Array.of(1, 2));
    expect(told).toEqual(["a", Uint8Array.of(1, 2)]);
  });

  it("answers a ping with its payload", () => {
    const { hears, stream } = opened();
    hears(9, "hi");
    expect(stream.bytes).toEqual([0x8a, 2, 104, 105]);
  });

  it("has one pong under way, however many pings come, and answers the last", () => {
    const { hears, stream } = opened();
    for (const payload of ["a", "b", "c", "d"]) hears(9, payload);
    expect(stream.bytes).toEqual([0x8a, 1, 97]);
    stream.sent();
    expect(stream.bytes).toEqual([0x8a, 1, 97, 0x8a, 1, 100]);
    stream.sent();
    hears(9, "e");
    expect(stream.bytes.slice(6)).toEqual([0x8a, 1, 101]);
  });

  it("knows what is not sent yet", () => {
    const { made, stream } = opened();
    stream.bufferedBytes = 77;
    expect(made.bufferedAmount).toBe(77);
  });
});

describe("a connection that closes", () => {
  it("answers the peer's close with its code and reason; the server ends the stream, the client waits for that", () => {
    for (const role of ["server", "client"] as const) {
      const { hears, stream, made, told } = opened(role);
      hears(8, close(4000, "done"));
      const header = role === "server" ? [0x88, 6] : [0x88, 0x86, 0, 0, 0, 0];
      expect(stream.bytes).toEqual([...header, ...close(4000, "done")]);
      expect([stream.isEnded, made.readyState]).toEqual([role === "server", 2]);
      made.streamClosed();
      expect(told).toEqual([[4000, "done"]]);
    }
  });

  it("answers a close without a code with none", () => {
    const { hears, stream, made, told } = opened();
    hears(8);
    expect(stream.bytes).toEqual([0x88, 0]);
    made.streamClosed();
    expect(told).toEqual([[1005, ""]]);
  });

  it("hears on until the peer's close has come, and sends nothing more", () => {
    const { made, hears, stream, told } = opened();
    made.close(4000, "bye");
    made.close(4001, "again");
    const sentBytes = stream.bytes;
    expect(sentBytes).toEqual([0x88, 5, 0x0f, 0xa0, 98, 121, 101]);
    let sent = 0;
    made.send("late", () => sent++);
    hears(1, "still coming");
    hears(9, "ping");
    hears(8, close(4000));
    expect([stream.bytes, sent]).toEqual([sentBytes, 1]);
    expect(stream.isEnded).toBe(true);
    made.streamClosed();
    expect(told).toEqual(["still coming", [4000, ""]]);
  });

  it("cuts off a peer that does not answer", async () => {
    const { made, stream, clock } = opened("client");
    made.close(4000);
    await clock.advance(LIMITS.closeTimeoutMs - 1);
    expect(stream.isDestroyed).toBe(false);
    await clock.advance(1);
    expect(stream.isDestroyed).toBe(true);
  });

  it("cuts off a peer that has ended its half and does not read", async () => {
    const { made, stream, clock } = opened();
    made.streamEnded();
    expect([stream.isEnded, made.readyState]).toEqual([true, 2]);
    await clock.advance(LIMITS.closeTimeoutMs);
    expect(stream.isDestroyed).toBe(true);
  });

  it("says that it broke where no close came, once", () => {
    const { made, told } = opened();
    made.streamEnded();
    made.streamClosed(new Error("read ECONNRESET"));
    made.streamClosed();
    expect(told).toEqual(["error: read ECONNRESET", [1006, ""]]);
  });

  it("says why to a peer that breaks the protocol, and hears nothing more of it", () => {
    const { made, stream, told, hears } = opened();
    made.receive(rawFrame({ opcode: 3, mask: MASK }));
    expect(stream.bytes.slice(0, 4)).toEqual([0x88, stream.bytes.length - 2, 0x03, 0xea]);
    expect([stream.isEnded, made.readyState]).toEqual([true, 2]);
    hears(1, "more");
    expect(told).toEqual(["error: the WebSocket protocol is broken: unknown opcode 3"]);
  });

  it("cuts a reason of any length between characters", () => {
    const { made, stream } = opened();
    made.close(4000, "ü".repeat(100));
    expect(stream.bytes.slice(0, 2)).toEqual([0x88, 2 + 122]);
  });

  it("drops everything when it is terminated", () => {
    const { made, stream } = opened();
    made.terminate();
    expect(stream.isDestroyed).toBe(true);
    const early = connection("client");
    early.made.terminate();
    expect(early.told).toEqual(["aborted", [1006, ""]]);
  });
});
