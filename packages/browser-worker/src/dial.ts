/** How a tab reaches servers: links over the browser's own WebSocket. Nobody dials a tab. */
import { openLink, type Clock, type Dialer, type FaultSink, type Socket } from "@volary/core/wire";
import { realClock } from "./clock.ts";

export interface DialOptions {
  clock?: Clock;
  onFault?: FaultSink;
}

/** A dialer over the browser's WebSocket. Its `dial` throws a TypeError too, as {@link connect} does. */
export function browserDialer({ clock = realClock, onFault }: DialOptions = {}): Dialer {
  return {
    dial: async (address, hello) =>
      openLink({ socket: connect(address), address, hello, clock, ...(onFault ? { onFault } : {}) }),
  };
}

/**
 * A socket that is being opened. The browser copies what is sent at once, so that is when its bytes may be changed.
 *
 * @throws {TypeError} what a browser cannot dial: no WebSocket address, or ws: from a page that came by https:
 */
export function connect(address: string): Socket {
  // The browser would take anything else for a path on the page's own server.
  if (!/^wss?:\/\//.test(address)) throw undialable(address, "it is no WebSocket address");
  let socket: WebSocket;
  try {
    socket = new WebSocket(address);
  } catch (cause) {
    throw undialable(address, (cause as Error).message, cause);
  }
  const copies = socket.send.bind(socket);
  const send: Socket["send"] = (data, onSent) => {
    copies(data);
    onSent?.();
  };
  return Object.assign(socket, { send }) as unknown as Socket;
}

function undialable(address: string, why: string, cause?: unknown): TypeError {
  const remedy = "give wss://host, or ws://host:port on a page without TLS";
  return new TypeError(`cannot dial ${JSON.stringify(address)}: ${why}; ${remedy}`, { cause });
}
