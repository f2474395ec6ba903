/** Our WebSockets and those of the `ws` package, which browsers' are checked against, understand each other. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import { connect, type AddressInfo, type Socket as NetSocket } from "node:net";
import { RecycledBuffers, type Connection } from "@volary/core/wire/websocket";
import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocket, WebSocketServer, type ClientOptions } from "ws";
import { realClock as clock } from "./clock.ts";
import { acceptSocket, connectSocket, type AcceptSocketOptions, type ConnectSocketOptions } from "./node-socket.ts";

type Heard = (string | Uint8Array)[];

async function listening(server: Server): Promise<string> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** Our server, which sends every message back, and closes with the code and reason of the peer. */
async function ourServer(o: Partial<AcceptSocketOptions> = {}): Promise<{ address: string; accepted: Connection[] }> {
  const accepted: Connection[] = [];
  const server = createServer();
  server.on("upgrade", (request, stream, head) => {
    const socket = acceptSocket({ request, stream, head }, { clock, ...o });
    if (!socket) return;
    accepted.push(socket);
    onTestFinished(() => socket.terminate());
    socket.onmessage = ({ data }) =>
      socket.send(typeof data === "string" ? data : new Uint8Array(data as Uint8Array<ArrayBuffer>));
  });
  return { address: await listening(server), accepted };
}

async function theirServer(server = createServer()): Promise<{ address: string; accepted: WebSocket[] }> {
  const accepted: WebSocket[] = [];
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  sockets.on("connection", (socket) => {
    accepted.push(socket);
    onTestFinished(() => socket.terminate());
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  });
  return { address: await listening(server), accepted };
}

async function ourClient(address: string, o: Partial<ConnectSocketOptions> = {}): Promise<Connection> {
  const socket = connectSocket(address, { clock, ...o });
  onTestFinished(() => socket.terminate());
  await new Promise<void>((resolve, reject) => {
    socket.onopen = () => resolve();
    socket.onerror = ({ message }) => reject(new Error(message));
  });
  return socket;
}

async function theirClient(address: string, o: ClientOptions = {}): Promise<WebSocket> {
  const socket = new WebSocket(address, o);
  onTestFinished(() => socket.terminate());
  await once(socket, "open");
  return socket;
}

/** What a socket of either kind hears: the first `n` messages. */
function heard(socket: Connection | WebSocket, n: number): Promise<Heard> {
  const messages: Heard = [];
  socket.binaryType = "arraybuffer";
  return new Promise((resolve) => {
    socket.onmessage = ({ data }: { data: unknown }) => {
      messages.push(typeof data === "string" ? data : new Uint8Array(data as Uint8Array<ArrayBuffer>).slice());
      if (messages.length === n) resolve(messages);
    };
  });
}

function closed(socket: Connection | WebSocket): Promise<{ code: number; reason: string }> {
  return new Promise((resolve) => {
    socket.onclose = ({ code, reason }: { code: number; reason: string }) => resolve({ code, reason });
  });
}

const MESSAGES: Heard = ["", "Ж 学习 \u{1F426}", ...[0, 1, 125, 126, 65_535, 65_536, 3_000_000].map(patternOf)];

function patternOf(bytes: number): Uint8Array<ArrayBuffer> {
  return Uint8Array.from({ length: bytes }, (_, i) => (i * 31 + (i >> 8)) & 255);
}

async function exchanges(socket: Connection | WebSocket): Promise<void> {
  const answers = heard(socket, MESSAGES.length);
  for (const message of MESSAGES) socket.send(message as Uint8Array<ArrayBuffer>);
  const got = await answers;
  for (const [i, message] of MESSAGES.entries()) {
    if (typeof message === "string") expect(got[i]).toBe(message);
    else expect(Buffer.compare(Buffer.from(got[i] as Uint8Array), Buffer.from(message))).toBe(0);
  }
}

