/** How a tab reaches servers: the browser's own WebSocket. Nobody dials a tab. */
import { openLink, type Dialer, type Socket } from "@volary/core/wire";
import { realClock } from "./clock.ts";

export const dialer: Dialer = {
  dial: async (address, hello) => openLink({ socket: socketTo(address), address, hello, clock: realClock }),
};

/** @throws {TypeError} what a browser cannot dial: no WebSocket address, or ws: from a page that came by https: */
function socketTo(address: string): Socket {
  // The browser would take anything else for a path on the page's own server.
  if (!/^wss?:\/\//.test(address)) throw undialable(address, "it is no WebSocket address");
  try {
    return new WebSocket(address) as unknown as Socket;
  } catch (cause) {
    throw undialable(address, (cause as Error).message, cause);
  }
}

function undialable(address: string, why: string, cause?: unknown): TypeError {
  return new TypeError(`cannot dial ${JSON.stringify(address)}: ${why}; give wss://host, or ws://host:port on a page without TLS`, { cause });
}
