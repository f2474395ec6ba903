/**
 * WebSockets over Node's TCP and TLS streams: the HTTP upgrade of both ends, and the bytes after it. The worker has the
 * same few lines: what can be shared is in core.
 */
import { createHash, randomBytes } from "node:crypto";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { Socket as NetSocket, type SocketConstructorOpts } from "node:net";
import type { Duplex } from "node:stream";
import type { Clock } from "@volary/core/wire";
import {
  acceptText,
  Connection,
  gatheredWrites,
  readUpgrade,
  refusalResponse,
  responseFault,
  upgradeHeaders,
  upgradeResponse,
  type BufferPool,
} from "@volary/core/wire/websocket";

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[::1\])$/;

export interface AcceptSocketOptions {
  clock: Clock;
  /** Where binary messages are written, valid until the handler returns; by default each has its own, for ever. */
  buffers?: BufferPool | undefined;
  /** A message that is longer closes the connection before it is read. */
  payloadBytesMax?: number | undefined;
}

export interface ConnectSocketOptions extends AcceptSocketOptions {
  /**
   * Nothing between here and there takes our bytes for HTTP, so a mask of zeros will do, which costs nothing. By
   * default that is so where the address is this machine's loopback.
   */
  trustedNetwork?: boolean | undefined;
}

/**
 * Opens a connection: the socket is CONNECTING when this returns.
 *
 * @param address ws:// or wss://
 * @throws {TypeError} the address is no URL
 */
export function connectSocket(address: string, o: ConnectSocketOptions): Connection {
  const key = randomBytes(16).toString("base64");
  const url = new URL(address.replace(/^ws/, "http"));
  const { trustedNetwork = LOOPBACK.test(url.hostname), clock, buffers } = o;
  const request = (url.protocol === "https:" ? httpsRequest : httpRequest)(url, {
    headers: upgradeHeaders(key),
    agent: false,
  });
  const connection = new Connection({
    clock,
    buffers,
    end: { role: "client", mask: trustedNetwork ? () => 0 : () => randomBytes(4).readUInt32LE() },
    abort: () => request.destroy(),
  });
  const fail = (error: Error) => {
    connection.streamClosed(error);
    request.destroy();
  };
  request.on("error", fail);
  request.on("response", ({ statusCode }) => fail(new Error(`the server answers with status ${statusCode}`)));
  request.on("upgrade", ({ headers }, stream, head) => {
    const fault = responseFault(headers, { accept: acceptOf(key) });
    if (fault) fail(new Error(`no WebSocket server: ${fault}`));
    else attach(connection, stream, head);
  });
  request.end();
  return connection;
}

/** @returns an open socket that brings nothing before the next turn; undefined where the upgrade is refused */
export function acceptSocket(
  { request, stream, head }: { request: IncomingMessage; stream: Duplex; head: Buffer },
  o: AcceptSocketOptions,
): Connection | undefined {
  const upgrade = readUpgrade(request);
  if ("refusal" in upgrade) {
    refuseUpgrade(stream, upgrade.refusal);
    return undefined;
  }
  const connection = new Connection({ ...o, end: { role: "server" } });
  stream.write(upgradeResponse(acceptOf(upgrade.key)));
  attach(connection, stream, head);
  return connection;
}

/** @param status as "403 Forbidden" */
export function refuseUpgrade(stream: Duplex, status: string): void {
  stream.on("error", () => stream.destroy());
  stream.end(refusalResponse(status));
}

function attach(connection: Connection, upgraded: Duplex, head: Buffer): void {
  let failure: Error | undefined;
  const receive = (bytes: Buffer) => connection.receive(bytes);
  const stream = upgraded instanceof NetSocket ? readingInPlace(upgraded, receive) : upgraded;
  stream.on("error", (error) => (failure = error));
  stream.on("end", () => connection.streamEnded());
  stream.on("close", () => connection.streamClosed(failure));
  if (head.length > 0) process.nextTick(receive, head);
  if (!(upgraded instanceof NetSocket)) stream.on("data", receive);
  connection.open(gatheredWrites(stream, (run) => process.nextTick(run)));
}

/** One for all sockets: what one has read is taken before another reads. */
const READ_BUFFER = Buffer.allocUnsafeSlow(256 * 1024);

/** What `net` keeps of a socket beside its public face. */
interface SocketInternals {
  _handle: object | null;
  _server?: object | null;
}

/**
 * The same connection as a socket that reads into one buffer, again and again. By `data` events every 64 KB are an
 * array of their own, and V8 collects garbage after each 64 MB of them: half of a parameter server's time (Node 24, 2
 * vCPU, November 2026). Node offers `onread` for sockets that it connects, not for those of an upgrade
 * (https://nodejs.org/api/net.html#new-netsocketoptions), so the handle moves to a new socket; where a Node of another
 * make has no handle, the socket stays as it is. Delete this when `net.Server` takes `onread`.
 */
function readingInPlace(upgraded: NetSocket, receive: (bytes: Buffer) => void): NetSocket {
  upgraded.setTimeout(0).setNoDelay(true);
  const before = upgraded as unknown as SocketInternals;
  const { _handle: handle, _server: server } = before;
  const isTls = "encrypted" in upgraded;
  if (!handle || isTls) {
    upgraded.on("data", receive);
    return upgraded;
  }
  before._handle = null;
  before._server = null;
  const onread = {
    buffer: READ_BUFFER,
    callback: (n: number, bytes: Uint8Array) => {
      receive(bytes.subarray(0, n) as Buffer);
      return true;
    },
  };
  const socket = new NetSocket({ handle, onread } as unknown as SocketConstructorOpts);
  if (server) (socket as unknown as SocketInternals)._server = server;
  socket.once("close", () => upgraded.destroy()); // who waits for its close
  return socket;
}

/** The answer to a key: RFC 6455 §4.2.2 asks for SHA-1, which proves nothing but that the server has read it. */
function acceptOf(key: string): string {
  return createHash("sha1").update(acceptText(key)).digest("base64");
}
