/** How a tab reaches servers: links over the browser's own WebSocket. Nobody dials a tab. */
import { openLink, type Clock, type Dialer, type FaultSink, type Socket } from "@volary/core/wire";
import { realClock } from "./clock.ts";

export interface DialOptions {
  clock?: Clock;
  onFault?: FaultSink;
  /** Bytes of messages are added here. */
  traffic?: Traffic | undefined;
}

/** Bytes of messages, without what carries them. */
export interface Traffic {
  sent: number;
  received: number;
}

/** A dialer over the browser's WebSocket. Its `dial` throws a TypeError too, as {@link connect} does. */
export function browserDialer({ clock = realClock, onFault, traffic }: DialOptions = {}): Dialer {
  return {
    dial: async (address, hello) =>
      openLink({ socket: connect(address, traffic), address, hello, clock, ...(onFault ? { onFault } : {}) }),
  };
}

/**
 * A socket that is being opened. The browser copies what is sent at once, so that is when its bytes may be changed.
 *
 * @throws {TypeError} what a browser cannot dial: no WebSocket address, or ws: from a page that came by https:
 */
export function connect(address: string, traffic?: Traffic): Socket {
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
    if (traffic) traffic.sent += data.length;
    onSent?.();
  };
  if (traffic) socket.addEventListener("message", ({ data }) => (traffic.received += lengthOf(data)));
  return Object.assign(socket, { send }) as unknown as Socket;
}

/** Control messages are of ASCII, but for names. */
function lengthOf(data: unknown): number {
  return data instanceof ArrayBuffer ? data.byteLength : String(data).length;
}

function undialable(address: string, why: string, cause?: unknown): TypeError {
  const remedy = "give wss://host, or ws://host:port on a page without TLS";
  return new TypeError(`cannot dial ${JSON.stringify(address)}: ${why}; ${remedy}`, { cause });
}
