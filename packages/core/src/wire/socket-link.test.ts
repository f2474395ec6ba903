/** What the contract cannot show with a real peer: a peer that is slow, mute or floods. */
import { describe, expect, it } from "vitest";
import { LIMITS } from "../limits.ts";
import { SimulatedClock } from "../testing/simulated-clock.ts";
import { encodeControl, PROTOCOL_MAX, PROTOCOL_MIN } from "./control.ts";
import { encodeFrame, frame } from "./frame.ts";
import type { Link } from "./link.ts";
import { acceptLink, openLink, type FaultSink, type Socket } from "./socket-link.ts";
import { joined } from "./websocket/raw-frames.ts";

class FakeSocket implements Socket {
  binaryType = "";
  readyState = 1;
  bufferedAmount = 0;
  readonly sent: (string | Uint8Array)[] = [];
  closedWith: { code: number | undefined; reason: string | undefined } | undefined;
  onopen: ((event: never) => void) | null = null;
  onmessage: ((event: { data: unknown }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;
  onerror: ((event: { message?: string }) => void) | null = null;

  send(data: string | Uint8Array): void {
    this.sent.push(data);
  }

  close(code?: number, reason?: string): void {
    this.readyState = 2;
    this.closedWith = { code, reason };
  }

  says(data: unknown): void {
    this.onmessage?.({ data });
  }
}

const HELLO = encodeControl({
  type: "hello",
  protocol: { min: PROTOCOL_MIN, max: PROTOCOL_MAX },
  role: "worker",
  name: "w",
});

async function accepted(onFault?: FaultSink): Promise<{ socket: FakeSocket; link: Link }>;
async function accepted<S extends FakeSocket>(onFault: undefined, socket: S): Promise<{ socket: S; link: Link }>;
async function accepted(onFault?: FaultSink, socket = new FakeSocket()): Promise<{ socket: FakeSocket; link: Link }> {
  const accepting = acceptLink({
    socket,
    name: "server",
    clock: new SimulatedClock(),
    ...(onFault ? { onFault } : {}),
  });
  socket.says(HELLO);
  const peer = await accepting;
  if (!peer) throw new Error("the hello was refused");
  return { socket, link: peer.link };
}

describe("openLink()", () => {
  it("gives up where nothing answers the hello, and closes the socket", async () => {
    const clock = new SimulatedClock();
    const socket = new FakeSocket();
    const opening = openLink({ socket, address: "ws://there:1", hello: { role: "worker", name: "w" }, clock });
    const outcome = opening.catch((error: unknown) => error);
    await clock.advance(LIMITS.helloTimeoutMs);
    expect(await outcome).toMatchObject({
      code: "TIMEOUT",
      message: "cannot connect to ws://there:1: no answer within 5000 ms",
    });
    expect(socket.closedWith?.code).toBe(4000);
  });

  it("gives up where the connection never opens", async () => {
    const clock = new SimulatedClock();
    const socket = new FakeSocket();
    socket.readyState = 0;
    const opening = openLink({ socket, address: "ws://there:1", hello: { role: "worker", name: "w" }, clock });
    const outcome = opening.catch((error: unknown) => error);
    await clock.advance(LIMITS.helloTimeoutMs);
    expect(await outcome).toMatchObject({ code: "TIMEOUT" });
    expect(socket.sent).toEqual([]);
    expect(socket.closedWith).toEqual({ code: 4000, reason: "no answer within 5000 ms" });
  });

  it("says what it found where no Volary server answers", async () => {
    const socket = new FakeSocket();
    const clock = new SimulatedClock();
    const opening = openLink({ socket, address: "ws://there:1", hello: { role: "worker", name: "w" }, clock });
    socket.says('{"type":"heartbeat"}');
    await expect(opening).rejects.toThrow('ws://there:1 answered hello with "heartbeat"; is it a Volary server?');
  });
});

describe("a link", () => {
  it("closes on a peer that reads too slowly, before it runs out of memory", async () => {
    const { socket, link } = await accepted();
    const reasons: string[] = [];
    link.listen({ onControl: () => {}, onFrame: () => {}, onClose: (reason) => reasons.push(reason) });
    socket.bufferedAmount = LIMITS.sendBufferBytesMax;
    link.sendFrame(frame({ opcode: "pullReply" }));
    expect(reasons).toEqual([]);
    socket.bufferedAmount++;
    link.sendFrame(frame({ opcode: "pullReply" }));
    expect(reasons).toEqual([`w reads too slowly: ${LIMITS.sendBufferBytesMax + 1} bytes wait for it`]);
    expect(socket.closedWith?.code).toBe(4003);
  });

  it("closes on a peer that floods it before anyone listens", async () => {
    const { socket, link } = await accepted();
    for (let i = 0; i <= LIMITS.earlyFramesMax; i++) socket.says('{"type":"heartbeat"}');
    expect(socket.closedWith?.reason).toContain("before anyone listened");
    let closed = "";
    link.listen({ onControl: () => {}, onFrame: () => {}, onClose: (reason) => (closed = reason) });
    expect(closed).toContain("before anyone listened");
  });

  it("copies what waits for a listener, since its memory may be used again", async () => {
    const { socket, link } = await accepted();
    const bytes = encodeFrame(frame({ opcode: "pull", requestId: 7 }));
    socket.says(bytes);
    bytes.fill(0xdb);
    const heard: number[] = [];
    link.listen({ onControl: () => {}, onFrame: ({ requestId }) => heard.push(requestId), onClose: () => {} });
    expect(heard).toEqual([7]);
  });

  it("refuses a message that is neither text nor binary", async () => {
    const { socket, link } = await accepted();
    let closed = "";
    link.listen({ onControl: () => {}, onFrame: () => {}, onClose: (reason) => (closed = reason) });
    socket.says(new Blob([]));
    expect(closed).toBe("a message is neither text nor binary");
    expect(socket.closedWith?.code).toBe(4002);
  });

  it("outlives a listener that throws when it hears of the close", async () => {
    const faults: unknown[] = [];
    const { socket, link } = await accepted((error) => faults.push(error));
    const bug = new Error("bug");
    link.listen({
      onControl: () => {},
      onFrame: () => {},
      onClose: () => {
        throw bug;
      },
    });
    socket.onclose?.({ code: 1006, reason: "" });
    expect(faults).toEqual([bug]);
  });
});

/** Sends two pieces from where they lie, when the test says so. */
class GatheringSocket extends FakeSocket {
  readonly waiting: { head: Uint8Array; body: Uint8Array; onSent: () => void }[] = [];

  sendPieces(head: Uint8Array, body: Uint8Array, onSent: () => void): void {
    this.waiting.push({ head, body, onSent });
  }
}

describe("a lent frame", () => {
  const lent = (floats: number) =>
    frame({ opcode: "reduce", values: Float32Array.from({ length: floats }, (_, i) => i), lent: true });

  it("is sent from where its values lie, and told of once they may change", async () => {
    const { socket, link } = await accepted(undefined, new GatheringSocket());
    const f = lent(32_768);
    let told = 0;
    link.sendFrame(f, () => told++);
    const [{ head, body, onSent }] = socket.waiting as [GatheringSocket["waiting"][0]];
    expect(body.buffer).toBe(f.values.buffer);
    expect(joined([head, body])).toEqual(encodeFrame(f));
    expect(told).toBe(0);
    onSent();
    expect(told).toBe(1);
  });

  it.each([
    ["is small", new GatheringSocket(), lent(2)],
    ["has values that need padding", new GatheringSocket(), lent(32_769)],
    ["finds a socket that sends one piece only", new FakeSocket(), lent(32_768)],
  ])("is copied where it %s, and told of at once", async (_, socket, f) => {
    const { link } = await accepted(undefined, socket);
    let told = 0;
    link.sendFrame(f, () => told++);
    expect(told).toBe(1);
    const sent = socket.sent.at(-1) as Uint8Array;
    expect(sent.slice()).toEqual(encodeFrame(f));
    expect(sent.buffer).not.toBe(f.values.buffer);
  });

  it("is told of where the link has closed", async () => {
    const { socket, link } = await accepted(undefined, new GatheringSocket());
    link.close("over");
    let told = 0;
    link.sendFrame(lent(32_768), () => told++);
    expect([told, socket.waiting]).toEqual([1, []]);
  });
});
