/** The worker's sockets keep the transport contract. */
import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { SimulatedClock } from "@volary/core/testing";
import { transportContract } from "@volary/core/testing/transport.contract";
import { acceptLink, openLink } from "@volary/core/wire";
import type { Connection } from "@volary/core/wire/websocket";
import { acceptSocket, connectSocket } from "./node-socket.ts";

transportContract("a worker's WebSocket", async () => {
  const clock = new SimulatedClock();
  const faults: unknown[] = [];
  const onFault = (error: unknown) => faults.push(error);
  const servers: Server[] = [];
  const accepted: Connection[] = [];
  const close = async (server: Server) => {
    const closed = once(server, "close");
    server.close();
    server.closeAllConnections();
    for (const socket of accepted) socket.terminate();
    await closed;
  };
  return {
    clock,
    faults,
    dialer: {
      dial: (address, hello) => openLink({ socket: connectSocket(address, { clock }), address, hello, clock, onFault }),
    },
    connect: (address) => connectSocket(address, { clock, trustedNetwork: false }),
    listen: async ({ onLink, refuse }) => {
      const server = createServer();
      server.on("upgrade", (request, stream, head) => {
        const socket = acceptSocket({ request, stream, head }, { clock });
        if (!socket) return;
        accepted.push(socket);
        void acceptLink({ socket, name: "server", clock, onFault, ...(refuse ? { refuse } : {}) }).then(
          (peer) => peer && onLink(peer.link, peer.hello),
        );
      });
      server.listen(0, "127.0.0.1");
      await once(server, "listening");
      servers.push(server);
      const { port } = server.address() as AddressInfo;
      return { address: `ws://127.0.0.1:${port}`, close: () => close(server) };
    },
    until: (done) => done,
    stop: async () => {
      for (const server of servers) if (server.listening) await close(server);
    },
  };
});
