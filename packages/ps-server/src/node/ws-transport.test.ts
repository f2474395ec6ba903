/** Links over real sockets keep the transport contract, with masks and without. */
import { SimulatedClock } from "@volary/core/testing";
import { transportContract } from "@volary/core/testing/transport.contract";
import { wsDialer } from "./dial.ts";
import { listen, type Listening } from "./listen.ts";
import { connectSocket } from "./node-socket.ts";

for (const trustedNetwork of [true, false]) {
  transportContract(trustedNetwork ? "a WebSocket on a trusted network" : "a WebSocket", async () => {
    const clock = new SimulatedClock();
    const faults: unknown[] = [];
    const onFault = (error: unknown) => faults.push(error);
    const open: Listening[] = [];
    return {
      clock,
      faults,
      dialer: wsDialer({ clock, onFault, trustedNetwork }),
      connect: (address) => connectSocket(address, { clock, trustedNetwork }),
      listen: async ({ onLink, refuse }) => {
        const port = await listen({ name: "server", port: 0, clock, onFault, onLink, ...(refuse ? { refuse } : {}) });
        open.push(port);
        return { address: port.address, close: port.close };
      },
      until: (done) => done,
      stop: async () => {
        const closed = Promise.all(open.map((port) => port.close()));
        await clock.advance(10_000); // peers that do not answer a close are cut off
        await closed;
      },
    };
  });
}
