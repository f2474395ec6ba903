/** How this package reaches other processes: links over `ws`. */
import { LIMITS } from "@volary/core/limits";
import { openLink, type Clock, type Dialer, type FaultSink, type Socket } from "@volary/core/wire";
import { WebSocket } from "ws";
import { realClock } from "./clock.ts";

export interface DialOptions {
  clock?: Clock;
  onFault?: FaultSink;
}

/** A dialer over `ws`. */
export function wsDialer({ clock = realClock, onFault }: DialOptions = {}): Dialer {
  return {
    dial: async (address, hello) =>
      openLink({ socket: connect(address), address, hello, clock, ...(onFault ? { onFault } : {}) }),
  };
}

/** A socket that is being opened. */
export function connect(address: string): Socket {
  return new WebSocket(address, { maxPayload: LIMITS.frameBytesMax, perMessageDeflate: false }) as unknown as Socket;
}
