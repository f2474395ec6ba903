/** Where other workers reach this one, and how this one reaches servers and workers. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { networkInterfaces } from "node:os";
import { ClusterError } from "@volary/core/errors";
import {
  acceptLink,
  openLink,
  type AcceptLinkOptions,
  type ControlOf,
  type Dialer,
  type Link,
  type Socket,
} from "@volary/core/wire";
import { LIMITS } from "@volary/core/limits";
import { RecycledBuffers, type Connection } from "@volary/core/wire/websocket";
import { realClock } from "./clock.ts";
import { acceptSocket, connectSocket, refuseUpgrade, type ConnectSocketOptions } from "./node-socket.ts";

/** A dialer over WebSockets, `ws://` and `wss://`. What comes lies in buffers that are used again. */
export function wsDialer({ trustedNetwork }: Pick<ConnectSocketOptions, "trustedNetwork"> = {}): Dialer {
  const clock = realClock;
  const recycled = new RecycledBuffers({ bytesMax: LIMITS.receiveBuffersBytesMax });
  return {
    dial: async (address, hello) => {
      const socket = connectSocket(address, { trustedNetwork, buffers: recycled, clock });
      return openLink({ socket, address, hello, clock });
    },
  };
}

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
  const connections = new Set<Connection>();
  const buffers = new RecycledBuffers({ bytesMax: LIMITS.receiveBuffersBytesMax });
  http.on("upgrade", (request, stream, head) => {
    // Workers are processes and name no origin; a page that does has no business here.
    if (request.headers.origin !== undefined) return refuseUpgrade(stream, "403 Forbidden");
    const connection = acceptSocket({ request, stream, head }, { clock: realClock, buffers });
    if (!connection) return;
    connections.add(connection);
    stream.once("close", () => connections.delete(connection));
    void greet(connection, o);
  });
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
    address: addressOf(o.host, port),
    stop: async () => {
      for (const connection of connections) connection.terminate();
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

/** Where others dial a host: where that is all of its addresses, the first one on a network. */
export function addressOf(host: string, port: number): string {
  const all = host === "0.0.0.0" || host === "::";
  const addresses = all ? Object.values(networkInterfaces()).flatMap((each) => each ?? []) : [];
  const outer = addresses.find(({ family, internal }) => family === "IPv4" && !internal)?.address ?? "127.0.0.1";
  const dialed = all ? outer : host;
  return `ws://${dialed.includes(":") ? `[${dialed}]` : dialed}:${port}`;
}
