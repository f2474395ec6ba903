import type { FileSpec } from "@volary/core/data";
import { createServer, type RequestListener, type Server } from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { describe, expect, it, onTestFinished } from "vitest";
import { openFiles } from "./open-files.ts";
import { contentsOf } from "./unpack.ts";

const TEXT = Buffer.from(`a,b\n${Array.from({ length: 2000 }, (_, i) => `${i},${i}\n`).join("")}`);

async function served(listener: RequestListener): Promise<string> {
  const server: Server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/data.csv`;
}

const rangeOf = (header: string | undefined): [number, number] | undefined => {
  const range = /^bytes=(?<from>\d+)-(?<to>\d+)$/.exec(header ?? "")?.groups;
  return range && [Number(range["from"]), Number(range["to"]) + 1];
};

async function textOf(spec: FileSpec): Promise<string> {
  const chunks: Uint8Array[] = [];
  for (const file of await openFiles([spec], [])) for await (const chunk of contentsOf(file)) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}

describe("http files", () => {
  it.each([
    [404, "status 404: no such file there; check the address"],
    [403, "status 403: the server denies access; make the file public, or download it first"],
    [418, "status 418: the server cannot give it"],
  ])("end with the remedy at status %d", async (status, message) => {
    const url = await served((_, reply) => reply.writeHead(status).end());
    await expect(openFiles([{ kind: "http", url }], [])).rejects.toMatchObject({
      code: "BAD_DATA",
      message: `${url}: ${message}`,
    });
    await expect(openFiles([{ kind: "http", url: "ftp://x/y" }], [])).rejects.toThrow("no http(s) address");
  });

  it("that become another file while they are read end with an error", async () => {
    let requests = 0;
    const url = await served((request, reply) => {
      const [from, to] = rangeOf(request.headers.range) ?? [0, TEXT.length];
      const headers = {
        etag: `"v${Math.min(2, ++requests)}"`,
        "content-range": `bytes ${from}-${to - 1}/${TEXT.length}`,
      };
      reply.writeHead(request.headers.range === undefined ? 200 : 206, headers).end(TEXT.subarray(from, to));
    });
    await expect(textOf({ kind: "http", url })).rejects.toThrow(`${url}: changed while it was read ("v1" to "v2")`);
  });

  it.each(["with", "without"])(
    "go on %s ranges where a connection broke off, and after a busy server",
    async (ranges) => {
      const sent: number[] = [];
      let requests = 0;
      const url = await served((request, reply) => {
        const range = ranges === "with" ? rangeOf(request.headers.range) : undefined;
        const [from, to] = range ?? [0, TEXT.length];
        requests++;
        if (requests === 3) return void reply.writeHead(503).end();
        const headers = {
          etag: '"v1"',
          "content-length": to - from,
          ...(range === undefined ? {} : { "content-range": `bytes ${from}-${to - 1}/${TEXT.length}` }),
        };
        reply.writeHead(range === undefined ? 200 : 206, headers);
        sent.push(from);
        if (requests !== 2) return void reply.end(TEXT.subarray(from, to));
        return void reply.write(TEXT.subarray(from, from + 5000), () => reply.destroy());
      });
      expect(await textOf({ kind: "http", url })).toBe(TEXT.toString());
      expect(requests).toBe(4);
      expect(sent.at(-1)! > 0).toBe(ranges === "with");
    },
  );

  it("give pieces where the server has ranges", async () => {
    const url = await served((request, reply) => {
      const [from, to] = rangeOf(request.headers.range)!;
      reply.writeHead(206, { "content-range": `bytes ${from}-${to - 1}/${TEXT.length}` }).end(TEXT.subarray(from, to));
    });
    const [file] = await openFiles([{ kind: "http", url }], []);
    expect([file!.bytes, file!.hasSlices]).toEqual([TEXT.length, true]);
    expect(Buffer.from(await file!.slice(4, 12)).toString()).toBe(TEXT.subarray(4, 12).toString());
  });

  it("may be packed, of unknown length, or empty", async () => {
    const packed = await served((_, reply) =>
      reply.writeHead(200, { "transfer-encoding": "chunked" }).end(gzipSync(TEXT)),
    );
    expect(await textOf({ kind: "http", url: `${packed}.gz` })).toBe(TEXT.toString());
    const empty = await served((_, reply) => reply.writeHead(200, { "content-length": 0 }).end());
    expect(await textOf({ kind: "http", url: empty })).toBe("");
  });
});
