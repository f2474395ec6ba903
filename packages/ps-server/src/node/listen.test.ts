/** One port: health, metrics, WebSockets; and what is turned away. */
import { request } from "node:http";
import { describe, expect, it, onTestFinished } from "vitest";
import { WebSocket } from "ws";
import { realClock } from "./clock.ts";
import { wsDialer } from "./dial.ts";
import { listen, type ListenOptions, type Listening } from "./listen.ts";

async function open(o: Partial<ListenOptions> = {}): Promise<Listening> {
  const port = await listen({ name: "server", port: 0, onLink: () => {}, ...o });
  onTestFinished(() => port.close());
  return port;
}

const get = (port: Listening, path: string) => fetch(`http://127.0.0.1:${port.port}${path}`);

describe("listen()", () => {
  it("answers /health", async () => {
    const response = await get(await open(), "/health");
    expect([response.status, await response.text()]).toEqual([200, "ok"]);
  });

  it("answers /metrics with what it is given", async () => {
    const port = await open({ metrics: async () => ({ contentType: "text/plain; version=0.0.4", text: "rows 3\n" }) });
    const response = await get(port, "/metrics");
    expect(response.headers.get("content-type")).toBe("text/plain; version=0.0.4");
    expect(await response.text()).toBe("rows 3\n");
  });

  it("outlives metrics that cannot be collected", async () => {
    const faults: unknown[] = [];
    const metrics = () => Promise.reject(new Error("broken"));
    const port = await open({ metrics, onFault: (error) => faults.push(error) });
    expect((await get(port, "/metrics")).status).toBe(500);
    expect(faults).toEqual([new Error("broken")]);
    expect((await get(port, "/health")).status).toBe(200);
  });

  it("says what it is where there is nothing", async () => {
    const port = await open();
    expect((await get(port, "/metrics")).status).toBe(404);
    expect(await (await get(port, "/favicon.ico")).text()).toContain("a Volary server");
    const post = await fetch(`http://127.0.0.1:${port.port}/health`, { method: "POST" });
    expect(post.status).toBe(405);
  });

  it("names the port that is in use, and the remedy", async () => {
    const { port } = await open();
    const error = await listen({ name: "second", port, onLink: () => {} }).catch((e: unknown) => e);
    expect(error).toMatchObject({
      code: "ADDRESS_IN_USE",
      message: `port ${port} on 127.0.0.1 is in use; stop the process that listens there, or give another --port (0 takes a free one)`,
    });
  });

  it("names a host that this machine does not have", async () => {
    const outcome = listen({ name: "s", host: "192.0.2.1", port: 0, onLink: () => {} });
    await expect(outcome).rejects.toThrow("cannot listen on 192.0.2.1:0");
  });

  it("tells an address that can be dialed", async () => {
    expect((await open()).address).toMatch(/^ws:\/\/127\.0\.0\.1:\d+$/);
    expect((await open({ host: "0.0.0.0" })).address).not.toContain("0.0.0.0");
  });

  it("refuses the page of another site, and lets in its own and those it is told of", async () => {
    const { address, port } = await open({ origins: ["http://127.0.0.1:1"] });
    const statusOf = (origin: string) =>
      new Promise<number>((resolve, reject) => {
        const socket = new WebSocket(address, { origin });
        socket.on("unexpected-response", (_, response) => resolve(response.statusCode!));
        socket.on("open", () => (socket.close(), resolve(101)));
        socket.on("error", reject);
      });
    expect(await statusOf("https://elsewhere.example")).toBe(403);
    expect(await statusOf("null")).toBe(403);
    expect(await statusOf(`http://127.0.0.1:${port}`)).toBe(101);
    expect(await statusOf("http://127.0.0.1:1")).toBe(101);
    expect(await statusOf("http://127.0.0.1:2")).toBe(403);
  });

  it("outlives what is no WebSocket", async () => {
    const port = await open();
    const status = await new Promise((resolve) => {
      const headers = { connection: "upgrade", upgrade: "websocket", "sec-websocket-version": "99" };
      request({ port: port.port, headers }, (response) => resolve(response.statusCode)).end();
    });
    expect(status).toBe(400);
    expect((await get(port, "/health")).status).toBe(200);
  });

  it("outlives an owner that throws over a new link", async () => {
    const bug = new Error("a bug");
    const faults: unknown[] = [];
    const onLink = () => {
      throw bug;
    };
    const port = await open({ onLink, onFault: (error) => faults.push(error) });
    const link = await wsDialer().dial(port.address, { role: "client", name: "c" });
    const closed = new Promise<string>((resolve) =>
      link.listen({ onControl: () => {}, onFrame: () => {}, onClose: resolve }),
    );
    expect(await closed).toBe("internal error");
    expect(faults).toEqual([bug]);
  });

  it("closes although a connection never said hello", async () => {
    const port = await listen({ name: "server", port: 0, onLink: () => {} });
    const socket = new WebSocket(port.address);
    await new Promise((resolve) => socket.on("open", resolve));
    const closed = new Promise((resolve) => socket.on("close", resolve));
    await port.close();
    await closed;
    await port.close(); // and again
  });
});

it("the real clock runs and cancels", async () => {
  const before = realClock.now();
  const ran: string[] = [];
  const cancel = realClock.after(0, () => ran.push("cancelled"));
  await new Promise<void>((resolve) => {
    realClock.after(5, resolve);
    cancel();
  });
  expect(ran).toEqual([]);
  expect(realClock.now()).toBeGreaterThan(before);
});
