/**
 * A group of two tabs in Chromium and this process: they sum a vector over WebRTC, and where that is blocked, by their
 * WebSockets.
 *
 * Chromium hides the addresses of its machine behind names that only mDNS resolves, which a machine without a local
 * network does not have: the tests switch that off.
 */
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { env } from "node:process";
import { fileURLToPath } from "node:url";
import { GroupLeader, type GroupSum } from "@volary/core/training";
import { acceptLink, type Link } from "@volary/core/wire";
import { chromium, type Browser } from "playwright";
import { build, defaultClientConditions } from "vite";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { realClock } from "../clock.ts";
import { acceptSocket } from "../node-socket.ts";
import { openNodeChannels, type NodeChannels } from "./node-channels.ts";

const TAB = fileURLToPath(new URL("../../../browser-worker/src/testing/group-tab.ts", import.meta.url));
const JOB = 1;
/** 800 KB, so that a round is of many chunks. */
const FLOATS = 200_000;
/** A page on a busy machine. */
const SLOW_MS = 120_000;
const absent = (env["VOLARY_ABSENT"] ?? "").split(",");

/** The reducer, and the web server of the tabs. */
interface Reducer {
  readonly leader: GroupLeader;
  readonly address: string;
  /** Frames of rounds that came by WebSockets. */
  readonly relayed: () => number;
  /** Resolves when so many volunteers take part. */
  joined(volunteers: number): Promise<void>;
  stop(): void;
}

let folder: string;
let browser: Browser;

describe.skipIf(absent.includes("browser"))("a group of two tabs and a Node worker [needs browser]", () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "volary-group-"));
    await buildTab(folder);
    const executablePath = env["CHROMIUM"];
    browser = await chromium.launch({
      args: ["--no-sandbox", "--disable-features=WebRtcHideLocalIpsWithMdns"],
      ...(executablePath === undefined ? {} : { executablePath }),
    });
  });
  afterEach(async () => {
    for (const context of browser.contexts()) await context.close();
  });
  afterAll(async () => {
    await browser?.close();
    await rm(folder, { recursive: true });
  });

  test("sums a vector over WebRTC, and nothing of it goes by the WebSockets", async () => {
    const channels = await openNodeChannels();
    const reducer = await startReducer(channels);
    try {
      const tabs = [await openTab(reducer, { volunteer: 1 }), await openTab(reducer, { volunteer: 2 })];
      await reducer.joined(2);
      // Rounds go by WebSockets until the channels are open.
      let round = 0;
      for (;;) {
        await sumsInAll(reducer, tabs, ++round);
        const reached = await Promise.all(tabs.map(async (tab) => (await tab.result(round)).channels.join()));
        if (reducer.leader.channels.length === 2 && reached.join(" ") === "0,2 0,1") break;
      }
      const before = reducer.relayed();
      await sumsInAll(reducer, tabs, ++round);
      expect(reducer.relayed()).toBe(before);
    } finally {
      reducer.stop();
      channels.close();
    }
  });

  test.each([
    ["the browser has no WebRTC", "delete globalThis.RTCPeerConnection", {}],
    ["no way leads from one to another", "", { policy: "relay" }],
  ])("sums the same by WebSockets where %s", async (_, blocked, asked) => {
    const channels = await openNodeChannels();
    const reducer = await startReducer(channels);
    try {
      const tabs = [
        await openTab(reducer, { volunteer: 1, blocked, ...asked }),
        await openTab(reducer, { volunteer: 2, blocked, ...asked }),
      ];
      await reducer.joined(2);
      const before = reducer.relayed();
      await sumsInAll(reducer, tabs, 1);
      expect(reducer.relayed()).toBeGreaterThan(before);
      for (const tab of tabs) expect((await tab.result(1)).channels).toEqual([]);
    } finally {
      reducer.stop();
      channels.close();
    }
  });

  test("goes on by WebSockets when the reducer's data channels are cut", async () => {
    const channels = await openNodeChannels();
    const reducer = await startReducer(channels);
    try {
      const tabs = [await openTab(reducer, { volunteer: 1 }), await openTab(reducer, { volunteer: 2 })];
      await reducer.joined(2);
      let round = 0;
      do await sumsInAll(reducer, tabs, ++round);
      while (reducer.leader.channels.length < 2);
      const call = reducer.leader.call(
        new Map([
          [1, 1],
          [2, 2],
        ]),
      )!;
      channels.close();
      const sum = await call.sum(vector(0));
      expect(sum).toMatchObject({ volunteers: [1, 2] });
      expectSum(sum!, [1, 2]);
    } finally {
      reducer.stop();
      channels.close();
    }
  });
});

const vector = (member: number): Float32Array => Float32Array.from({ length: FLOATS }, (_, i) => (i % 101) * member);

