/** Both sides of the upgrade, with the RFC's own example. */
import { describe, expect, it } from "vitest";
import {
  acceptText,
  readUpgrade,
  refusalResponse,
  responseFault,
  upgradeHeaders,
  upgradeResponse,
} from "./handshake.ts";

const KEY = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

async function sha1(text: string): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-1", new TextEncoder().encode(text)));
  return btoa(String.fromCharCode(...hash));
}

describe("readUpgrade()", () => {
  const headers = { ...upgradeHeaders(KEY), host: "here" };

  it.each([
    ["another method", "405 Method Not Allowed", { method: "POST", headers }],
    ["no upgrade", "400 Bad Request", { method: "GET", headers: { ...headers, upgrade: undefined } }],
    ["another protocol", "400 Bad Request", { method: "GET", headers: { ...headers, upgrade: "h2c" } }],
    ["no key", "400 Bad Request", { method: "GET", headers: { ...headers, "sec-websocket-key": undefined } }],
    [
      "a key of 15 bytes",
      "400 Bad Request",
      { method: "GET", headers: { ...headers, "sec-websocket-key": btoa("123456789012345") } },
    ],
    ["two keys", "400 Bad Request", { method: "GET", headers: { ...headers, "sec-websocket-key": `${KEY}, ${KEY}` } }],
    [
      "another version",
      "426 Upgrade Required",
      { method: "GET", headers: { ...headers, "sec-websocket-version": "12" } },
    ],
  ])("refuses %s", (_, status, request) => {
    expect(readUpgrade(request)).toEqual({ refusal: expect.stringContaining(status) });
  });

  it("tells which version would do", () => {
    const request = { method: "GET", headers: { ...headers, "sec-websocket-version": "8" } };
    expect(readUpgrade(request)).toEqual({ refusal: expect.stringContaining("Sec-WebSocket-Version: 13") });
  });

  it("takes a client's request, whatever extensions it offers", () => {
    expect(readUpgrade({ method: "GET", headers })).toEqual({ key: KEY });
    const browser = { ...headers, upgrade: "WebSocket", "sec-websocket-extensions": "permessage-deflate" };
    expect(readUpgrade({ method: "GET", headers: browser })).toEqual({ key: KEY });
  });
});

describe("the answer to an upgrade", () => {
  it("is the RFC's for the RFC's key", async () => {
    expect(await sha1(acceptText(KEY))).toBe(ACCEPT);
    expect(upgradeResponse(ACCEPT)).toBe(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${ACCEPT}\r\n\r\n`,
    );
  });

  it("is a whole HTTP response where it is no", () => {
    expect(refusalResponse("403 Forbidden")).toBe(
      "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    );
  });

  it("is checked by the client", () => {
    const headers = { upgrade: "websocket", connection: "Upgrade", "sec-websocket-accept": ACCEPT };
    const fault = (more: Record<string, string>) => responseFault({ ...headers, ...more }, { accept: ACCEPT });
    expect(fault({})).toBeUndefined();
    expect(fault({ upgrade: "h2c" })).toContain("no upgrade");
    expect(fault({ "sec-websocket-accept": "x" })).toContain("another key");
    expect(fault({ "sec-websocket-extensions": "permessage-deflate" })).toContain("extension");
    expect(fault({ "sec-websocket-protocol": "chat" })).toContain("subprotocol");
  });
});
