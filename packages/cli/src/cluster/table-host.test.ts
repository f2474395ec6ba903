import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { once } from "node:events";
import { decodeTable, tableOf } from "@volary/core/data";
import { describe, expect, test } from "vitest";
import { hostAsFiles, hostOverHttp } from "./table-host.ts";

const TABLES = [tableOf({ a: [1, 2, 3] }), tableOf({ a: ["x"] })];

test("hostAsFiles() writes tables where they can be read, until they are closed", async () => {
  const hosted = await hostAsFiles(TABLES);
  const { files } = hosted;
  const paths = files.map((file) => (file as { path: string }).path);
  expect(decodeTable(await readFile(paths[0]!)).rows).toBe(3);
  expect(decodeTable(await readFile(paths[1]!)).rows).toBe(1);
  await hosted.close();
  await expect(readFile(paths[0]!)).rejects.toThrow("ENOENT");
});

describe("hostOverHttp()", () => {
  test("says where nothing listens", async () => {
    await expect(hostOverHttp(TABLES, { coordinator: "ws://127.0.0.1:1" })).rejects.toThrow(/ws:\/\/127\.0\.0\.1:1: /);
  });

  test("serves tables whole, in parts, and nothing else, until it is closed", async () => {
    const coordinator = createServer((socket) => socket.on("error", () => {})).listen(0, "127.0.0.1");
    await once(coordinator, "listening");
    const { port } = coordinator.address() as { port: number };
    const hosted = await hostOverHttp(TABLES, { coordinator: `ws://127.0.0.1:${port}` });
    const { files } = hosted;
    const { url } = files[0] as { url: string };
    const whole = new Uint8Array(await (await fetch(url)).arrayBuffer());
    expect(decodeTable(whole).rows).toBe(3);
    const part = await fetch(url, { headers: { range: "bytes=2-5" } });
    expect(part.status).toBe(206);
    expect(part.headers.get("content-range")).toBe(`bytes 2-5/${whole.length}`);
    expect(new Uint8Array(await part.arrayBuffer())).toEqual(whole.slice(2, 6));
    expect((await fetch(url, { method: "HEAD" })).headers.get("content-length")).toBe(String(whole.length));
    expect((await fetch(url, { method: "POST" })).status).toBe(405);
    expect((await fetch(new URL("/guess/0.table", url))).status).toBe(404);
    await hosted.close();
    await expect(fetch(url)).rejects.toThrow();
    coordinator.close();
  });
});
