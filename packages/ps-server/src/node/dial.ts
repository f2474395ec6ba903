/** How this package reaches other processes. */
import { openLink, type Clock, type Dialer, type FaultSink } from "@volary/core/wire";
import { realClock } from "./clock.ts";
import { connectSocket, type ConnectSocketOptions } from "./node-socket.ts";

export interface DialOptions extends Pick<ConnectSocketOptions, "trustedNetwork" | "buffers"> {
  clock?: Clock;
  onFault?: FaultSink;
}

/** A dialer over WebSockets, `ws://` and `wss://`. */
export function wsDialer({ clock = realClock, onFault, ...o }: DialOptions = {}): Dialer {
  return {
    dial: async (address, hello) => {
      const socket = connectSocket(address, { ...o, clock });
      return openLink({ socket, address, hello, clock, ...(onFault ? { onFault } : {}) });
    },
  };
}
