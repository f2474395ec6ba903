/** Answers over HTTP that pages are made of: files, JSON, and the headers that keep a page to itself. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { ClusterError, type ClusterErrorCode } from "@volary/core/errors";
import type { StaticFile, StaticPages } from "./static-pages.ts";

/** Answers a request; false where it has nothing for the path, and has not answered. */
export type HttpRoutes = (request: IncomingMessage, response: ServerResponse) => Promise<boolean>;

/**
 * A page runs only what its server hands out, talks to servers alone, and is shown in no other page. Isolated from other
 * origins, it may use threads in WebAssembly.
 *
 * @see https://www.w3.org/TR/CSP3/
 */
const PAGE_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self'",
    "connect-src 'self' ws: wss:",
    "style-src 'self'",
    "img-src 'self' data:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
};

const YEAR_S = 31_536_000;

/** What a request asks for, without its query. */
export function pathOf({ url = "/" }: IncomingMessage): string {
  return url.split("?", 1)[0]!;
}

/**
 * Hands out a page at one path, and the files that pages are made of.
 *
 * @param o.at path of the page, as "/join"
 * @param o.page its file, as "/volunteer.html"
 * @param o.pages undefined where they were not built, which the page's path then says
 */
export function pageRoutes(o: { at: string; page: string; pages: StaticPages | undefined }): HttpRoutes {
  return async (request, response) => {
    const path = pathOf(request);
    const isPage = path === o.at;
    if (!isPage && (!o.pages || path.endsWith(".html"))) return false;
    const file = await o.pages?.get(isPage ? o.page : path);
    if (!file && !isPage) return false;
    if (request.method !== "GET" && request.method !== "HEAD") {
      sendText(response, { status: 405, text: "only GET\n", headers: { allow: "GET, HEAD" } });
    } else if (file) await sendFile(request, response, file);
    else {
      const text = `This server has no pages: build them with \`npx vite build packages/browser-worker\`, then start it again.\n`;
      sendText(response, { status: 503, text });
    }
    return true;
  };
}

/** Sends a file, in fewer bytes where the client can read that, or word that the one it has is still right. */
async function sendFile(request: IncomingMessage, response: ServerResponse, file: StaticFile): Promise<void> {
  const headers: Record<string, string | number> = {
    ...PAGE_HEADERS,
    etag: file.etag,
    vary: "accept-encoding",
    "cache-control": file.immutable ? `public, max-age=${YEAR_S}, immutable` : "no-cache",
  };
  const known = request.headers["if-none-match"]?.split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  if (known?.includes(file.etag)) {
    response.writeHead(304, headers).end();
    return;
  }
  const encoding = encodingFor(request.headers["accept-encoding"]);
  const smaller = encoding && (await file.encoded(encoding));
  if (smaller) headers["content-encoding"] = encoding;
  const body = smaller ?? file.body;
  response.writeHead(200, { ...headers, "content-type": file.contentType, "content-length": body.length });
  response.end(request.method === "HEAD" ? undefined : body);
}

export function sendJson(response: ServerResponse, { status, body }: { status: number; body: object }): void {
  const text = JSON.stringify(body);
  const headers = { ...PAGE_HEADERS, "content-type": "application/json", "cache-control": "no-store" };
  response.writeHead(status, { ...headers, "content-length": Buffer.byteLength(text) }).end(text);
}

export function sendText(
  response: ServerResponse,
  { status, text, headers = {} }: { status: number; text: string; headers?: Readonly<Record<string, string>> },
): void {
  response.writeHead(status, { ...PAGE_HEADERS, "content-type": "text/plain; charset=utf-8", ...headers }).end(text);
}

/**
 * Reads a request's body of JSON.
 *
 * @throws {ClusterError} PROTOCOL_VIOLATION for another content type, or no JSON; LIMIT_EXCEEDED, once so much was read
 */
export async function readJson(request: IncomingMessage, { bytesMax }: { bytesMax: number }): Promise<unknown> {
  const contentType = request.headers["content-type"]?.split(";", 1)[0]?.trim().toLowerCase();
  if (contentType !== "application/json") throw refusal("PROTOCOL_VIOLATION", "send content-type: application/json");
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Leaving the loop must not cut the connection off: the answer is still to come.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw refusal("LIMIT_EXCEEDED", `the request has over ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch {
    throw refusal("PROTOCOL_VIOLATION", "the request is not JSON");
  }
}

function refusal(code: ClusterErrorCode, message: string): ClusterError {
  return new ClusterError(code, message);
}

function encodingFor(accepted: string | string[] | undefined): "br" | "gzip" | undefined {
  const offers = String(accepted ?? "")
    .toLowerCase()
    .split(",")
    .filter((offer) => !/;\s*q=0(\.0*)?\s*$/.test(offer))
    .map((offer) => offer.split(";", 1)[0]!.trim());
  return (["br", "gzip"] as const).find((encoding) => offers.includes(encoding));
}
