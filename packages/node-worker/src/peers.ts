/** Where other workers reach this one, and how this one reaches servers and workers: WebSockets by `ws`. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import { ClusterError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import {
  acceptLink,
  openLink,
  type AcceptLinkOptions,
  type ControlOf,
  type Dialer,
  type Link,
  type Socket,
} from "@volary/core/wire";
import { WebSocket, WebSocketServer } from "ws";
import { realClock } from "./clock.ts";

const OPTIONS = { maxPayload: LIMITS.frameBytesMax, perMessageDeflate: false } as const;

export const dialer: Dialer = {
  dial: (address, hello) =>
    openLink({ socket: new WebSocket(address, OPTIONS) as unknown as Socket, address, hello, clock: realClock }),
};

export interface PeerPortOptions extends Required<Pick<AcceptLinkOptions, "name" | "refuse">> {
  host: string;
  port: number;
  accept: (hello: ControlOf<"hello">, link: Link) => void;
  log: (message: string) => void;
}

export interface PeerPort {
  /** ws://host:port */
  address: string;
  stop(): Promise<void>;
}

/**
 * Listens for the other workers of a job.
 *
 * @throws {ClusterError} ADDRESS_IN_USE, naming the port
 */
export async function listenForPeers(o: PeerPortOptions): Promise<PeerPort> {
  const http = createServer((_, response) => response.writeHead(426).end("a Volary worker: WebSocket only\n"));
  // Workers are processes and name no origin; a page that does has no business here.
  const sockets = new WebSocketServer({
    server: http,
    verifyClient: ({ origin }: { origin: string }) => !origin,
    ...OPTIONS,
  });
  sockets.on("connection", (socket) => {
    void greet(socket as unknown as Socket, o);
  });
  sockets.on("error", () => {}); // reported by `http`
  http.listen(o.port, o.host);
  try {
    await once(http, "listening");
  } catch (cause) {
    throw new ClusterError(
      "ADDRESS_IN_USE",
      `cannot listen on ${o.host}:${o.port}: ${(cause as Error).message}; choose another --port`,
      { cause },
    );
  }
  const { port } = http.address() as AddressInfo;
  return {
    address: `ws://${reachable(o.host)}:${port}`,
    stop: async () => {
      for (const socket of sockets.clients) socket.terminate();
      sockets.close();
      http.close();
      http.closeAllConnections();
    },
  };
}

/** A bad peer costs its own connection, never the process. */
async function greet(socket: Socket, { name, refuse, accept, log }: PeerPortOptions): Promise<void> {
  const onFault = (error: unknown) =>
    log(`a peer's message failed: ${error instanceof Error ? error.message : String(error)}`);
  const peer = await acceptLink({ socket, name, clock: realClock, refuse, onFault });
  try {
    if (peer) accept(peer.hello, peer.link);
  } catch (error) {
    peer?.link.close("internal error");
    onFault(error);
  }
}

/** Where others reach a host that listens on every address: its first address on a network. */
function reachable(host: string): string {
  if (host !== "0.0.0.0") return host;
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return addresses.find(({ family, internal }) => family === "IPv4" && !internal)?.address ?? "127.0.0.1";
}
