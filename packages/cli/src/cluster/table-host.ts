/**
 * Tables of columns where the workers of a job can read them, for as long as a run lasts: as files, for workers on
 * this machine; over HTTP from this process, under a path that cannot be guessed, for workers elsewhere.
 */
import { randomBytes } from "node:crypto";
import { rmSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { encodeTable, type ColumnTable, type FileSpec } from "@volary/core/data";
import { ClusterError } from "@volary/core/errors";

export interface HostedTables {
  /** One a table. */
  readonly files: readonly FileSpec[];
  close(): Promise<void>;
}

/** Hosts tables as files in a folder of their own, which only this user can read; it goes with this process. */
export async function hostAsFiles(tables: readonly ColumnTable[]): Promise<HostedTables> {
  const folder = await mkdtemp(path.join(tmpdir(), "volary-arrays-"));
  const removeOnExit = () => rmSync(folder, { recursive: true, force: true });
  process.on("exit", removeOnExit);
  const close = async () => {
    process.off("exit", removeOnExit);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const files = tables.map((table, i) => ({ table, file: path.join(folder, `${i}.table`) }));
    for (const { table, file } of files) await writeFile(file, encodeTable(table), { mode: 0o600 });
    return { files: files.map(({ file }) => ({ kind: "file", path: file })), close };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * Serves tables from this process.
 *
 * @param o.coordinator ws://… or wss://…: they are served at the address by which this machine reaches it, which its
 * workers must reach in turn
 * @throws {ClusterError} COORDINATOR_UNAVAILABLE
 */
export async function hostOverHttp(
  tables: readonly ColumnTable[],
  { coordinator }: { coordinator: string },
): Promise<HostedTables> {
  const host = await ownAddressTowards(coordinator);
  const secret = randomBytes(16).toString("hex");
  const bodies = new Map(tables.map((table, i) => [`/${secret}/${i}.table`, Buffer.from(encodeTable(table))]));
  const server = createServer((request, response) => serve(bodies, request, response));
  const port = await listen(server, host);
  const origin = `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
  return {
    files: [...bodies.keys()].map((name) => ({ kind: "http", url: `${origin}${name}` })),
    close: () => closeServer(server),
  };
}

function serve(bodies: ReadonlyMap<string, Buffer>, request: IncomingMessage, response: ServerResponse): void {
  const body = bodies.get(request.url ?? "");
  if (!body || (request.method !== "GET" && request.method !== "HEAD")) {
    response.writeHead(body ? 405 : 404).end();
    return;
  }
  const headers = { "content-type": "application/octet-stream", "accept-ranges": "bytes", etag: `"${body.length}"` };
  const range = rangeOf(request.headers.range, body.length);
  const part = range ? body.subarray(range.from, range.to) : body;
  response.writeHead(range ? 206 : 200, {
    ...headers,
    "content-length": part.length,
    ...(range ? { "content-range": `bytes ${range.from}-${range.to - 1}/${body.length}` } : {}),
  });
  response.end(request.method === "HEAD" ? undefined : part);
}

/** Bytes [from, to) of a `Range: bytes=a-b` header; undefined for the whole. */
function rangeOf(header: string | undefined, length: number): { from: number; to: number } | undefined {
  const parts = /^bytes=(\d+)-(\d*)$/.exec(header ?? "");
  if (!parts) return undefined;
  const from = Number(parts[1]);
  const to = Math.min(length, parts[2] === "" ? length : Number(parts[2]) + 1);
  return from < to ? { from, to } : undefined;
}

/** This machine's address on the network through which it reaches the coordinator. */
function ownAddressTowards(coordinator: string): Promise<string> {
  const { hostname, port, protocol } = new URL(coordinator);
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: hostname.replace(/^\[|\]$/g, ""),
      port: Number(port) || (protocol === "wss:" ? 443 : 80),
    });
    socket.once("connect", () => {
      resolve(socket.localAddress!);
      socket.destroy();
    });
    socket.once("error", (cause) =>
      reject(new ClusterError("COORDINATOR_UNAVAILABLE", `${coordinator}: ${cause.message}`, { cause })),
    );
  });
}

function listen(server: Server, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    // A run that nobody closes must not keep its process alive.
    server.unref();
    server.listen(0, host, () => resolve((server.address() as { port: number }).port));
  });
}

function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
}