describe("our server", () => {
  it("exchanges messages with a client of another make, which masks and offers compression", async () => {
    await exchanges(await theirClient((await ourServer()).address));
  });

  it("exchanges messages that lie in recycled buffers", async () => {
    const buffers = new RecycledBuffers({ bytesMax: 2 ** 24 });
    await exchanges(await theirClient((await ourServer({ buffers })).address));
    await exchanges(await ourClient((await ourServer({ buffers })).address, { trustedNetwork: true }));
  });

  it("takes another make's fragments, with a ping between them, and answers the ping", async () => {
    const socket = await theirClient((await ourServer()).address);
    const answer = heard(socket, 1);
    const pong = once(socket, "pong") as Promise<[Buffer]>;
    socket.send("one, ", { fin: false });
    socket.ping("still there?");
    socket.send("two, ", { fin: false });
    socket.send("three", { fin: true });
    expect(await answer).toEqual(["one, two, three"]);
    expect(String((await pong)[0])).toBe("still there?");
  });

  it("hears another make's close, and is heard", async () => {
    const { address, accepted } = await ourServer();
    const first = await theirClient(address);
    const firstClosed = [closed(first), closed(accepted[0]!)];
    first.close(4001, "client: 完");
    expect(await Promise.all(firstClosed)).toEqual([
      { code: 4001, reason: "client: 完" },
      { code: 4001, reason: "client: 完" },
    ]);
    const second = await theirClient(address);
    const secondClosed = [closed(second), closed(accepted[1]!)];
    accepted[1]!.close(4002, "server");
    expect(await Promise.all(secondClosed)).toEqual([
      { code: 4002, reason: "server" },
      { code: 4002, reason: "server" },
    ]);
  });

  it("says 1006 when a client is gone without a word", async () => {
    const { address, accepted } = await ourServer();
    const socket = await theirClient(address);
    const gone = closed(accepted[0]!);
    socket.terminate();
    expect(await gone).toEqual({ code: 1006, reason: "" });
  });

  it("tells a client what it broke, by the code", async () => {
    const { address } = await ourServer();
    const client = await theirClient(address);
    const gone = closed(client);
    (client as unknown as { _socket: NetSocket })._socket.write(Buffer.of(0x83, 0x80, 0, 0, 0, 0));
    expect(await gone).toEqual({ code: 1002, reason: "the WebSocket protocol is broken: unknown opcode 3" });
  });

  it("takes frames that come in the packet of the request", async () => {
    const { address } = await ourServer();
    const port = Number(new URL(address).port);
    const stream = connect(port, "127.0.0.1");
    onTestFinished(() => void stream.destroy());
    const request =
      "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write(Buffer.concat([Buffer.from(request), Buffer.of(0x81, 0x82, 0, 0, 0, 0, 104, 105)]));
    let got = "";
    stream.setEncoding("latin1");
    for await (const chunk of stream) {
      got += chunk as string;
      if (got.endsWith("\u0081\u0002hi")) break;
    }
    expect(got).toContain("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  });
});

describe("our client", () => {
  it.each([true, false])("exchanges messages with a server of another make (trusted network: %s)", async (trusted) => {
    await exchanges(await ourClient((await theirServer()).address, { trustedNetwork: trusted }));
  });

  it("exchanges messages that lie in recycled buffers", async () => {
    const buffers = new RecycledBuffers({ bytesMax: 2 ** 24 });
    await exchanges(await ourClient((await theirServer()).address, { buffers }));
  });

  it("answers another make's ping", async () => {
    const { address, accepted } = await theirServer();
    await ourClient(address);
    const pong = once(accepted[0]!, "pong") as Promise<[Buffer]>;
    accepted[0]!.ping("there?");
    expect(String((await pong)[0])).toBe("there?");
  });

  it("hears another make's close, and is heard", async () => {
    const { address, accepted } = await theirServer();
    const first = await ourClient(address);
    const firstClosed = [closed(first), closed(accepted[0]!)];
    first.close(4001, "client");
    expect(await Promise.all(firstClosed)).toEqual([
      { code: 4001, reason: "client" },
      { code: 4001, reason: "client" },
    ]);
    const second = await ourClient(address);
    const secondClosed = [closed(second), closed(accepted[1]!)];
    accepted[1]!.close(4002, "server: 完");
    expect(await Promise.all(secondClosed)).toEqual([
      { code: 4002, reason: "server: 完" },
      { code: 4002, reason: "server: 完" },
    ]);
  });

  it("tells when what it sends may be changed: at once with a mask, when it is sent without one, and when it is lost", async () => {
    const { address, accepted } = await theirServer();
    for (const trustedNetwork of [true, false]) {
      const socket = await ourClient(address, { trustedNetwork });
      await new Promise<void>((resolve) => socket.send(patternOf(100_000), resolve));
    }
    const socket = await ourClient(address, { trustedNetwork: true });
    accepted.at(-1)!.pause();
    let told = 0;
    const sent = Array.from(
      { length: 8 },
      () => new Promise<void>((resolve) => socket.send(new Uint8Array(4_000_000), () => (told++, resolve()))),
    );
    expect(socket.bufferedAmount).toBeGreaterThan(0);
    socket.terminate();
    await Promise.all(sent);
    expect(told).toBe(8);
  });

  it("masks with zeros on a trusted network, which the loopback is unless it is said not to be", async () => {
    const server = createServer();
    const { address, accepted } = await theirServer(server);
    const masks: number[] = [];
    server.on("connection", (stream) =>
      stream.on("data", (chunk: Buffer) => chunk[0] === 0x81 && masks.push(chunk.readUInt32BE(2))),
    );
    for (const o of [{}, { trustedNetwork: true }, { trustedNetwork: false }, { trustedNetwork: false }]) {
      const socket = await ourClient(address, o);
      const answer = heard(socket, 1);
      socket.send("x");
      await answer;
    }
    expect(accepted).toHaveLength(4);
    expect(masks.slice(0, 2)).toEqual([0, 0]);
    expect(new Set(masks.slice(1)).size).toBe(3); // two masks of 2^32 are the same once in a lifetime
  });

  it("says what is wrong where there is no WebSocket server", async () => {
    const nothing = await listening(createServer((_, response) => response.writeHead(404).end()));
    await expect(ourClient(nothing)).rejects.toThrow("the server answers with status 404");
    const impostor = createServer();
    impostor.on("upgrade", (_, stream) =>
      stream.end("HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"),
    );
    await expect(ourClient(await listening(impostor))).rejects.toThrow("its answer is to another key");
    await expect(ourClient("ws://127.0.0.1:1")).rejects.toThrow("ECONNREFUSED");
    expect(() => connectSocket("nowhere", { clock })).toThrow(TypeError);
  });

  it("breaks off a server's frame that is masked", async () => {
    const { address, accepted } = await theirServer();
    const socket = await ourClient(address);
    const fault = new Promise<string | undefined>((resolve) => (socket.onerror = ({ message }) => resolve(message)));
    (accepted[0] as unknown as { _socket: NetSocket })._socket.write(Buffer.of(0x81, 0x81, 0, 0, 0, 0, 0));
    expect(await fault).toContain("a frame of a server is masked");
  });
});
