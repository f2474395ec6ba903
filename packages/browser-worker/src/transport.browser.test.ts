/** Links over the browser's WebSocket keep the transport contract. */
import { SimulatedClock } from "@volary/core/testing";
import { transportContract, type ContractListener } from "@volary/core/testing/transport.contract";
import { acceptLink } from "@volary/core/wire";
import { commands } from "vitest/browser";
import { browserDialer, connect } from "./dial.ts";
import type { SocketRelay } from "./testing/socket-relay.ts";

declare module "vitest/browser" {
  interface BrowserCommands {
    socketRelay(): Promise<SocketRelay>;
  }
}

transportContract("the browser's WebSocket", async () => {
  const { dialing, accepting } = await commands.socketRelay();
  const clock = new SimulatedClock();
  const faults: unknown[] = [];
  const onFault = (error: unknown) => faults.push(error);
  const accept = async (number: unknown, o: ContractListener) => {
    const socket = connect(`${accepting}/${String(number)}`);
    const peer = await acceptLink({
      socket,
      name: "server",
      clock,
      onFault,
      ...(o.refuse ? { refuse: o.refuse } : {}),
    });
    if (peer) o.onLink(peer.link, peer.hello);
  };
  return {
    clock,
    faults,
    dialer: browserDialer({ clock, onFault }),
    connect,
    listen: async (o) => {
      const name = crypto.randomUUID();
      const listener = new WebSocket(`${accepting}/listen/${name}`);
      listener.onmessage = ({ data }) => void accept(data, o);
      await new Promise((resolve) => (listener.onopen = resolve));
      const close = async () => {
        listener.close();
        await new Promise((resolve) => (listener.onclose = resolve));
      };
      return { address: `${dialing}/${name}`, close };
    },
    until: (done) => done,
    stop: async () => {},
  };
});
