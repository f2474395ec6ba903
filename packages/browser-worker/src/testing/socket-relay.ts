/**
 * Lets a page accept WebSockets, so that both ends of a link can be the browser's own. A command of the browser tests:
 * the page listens by a socket to `accepting/listen/NAME`; whoever dials `dialing/NAME` is announced there by a number,
 * and is joined to the socket that the page opens to `accepting/NUMBER` in answer.
 *
 * Two ports, because a browser opens one WebSocket to a port after the other, and the dialed one waits for the other.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocket, WebSocketServer } from "ws";

/** Two addresses, ws://host:port. */
export interface SocketRelay {
  dialing: string;
  accepting: string;
}

let relay: Promise<SocketRelay> | undefined;

/** Starts the relay, once. */
export function socketRelay(): Promise<SocketRelay> {
  return (relay ??= start());
}

async function start(): Promise<SocketRelay> {
  const listeners = new Map<string, WebSocket>();
  const dialed: ((accepted: WebSocket) => void)[] = [];
  const dialing = serveSockets((path, { upgrade, refuse }) => {
    const listener = listeners.get(path);
    if (listener?.readyState !== WebSocket.OPEN) return refuse();
    dialed.push((accepted) => upgrade((dialer) => join(dialer, accepted)));
    listener.send(String(dialed.length - 1));
  });
  const accepting = serveSockets((path, { upgrade }) => {
    const [verb, name] = path.split("/");
    if (verb === "listen") upgrade((listener) => listeners.set(name!, listener));
    else upgrade((accepted) => dialed[Number(verb)]!(accepted));
  });
  return { dialing: await dialing, accepting: await accepting };
}

interface Request {
  upgrade: (use: (socket: WebSocket) => void) => void;
  refuse: () => void;
}

/** A port that upgrades when it is told to. @returns ws://host:port */
async function serveSockets(onRequest: (path: string, request: Request) => void): Promise<string> {
  const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  const http = createServer();
  http.on("upgrade", (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    onRequest(request.url!.slice(1), {
      upgrade: (use) => sockets.handleUpgrade(request, stream, head, use),
      refuse: () => stream.destroy(),
    });
  });
  http.listen(0, "127.0.0.1");
  http.unref();
  await once(http, "listening");
  return `ws://127.0.0.1:${(http.address() as AddressInfo).port}`;
}

/** Close codes for which no close frame came. */
const WITHOUT_FRAME = [1005, 1006];

function join(a: WebSocket, b: WebSocket): void {
  for (const [from, to] of [
    [a, b],
    [b, a],
  ] as const) {
    from.on("message", (data, isBinary) => to.send(data, { binary: isBinary }));
    from.on("close", (code, reason) => (WITHOUT_FRAME.includes(code) ? to.terminate() : to.close(code, reason)));
  }
}
