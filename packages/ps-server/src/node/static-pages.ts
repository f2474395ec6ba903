/**
 * The files of the pages that servers hand out, from one folder: read at the first request, compressed once.
 *
 * What is not in the folder when it is opened is not there: a request's path is only looked up, never joined to a path
 * of the disk. Files under `assets/` have a hash in their names, so they may be cached for ever.
 */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";

export interface StaticPages {
  /** @param path as "/assets/main-abc123.js" @returns undefined where there is no such file */
  get(path: string): Promise<StaticFile | undefined>;
}

export type Encoding = "br" | "gzip";

export interface StaticFile {
  readonly contentType: string;
  /** Is the file another one as soon as its name is? */
  readonly immutable: boolean;
  /** Quoted, as HTTP wants it. */
  readonly etag: string;
  readonly body: Uint8Array;
  /** The body in fewer bytes; undefined where it does not get smaller. */
  encoded(encoding: Encoding): Promise<Uint8Array | undefined>;
}

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".map": "application/json",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".txt": "text/plain; charset=utf-8",
};

/** Good enough for a file that is compressed while someone waits for it: a megabyte takes about half a second (2 vCPU). */
const BROTLI_QUALITY = 7;

/**
 * Lists the files of a folder.
 *
 * @throws {Error} there is no such folder, or it has no page; the message says how to build one
 */
export async function openPages(folder: string): Promise<StaticPages> {
  const names = await readdir(folder, { recursive: true }).catch((cause: unknown) => {
    throw new Error(`there are no pages in ${folder}; build them with \`npx vite build packages/browser-worker\``, {
      cause,
    });
  });
  const files = new Map(names.map((name) => [`/${name.split(path.sep).join("/")}`, path.join(folder, name)]));
  if (!names.some((name) => name.endsWith(".html"))) {
    throw new Error(`there is no page in ${folder}; build the pages with \`npx vite build packages/browser-worker\``);
  }
  const read = new Map<string, Promise<StaticFile | undefined>>();
  return {
    get: async (name) => {
      const file = files.get(name);
      if (file === undefined) return undefined;
      let content = read.get(name);
      if (!content) read.set(name, (content = readStatic(name, file)));
      return content;
    },
  };
}

/** @returns undefined for a folder */
async function readStatic(name: string, file: string): Promise<StaticFile | undefined> {
  const body = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "EISDIR") return undefined;
    throw error;
  });
  return body && staticFile(name, body);
}

/** A file with this content. @param name says what it is, and whether it may be cached for ever */
export function staticFile(name: string, body: Uint8Array): StaticFile {
  const encodings = new Map<Encoding, Promise<Uint8Array | undefined>>();
  return {
    contentType: CONTENT_TYPES[path.extname(name)] ?? "application/octet-stream",
    immutable: name.startsWith("/assets/"),
    etag: `"${createHash("sha256").update(body).digest("base64url").slice(0, 22)}"`,
    body,
    encoded: (encoding) => {
      let smaller = encodings.get(encoding);
      if (!smaller) encodings.set(encoding, (smaller = compress(body, encoding)));
      return smaller;
    },
  };
}

async function compress(body: Uint8Array, encoding: Encoding): Promise<Uint8Array | undefined> {
  const bytes =
    encoding === "gzip"
      ? await promisify(gzip)(body, { level: 9 })
      : await promisify(brotliCompress)(body, {
          params: {
            [constants.BROTLI_PARAM_QUALITY]: BROTLI_QUALITY,
            [constants.BROTLI_PARAM_SIZE_HINT]: body.length,
          },
        });
  return bytes.length < body.length ? bytes : undefined;
}
