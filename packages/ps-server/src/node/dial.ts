/** How this package reaches other processes. */
import { openLink, type Clock, type Dialer, type FaultSink, type OpenLinkOptions } from "@volary/core/wire";
import { realClock } from "./clock.ts";
import { connectSocket, type ConnectSocketOptions } from "./node-socket.ts";

export interface DialOptions
  extends Pick<ConnectSocketOptions, "trustedNetwork" | "buffers">, Pick<OpenLinkOptions, "unsentBytesMax"> {
  clock?: Clock;
  onFault?: FaultSink;
}

/** A dialer over WebSockets, `ws://` and `wss://`. */
export function wsDialer({ clock = realClock, onFault, unsentBytesMax, ...o }: DialOptions = {}): Dialer {
  return {
    dial: async (address, hello) => {
      const socket = connectSocket(address, { ...o, clock });
      return openLink({ socket, address, hello, clock, unsentBytesMax, ...(onFault ? { onFault } : {}) });
    },
  };
}
