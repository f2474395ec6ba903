/** The port of a worker: who is let in, and what its end does to them. */
import { request } from "node:http";
import { upgradeHeaders } from "@volary/core/wire/websocket";
import { expect, it, onTestFinished } from "vitest";
import { addressOf, listenForPeers, wsDialer, type PeerPort, type PeerPortOptions } from "./peers.ts";

async function open(o: Partial<PeerPortOptions> = {}): Promise<PeerPort> {
  const port = await listenForPeers({
    host: "127.0.0.1",
    port: 0,
    name: "worker-1",
    refuse: () => undefined,
    accept: () => {},
    log: () => {},
    ...o,
  });
  onTestFinished(() => port.stop());
  return port;
}

const HELLO = { role: "peer", name: "worker-2" } as const;

it("addressOf() is what others dial: an address of IPv6 in brackets, and of all addresses one on a network", () => {
  expect(addressOf("10.0.0.7", 80)).toBe("ws://10.0.0.7:80");
  expect(addressOf("fd00::7", 80)).toBe("ws://[fd00::7]:80");
  expect(addressOf("::", 80)).toBe(addressOf("0.0.0.0", 80));
  expect(addressOf("::", 80)).toMatch(/^ws:\/\/\d+(\.\d+){3}:80$/);
});

it("listenForPeers() turns pages away, whatever their origin", async () => {
  const { address } = await open();
  const status = await new Promise((resolve) => {
    const headers = { ...upgradeHeaders("dGhlIHNhbXBsZSBub25jZQ=="), origin: address.replace("ws", "http") };
    request(address.replace("ws", "http"), { headers }, (response) => resolve(response.statusCode)).end();
  });
  expect(status).toBe(403);
});

it("listenForPeers() lets workers in, and refuses those that it is told to", async () => {
  const { address } = await open({
    refuse: ({ id }) => (id === 7 ? { code: "NOT_A_MEMBER", message: "of another job" } : undefined),
  });
  expect((await wsDialer().dial(address, HELLO)).name).toBe("worker-1");
  await expect(wsDialer().dial(address, { ...HELLO, id: 7 })).rejects.toMatchObject({ code: "NOT_A_MEMBER" });
});

it("a peer hears that the port has stopped", async () => {
  const port = await open();
  const link = await wsDialer().dial(port.address, HELLO);
  const closed = new Promise<string>((resolve) =>
    link.listen({ onControl: () => {}, onFrame: () => {}, onClose: resolve }),
  );
  await port.stop();
  expect(await closed).toBe("the connection broke");
});

it("listenForPeers() names the port that is in use", async () => {
  const port = Number(new URL((await open()).address).port);
  await expect(open({ port })).rejects.toMatchObject({
    code: "ADDRESS_IN_USE",
    message: expect.stringContaining(`${port}`),
  });
});
