/**
 * One port for everything a server answers: WebSocket links, `GET /health`, `GET /metrics`, and pages where it has some.
 *
 * A page of another site cannot reach it through its visitor's browser: an upgrade that names an origin is refused
 * unless that is this server, or one of `origins`. Processes name none.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo, Socket as NetSocket } from "node:net";
import { networkInterfaces } from "node:os";
import { ClusterError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import {
  acceptLink,
  type AcceptLinkOptions,
  type Clock,
  type ControlOf,
  type Link,
  type Socket,
} from "@volary/core/wire";
import type { Connection, BufferPool } from "@volary/core/wire/websocket";
import { realClock } from "./clock.ts";
import type { HttpRoutes } from "./http-routes.ts";
import { acceptSocket, refuseUpgrade } from "./node-socket.ts";

export interface ListenOptions extends Pick<
  AcceptLinkOptions,
  "name" | "refuse" | "onFault" | "unsentBytesMax" | "controlCharsMax"
> {
  host?: string;
  /** 0 takes a free one. */
  port: number;
  clock?: Clock;
  onLink: (link: Link, hello: ControlOf<"hello">) => void;
  /** Whose pages may open links, beside this server's own: "https://host:port". */
  origins?: readonly string[];
  /** Turns an upgrade away with a status line, as "403 Forbidden": in place of the check of its origin. */
  refuseUpgrade?: (request: IncomingMessage) => string | undefined;
  /** A message that is longer closes its link before it is read; `LIMITS.frameBytesMax` by default. */
  payloadBytesMax?: number | undefined;
  /** What this server answers beyond `/health` and `/metrics`. */
  routes?: HttpRoutes | undefined;
  /** Where frames are written as they arrive. With it, a frame's arrays are valid until `onFrame` returns. */
  buffers?: BufferPool | undefined;
  /** What `GET /metrics` answers. */
  metrics?: () => Promise<{ contentType: string; text: string }>;
  /** What is wrong with this server, for `GET /health`; undefined where nothing is. */
  trouble?: () => string | undefined;
  /** Gives an upgrade to another process; false where none takes it. */
  handOver?: (upgrade: { request: IncomingMessage; socket: NetSocket; head: Buffer }) => boolean;
  /** Connections come from another process, which has the port: `host` and `port` say nothing then. */
  behind?: Doorway | undefined;
}

/** Where a process that listens leaves connections to this one. */
export interface Doorway {
  /** ws://host:port/path of that process. */
  readonly address: string;
  /** Whom to tell of each connection, before anything was read of it. */
  onConnection: (take: (socket: NetSocket) => void) => void;
}

export interface Listening {
  /** ws://host:port, where others reach it */
  readonly address: string;
  readonly port: number;
  /** Closes the port and, after a moment in which they may end by themselves, all connections. */
  close: () => Promise<void>;
}

/**
 * Listens until it is closed.
 *
 * @throws {ClusterError} ADDRESS_IN_USE, naming the port
 */
export async function listen(o: ListenOptions): Promise<Listening> {
  const { host = "127.0.0.1", clock = realClock } = o;
  const timeouts = { requestTimeout: LIMITS.requestTimeoutMs, headersTimeout: LIMITS.requestTimeoutMs };
  const http = createServer(timeouts, (request, response) => void answerSafely(request, response, o));
  /** With what resolves once their streams are closed. */
  const connections = new Map<Connection, Promise<void>>();
  http.on("upgrade", (request, stream, head) => {
    if (o.handOver?.({ request, socket: stream as NetSocket, head })) return;
    const refusal = o.handOver ? "503 Service Unavailable" : refusalOf(request, connections.size, o);
    if (refusal) return refuseUpgrade(stream, refusal);
    const { buffers, payloadBytesMax } = o;
    const connection = acceptSocket({ request, stream, head }, { clock, buffers, payloadBytesMax });
    if (!connection) return;
    const closed = new Promise<void>((resolve) => stream.once("close", resolve));
    connections.set(connection, closed);
    void closed.then(() => connections.delete(connection));
    void greet(connection, clock, o);
  });
  if (o.behind) {
    const { address, onConnection } = o.behind;
    onConnection((socket) => http.emit("connection", socket));
    return { address, port: Number(new URL(address).port), close: () => close(http, connections, clock) };
  }
  await bind(http, host, o.port);
  http.on("error", (error) => o.onFault?.(error)); // no file descriptor left, for one: those it has are served on
  const { port } = http.address() as AddressInfo;
  return {
    port,
    address: `ws://${authority(reachable(host), port)}`,
    close: () => close(http, connections, clock),
  };
}

