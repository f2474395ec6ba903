/**
 * The HTTP upgrade that opens a WebSocket: RFC 6455 §4. No extension and no subprotocol is asked for or agreed on.
 *
 * The SHA-1 that shows that a server read the key is the caller's: `accept` = base64(SHA-1({@link acceptText})).
 */

/** Header names in lower case; a repeated header is one value, joined by commas. */
export type Headers = Readonly<Record<string, string | readonly string[] | undefined>>;

const VERSION = "13";
/** 16 bytes in base64. */
const KEY = /^[+/0-9A-Za-z]{22}==$/;

/** What is hashed for the answer to a key. */
export function acceptText(key: string): string {
  return `${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`;
}

/** @param key 16 random bytes in base64, new for each connection */
export function upgradeHeaders(key: string): Record<string, string> {
  return {
    connection: "Upgrade",
    upgrade: "websocket",
    "sec-websocket-version": VERSION,
    "sec-websocket-key": key,
  };
}

/** @returns the request's key, or the status line of its refusal, with headers that tell what would do */
export function readUpgrade(request: {
  method?: string | undefined;
  headers: Headers;
}): { key: string } | { refusal: string } {
  const { method, headers } = request;
  const key = headers["sec-websocket-key"];
  if (method !== "GET") return { refusal: "405 Method Not Allowed\r\nAllow: GET" };
  if (!hasToken(headers["upgrade"], "websocket") || typeof key !== "string" || !KEY.test(key)) {
    return { refusal: "400 Bad Request" };
  }
  if (headers["sec-websocket-version"] !== VERSION) {
    return { refusal: `426 Upgrade Required\r\nSec-WebSocket-Version: ${VERSION}` };
  }
  return { key };
}

/** The server's consent, as it goes over the wire. */
export function upgradeResponse(accept: string): string {
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;
}

/** A server's refusal, as it goes over the wire. @param status status line, and headers if any */
export function refusalResponse(status: string): string {
  return `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`;
}

/** @returns why a server's response with status 101 is no consent to this upgrade; undefined when it is */
export function responseFault(headers: Headers, { accept }: { accept: string }): string | undefined {
  if (!hasToken(headers["upgrade"], "websocket")) return "its answer is no upgrade to a WebSocket";
  if (headers["sec-websocket-accept"] !== accept) return "its answer is to another key";
  if (headers["sec-websocket-extensions"] !== undefined) return "it uses an extension that was not asked for";
  if (headers["sec-websocket-protocol"] !== undefined) return "it uses a subprotocol that was not asked for";
  return undefined;
}

function hasToken(value: Headers[string], token: string): boolean {
  return String(value ?? "")
    .split(",")
    .some((each) => each.trim().toLowerCase() === token);
}
