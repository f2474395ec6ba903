/** How a client of a cluster reaches it: Node's own WebSocket, which has the browser's face. */
import { openLink, type Clock, type Dialer, type Socket } from "@volary/core/wire";

export const realClock: Clock = {
  now: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};

export const dialer: Dialer = {
  dial: (address, hello) =>
    openLink({ socket: new WebSocket(address) as unknown as Socket, address, hello, clock: realClock }),
};