async function greet(socket: Socket, clock: Clock, o: ListenOptions): Promise<void> {
  const { name, refuse, unsentBytesMax, controlCharsMax, onFault = (error) => console.error(error) } = o;
  const limits = { unsentBytesMax, controlCharsMax };
  const peer = await acceptLink({ socket, name, clock, onFault, ...limits, ...(refuse ? { refuse } : {}) });
  try {
    if (peer) o.onLink(peer.link, peer.hello);
  } catch (error) {
    peer?.link.close("internal error");
    onFault(error);
  }
}

async function answerSafely(request: IncomingMessage, response: ServerResponse, o: ListenOptions): Promise<void> {
  try {
    if (!(await o.routes?.(request, response))) await answer(request, response, o);
  } catch (error) {
    o.onFault?.(error);
    if (!response.headersSent) response.writeHead(500, { "content-type": "text/plain" });
    response.end("this server failed to answer\n");
  }
}

async function answer({ url, method }: IncomingMessage, response: ServerResponse, o: ListenOptions): Promise<void> {
  const text = (status: number, contentType: string, body: string) =>
    void response.writeHead(status, { "content-type": contentType }).end(body);
  const path = url?.split("?", 1)[0];
  if (method !== "GET") text(405, "text/plain", "only GET\n");
  else if (path === "/health") {
    const trouble = o.trouble?.();
    text(trouble === undefined ? 200 : 503, "text/plain", trouble ?? "ok");
  } else if (path === "/metrics" && o.metrics) {
    try {
      const metrics = await o.metrics();
      text(200, metrics.contentType, metrics.text);
    } catch (error) {
      o.onFault?.(error);
      text(500, "text/plain", "the metrics could not be collected\n");
    }
  } else text(404, "text/plain", `${o.name}: a Volary server; it answers /health, /metrics and WebSockets\n`);
}

function refusalOf(request: IncomingMessage, links: number, o: ListenOptions): string | undefined {
  if (links >= LIMITS.linksMax) return "503 Service Unavailable";
  if (o.refuseUpgrade) return o.refuseUpgrade(request);
  return comesFrom(request, o.origins) ? undefined : "403 Forbidden";
}

/** Does a request come from a process, a page of the host that it asks, or one of these origins? */
export function comesFrom({ headers }: IncomingMessage, origins: readonly string[] = []): boolean {
  const { origin, host } = headers;
  if (origin === undefined || origins.includes(origin)) return true;
  return URL.canParse(origin) && new URL(origin).host === host;
}

async function bind(http: Server, host: string, port: number): Promise<void> {
  http.listen(port, host);
  try {
    await once(http, "listening");
  } catch (cause) {
    throw listenError({ host, port, cause: cause as NodeJS.ErrnoException });
  }
}

function listenError({ host, port, cause }: { host: string; port: number; cause: NodeJS.ErrnoException }): Error {
  if (cause.code === "EADDRINUSE") {
    const message = `port ${port} on ${host} is in use; stop the process that listens there, or give another --port (0 takes a free one)`;
    return new ClusterError("ADDRESS_IN_USE", message, { cause });
  }
  const remedy =
    cause.code === "EACCES" ? "ports below 1024 need rights; give another --port" : "check --host and --port";
  return new Error(`cannot listen on ${authority(host, port)}: ${cause.message}; ${remedy}`, { cause });
}

async function close(http: Server, connections: ReadonlyMap<Connection, Promise<void>>, clock: Clock): Promise<void> {
  const closed = [...connections.values()];
  // Once the last connection is gone, upgraded or not. One behind a doorway has no port to close.
  if (http.listening) closed.push(new Promise((resolve) => http.close(() => resolve())));
  http.closeIdleConnections();
  for (const connection of connections.keys()) connection.close(1001, "the server stops");
  const cancel = clock.after(LIMITS.closeGraceMs, () => {
    for (const connection of connections.keys()) connection.terminate();
    http.closeAllConnections();
  });
  await Promise.all(closed);
  cancel();
}

/** Where a host that stands for all interfaces is reached from outside: its first address that is not loopback. */
function reachable(host: string): string {
  if (host !== "0.0.0.0" && host !== "::") return host;
  const addresses = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return addresses.find(({ family, internal }) => family === "IPv4" && !internal)?.address ?? "127.0.0.1";
}

function authority(host: string, port: number): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}
