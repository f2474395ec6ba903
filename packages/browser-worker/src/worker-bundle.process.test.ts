/** The bundle as it is served to tabs: built from the sources, loaded by Chromium into a dedicated Web Worker. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, extname, join } from "node:path";
import { env, execPath } from "node:process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzipSync } from "node:zlib";
import { chromium, type Browser, type Page } from "playwright";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { flightsTable, relativeDifferences } from "./testing/flights-step.ts";
import { takeNodeStep, type NodeStep } from "./testing/node-step.ts";
import { serveScriptedCluster, type ScriptedCluster } from "./testing/scripted-cluster.ts";
import type { PageMessage, WorkerMessage } from "./worker.ts";

const PACKAGE = fileURLToPath(new URL("..", import.meta.url));
const GZIPPED_BYTES_MAX = 200_000;
const DIFFERENCE_MAX = 1e-4;
const absent = (env["VOLARY_ABSENT"] ?? "").split(",");

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "volary-bundle-"));
  await buildBundle(folder);
});
afterAll(() => rm(folder, { recursive: true }));

test("what every tab fetches, whatever its device, is small", async () => {
  expect(gzipSync(await readFile(join(folder, "worker.js"))).length).toBeLessThan(GZIPPED_BYTES_MAX);
});

describe.skipIf(absent.includes("browser"))("in a dedicated Web Worker of Chromium [needs browser]", () => {
  let byNode: NodeStep;
  let http: Server;
  let cluster: ScriptedCluster;
  let browser: Browser;
  beforeAll(async () => {
    byNode = await takeNodeStep();
    http = await serve(folder);
    cluster = await serveScriptedCluster(http, byNode);
    const executablePath = env["CHROMIUM"];
    browser = await chromium.launch({
      args: ["--no-sandbox"],
      ...(executablePath === undefined ? {} : { executablePath }),
    });
  });
  afterAll(async () => {
    await browser?.close();
    http?.closeAllConnections();
    http?.close();
  });

  test("the bundle joins a coordinator and takes the demo's first step on WebGL as Node takes it", async () => {
    const { manifest, denseWeights, step } = byNode;
    const page = await browser.newPage();
    await page.goto(cluster.address.replace("ws:", "http:"));
    const worker = await startWorker(page, {
      type: "start",
      coordinator: cluster.address,
      name: "tab",
      device: "webgl",
      table: flightsTable(),
    });
    const trained = await Promise.race([cluster.trained, worker.stopped]);
    if (typeof trained === "string") throw new Error(`the worker stopped before it had trained: ${trained}`);

    expect(worker.messages).toEqual([
      { type: "started", device: "webgl", description: expect.stringMatching(/./) as string },
    ]);
    expect(trained.backend).toMatch(/^webgl \(.+\)$/);
    // The job's dense optimizer subtracts gradients as they are.
    const denseGrads = denseWeights.map((weight, i) => weight - trained.denseWeights[i]!);
    const got = { lossSum: trained.lossSum, denseGrads, sums: trained.pushed };
    const differences = relativeDifferences(manifest, { got, wanted: step });
    expect(differences.size).toBe(1 + 6 + 2);
    expect([...differences].filter(([, difference]) => !(difference <= DIFFERENCE_MAX))).toEqual([]);

    await worker.post({ type: "stop" });
    expect(await worker.stopped).toBe("the worker stops");
  });
});

/** Builds as `pnpm build` does, elsewhere. */
async function buildBundle(outDir: string): Promise<void> {
  const vite = join(dirname(createRequire(import.meta.url).resolve("vite/package.json")), "bin/vite.js");
  const { NODE_ENV: _, ...rest } = env;
  await promisify(execFile)(execPath, [vite, "build", "--outDir", outDir, "--logLevel", "warn"], {
    cwd: PACKAGE,
    env: rest,
  });
}

const CONTENT_TYPES: Record<string, string> = { ".js": "text/javascript", ".wasm": "application/wasm" };

/** Serves an empty page at /, and the files of a folder. */
async function serve(from: string): Promise<Server> {
  const http = createServer(async ({ url = "/" }, response) => {
    const name = url.slice(1);
    if (name === "")
      response.writeHead(200, { "content-type": "text/html" }).end("<!doctype html><title>Volary</title>");
    else if (!(await readdir(from)).includes(name)) response.writeHead(404).end();
    else
      response.writeHead(200, { "content-type": CONTENT_TYPES[extname(name)] }).end(await readFile(join(from, name)));
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  return http;
}

interface WorkerInPage {
  /** All that came but the last word. */
  readonly messages: WorkerMessage[];
  /** Resolves with the reason. */
  readonly stopped: Promise<string>;
  post(message: PageMessage & { type: "stop" }): Promise<void>;
}

/** Starts the bundle in a Web Worker of a page. */
async function startWorker(page: Page, { table, ...start }: PageMessage & { type: "start" }): Promise<WorkerInPage> {
  const messages: WorkerMessage[] = [];
  let stop: (reason: string) => void;
  const stopped = new Promise<string>((resolve) => (stop = resolve));
  await page.exposeFunction("hear", (message: WorkerMessage) => {
    if (message.type === "stopped") stop(message.reason);
    else messages.push(message);
  });
  const worker = await page.evaluateHandle(
    ({ start, rows, columns }) => {
      const { hear } = globalThis as unknown as { hear: (message: WorkerMessage) => void };
      const worker = new Worker("/worker.js", { type: "module" });
      worker.onmessage = ({ data }: MessageEvent<WorkerMessage>) => hear(data);
      worker.onerror = ({ message }) => hear({ type: "stopped", reason: message });
      worker.postMessage({ ...start, table: { rows, columns: new Map(columns) } });
      return worker;
    },
    { start, rows: table.rows, columns: [...table.columns] },
  );
  return { messages, stopped, post: (message) => worker.evaluate((w, posted) => w.postMessage(posted), message) };
}