function expectSum({ sum }: GroupSum, members: number[]): void {
  expect(sum.length).toBe(FLOATS);
  const each = members.reduce((total, member) => total + member, 0);
  expect(sum.findIndex((value, i) => value !== (i % 101) * each)).toBe(-1);
}

/** A round of all, whose sums are right everywhere. */
async function sumsInAll({ leader }: Reducer, tabs: readonly Tab[], round: number): Promise<void> {
  const call = leader.call(new Map(tabs.map(({ volunteer }) => [volunteer, volunteer])))!;
  const sum = await call.sum(vector(0));
  expectSum(sum!, [1, 2]);
  for (const tab of tabs) {
    const { floats, sampled } = await tab.result(round);
    expect(floats).toBe(FLOATS);
    expect(sampled).toEqual([0, 1, 100, FLOATS - 1].map((i) => (i % 101) * 3));
  }
}

async function startReducer({ dialer }: NodeChannels): Promise<Reducer> {
  const http = await serve(folder);
  const links = new Map<number, Link>();
  let relayed = 0;
  let onJoin = () => {};
  const leader = new GroupLeader({
    job: JOB,
    clock: realClock,
    dialer,
    send: (to, message) => {
      if ("control" in message) links.get(to)?.sendControl(message.control);
      else links.get(to)?.sendFrame(message.frame);
      if ("frame" in message) relayed++;
    },
  });
  http.on("upgrade", (request, stream, head) => {
    const socket = acceptSocket({ request, stream, head }, { clock: realClock });
    if (!socket) return;
    void acceptLink({ socket, name: "reducer", clock: realClock }).then((peer) => {
      if (!peer) return;
      const volunteer = peer.hello.id!;
      links.set(volunteer, peer.link);
      peer.link.listen({
        onControl: (control) => {
          if (control.type === "leaf-signal") leader.take(volunteer, { control });
          onJoin();
        },
        onFrame: (frame) => {
          relayed++;
          leader.take(volunteer, { frame });
        },
        onClose: () => leader.lose(volunteer),
      });
    });
  });
  return {
    leader,
    address: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    relayed: () => relayed,
    joined: (volunteers) =>
      new Promise((resolve) => {
        onJoin = () => leader.volunteers.size === volunteers && resolve();
        onJoin();
      }),
    stop: () => {
      leader.close();
      for (const link of links.values()) link.close("the test is over");
      http.closeAllConnections();
      http.close();
    },
  };
}

/** Serves an empty page with the tab's script at /tab, and the files of a folder. */
async function serve(from: string): Promise<Server> {
  const http = createServer(async ({ url = "/" }, response) => {
    const { pathname } = new URL(url, "http://tab");
    if (pathname === "/tab") {
      const html = '<!doctype html><title>waits</title><script type="module" src="/group-tab.js"></script>';
      response.writeHead(200, { "content-type": "text/html" }).end(html);
      return;
    }
    const file = await readFile(join(from, pathname)).catch(() => undefined);
    if (file) response.writeHead(200, { "content-type": "text/javascript" }).end(file);
    else response.writeHead(404).end();
  });
  http.listen(0, "127.0.0.1");
  await once(http, "listening");
  return http;
}

interface TabResult {
  round: number;
  floats: number;
  sampled: number[];
  /** Members that it reaches by data channels. */
  channels: number[];
}

interface Tab {
  readonly volunteer: number;
  /** What it got in a round. */
  result(round: number): Promise<TabResult>;
}

async function openTab(
  { address }: Reducer,
  { volunteer, blocked, policy = "all" }: { volunteer: number; blocked?: string; policy?: string },
): Promise<Tab> {
  const context = await browser.newContext();
  context.setDefaultTimeout(SLOW_MS);
  const page = await context.newPage();
  if (blocked) await page.addInitScript(blocked);
  await page.goto(`${address}/tab?volunteer=${volunteer}&floats=${FLOATS}&policy=${policy}`);
  return {
    volunteer,
    result: async (round) => {
      await page.waitForFunction(
        `document.title.startsWith('{"round":${round},') || /^(failed|closed)/.test(document.title)`,
      );
      return JSON.parse(await page.title()) as TabResult;
    },
  };
}

async function buildTab(outDir: string): Promise<void> {
  await build({
    configFile: false,
    logLevel: "warn",
    root: fileURLToPath(new URL("../../../browser-worker", import.meta.url)),
    base: "/",
    resolve: { conditions: ["volary-source", ...defaultClientConditions] },
    worker: { format: "es" },
    build: {
      outDir,
      emptyOutDir: true,
      target: "es2023",
      modulePreload: false,
      rolldownOptions: { input: { "group-tab": TAB }, output: { entryFileNames: "[name].js" } },
    },
  });
}
