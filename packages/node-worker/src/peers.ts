/** Where other workers reach this one, and how this one reaches servers and workers: WebSockets by `ws`. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { ClusterError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import { acceptLink, openLink, type ControlOf, type Dialer, type Link, type Socket } from "@volary/core/wire";
import { WebSocket, WebSocketServer } from "ws";
import { realClock } from "./clock.ts";

const OPTIONS = { maxPayload: LIMITS.frameBytesMax, perMessageDeflate: false } as const;

export const dialer: Dialer = {
  dial: (address, hello) => openLink({ socket: new WebSocket(address, OPTIONS) as unknown as Socket, address, hello, clock: realClock }),
};

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
export async function listenForPeers(o: {
  host: string;
  port: number;
  name: string;
  refuse(hello: ControlOf<"hello">): ReturnType<NonNullable<Parameters<typeof acceptLink>[0]["refuse"]>>;
  accept(hello: ControlOf<"hello">, link: Link): void;
}): Promise<PeerPort> {
  const http = createServer((_, response) => response.writeHead(426).end("a Volary worker: WebSocket only\n"));
  const sockets = new WebSocketServer({ server: http, ...OPTIONS });
  sockets.on("connection", (socket) => {
    void acceptLink({ socket: socket as unknown as Socket, name: o.name, clock: realClock, refuse: (hello) => o.refuse(hello) }).then((accepted) => {
      if (accepted) o.accept(accepted.hello, accepted.link);
    });
  });
  sockets.on("error", () => {}); // reported by `http`
  http.listen(o.port, o.host);
  try {
    await once(http, "listening");
  } catch (cause) {
    throw new ClusterError("ADDRESS_IN_USE", `cannot listen on ${o.host}:${o.port}: ${(cause as Error).message}; choose another --port`, { cause });
  }
  const { port } = http.address() as AddressInfo;
  return {
    address: `ws://${o.host}:${port}`,
    stop: async () => {
      for (const socket of sockets.clients) socket.terminate();
      sockets.close();
      http.close();
      http.closeAllConnections();
    },
  };
}
