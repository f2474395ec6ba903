import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { expect, onTestFinished, test, vi } from "vitest";
import { TcpProxy } from "./tcp-proxy.ts";

const until = (holds: () => boolean): Promise<boolean> => vi.waitUntil(holds, { timeout: 20_000 });

/** A proxy before a server that says back what it hears. */
async function echoThroughProxy(): Promise<{
  proxy: TcpProxy;
  dial: () => Promise<{ socket: Socket; heard: string[] }>;
}> {
  const server = createServer((socket) => socket.on("error", () => {}).pipe(socket)).listen(0, "127.0.0.1");
  await once(server, "listening");
  const proxy = await TcpProxy.start((server.address() as AddressInfo).port);
  onTestFinished(async () => {
    await proxy.close();
    server.close();
  });
  const dial = async () => {
    const heard: string[] = [];
    const socket = connect(Number(new URL(proxy.address).port), "127.0.0.1").on("error", () => {});
    socket.on("data", (bytes) => heard.push(String(bytes)));
    await until(() => !socket.connecting);
    return { socket, heard };
  };
  return { proxy, dial };
}

test("held bytes arrive once the proxy is mended, in order", async () => {
  const { proxy, dial } = await echoThroughProxy();
  const { socket, heard } = await dial();
  socket.write("a");
  await until(() => heard.join("") === "a");
  proxy.hold();
  socket.write("b");
  const other = await dial();
  other.socket.write("c");
  await dial(); // time for "b" to get through
  expect(heard.join("")).toBe("a");
  proxy.mend();
  await until(() => heard.join("") === "ab" && other.heard.join("") === "c");
});

test("delayed bytes arrive later, in order", async () => {
  const { proxy, dial } = await echoThroughProxy();
  const { socket, heard } = await dial();
  proxy.delay(50);
  const start = performance.now();
  socket.write("late");
  await until(() => heard.join("") === "late");
  expect(performance.now() - start).toBeGreaterThanOrEqual(100); // there and back
});

test("a cut breaks connections, and new ones at once, until the proxy is mended", async () => {
  const { proxy, dial } = await echoThroughProxy();
  const { socket } = await dial();
  proxy.cut();
  await until(() => socket.closed);
  const refused = await dial();
  await until(() => refused.socket.closed);
  proxy.mend();
  const { socket: again, heard } = await dial();
  again.write("back");
  await until(() => heard.join("") === "back");
});
