/** A gateway on real sockets, between a scripted coordinator, a scripted reducer, and volunteers of all kinds. */
import { once } from "node:events";
import type { Socket } from "node:net";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { LIMITS } from "@volary/core/limits";
import { seededRandom, SimulatedClock, type SeededRandom } from "@volary/core/testing";
import {
  encodeControl,
  encodeFrame,
  frame,
  PROTOCOL_MAX,
  PROTOCOL_MIN,
  type Control,
  type ControlOf,
  type ControlType,
  type Link,
} from "@volary/core/wire";
import { WebSocket } from "ws";
import { INVITATION, STATUS } from "../gateway/test-gateway.ts";
import { ownPort } from "../testing/own-port.ts";
import { wsDialer } from "./dial.ts";
import { startGateway, type GatewayOptions, type RunningGateway } from "./gateway-server.ts";
import { listen, type Listening } from "./listen.ts";
import { staticFile, type StaticPages } from "./static-pages.ts";

const PAGE = `<!doctype html><title>Volunteer</title>${"<p>text</p>".repeat(50)}`;
const FILES: Record<string, string> = {
  "/volunteer.html": PAGE,
  "/dashboard.html": "for operators",
  "/assets/a-1.js": "1",
};
const pages: StaticPages = {
  get: async (path) => (FILES[path] === undefined ? undefined : staticFile(path, Buffer.from(FILES[path]))),
};

/** Messages of a link, awaited by type. */
class Heard {
  readonly all: Control[] = [];
  frames = 0;
  readonly link: Link;
  readonly closed: Promise<string>;
  #wake = () => {};

  constructor(link: Link) {
    this.link = link;
    this.closed = new Promise((resolve) =>
      link.listen({
        onControl: (control) => (this.all.push(control), this.#wake()),
        onFrame: () => (this.frames++, this.#wake()),
        onClose: (reason) => (this.#wake(), resolve(reason)),
      }),
    );
  }

  async next<T extends ControlType>(type: T): Promise<ControlOf<T>> {
    for (;;) {
      const at = this.all.findIndex((control) => control.type === type);
      if (at >= 0) return this.all.splice(at, 1)[0] as ControlOf<T>;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  async nextFrame(): Promise<void> {
    while (this.frames === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    this.frames--;
  }
}

const sessionFor = (volunteer: number) => `session-of-volunteer-${volunteer}`;
const tokenFor = (volunteer: number) => `token-for-volunteer-${volunteer}`;

let reducer: Listening;
/** The reducer's ends of its volunteers' links, by volunteer. */
let leaves: Map<number, Heard>;
let onLeaf: (volunteer: number) => void;
let coordinator: Listening;
/** What gateways told the coordinator beside questions. */
let told: Control[];

/** Knows sessions 1 to 9 of job 1, and tokens for them that are good once. */
async function openCoordinator(port = 0): Promise<Listening> {
  const used = new Set<string>();
  const server = await listen({
    name: "coordinator",
    port,
    onLink: (link) => {
      const session = (request: number, secret: string): Control => {
        const volunteer = Number(secret.at(-1));
        if (!(volunteer >= 1)) return { type: "error", code: "SESSION_ENDED", message: "unknown", requestId: request };
        const reducers = [{ worker: 1, address: reducer.address, leaves: 0, leavesMax: 64 }];
        const more = { job: 1, phase: "training", expiresInMs: 60_000, invitation: INVITATION, reducers } as const;
        return { type: "session", request, session: sessionFor(volunteer), volunteer, ...more };
      };
      link.listen({
        onControl: (control) => {
          if (control.type === "session-request") link.sendControl(session(control.request, control.session));
          else if (control.type !== "redeem") {
            told.push(control);
            if (control.type === "watch") link.sendControl({ type: "job-status", status: STATUS });
          } else if (used.has(control.token)) {
            const refusal = { code: "TOKEN_USED", message: "it was used", requestId: control.request };
            link.sendControl({ type: "error", ...refusal });
          } else {
            used.add(control.token);
            link.sendControl(session(control.request, control.token));
          }
        },
        onFrame: () => {},
        onClose: () => {},
      });
    },
  });
  onTestFinished(() => server.close());
  return server;
}

async function open(o: Partial<GatewayOptions> = {}): Promise<RunningGateway> {
  const gateway = await startGateway({ coordinator: coordinator.address, port: 0, pages, log: () => {}, ...o });
  onTestFinished(() => gateway.stop());
  return gateway;
}

const leafLink = async ({ address }: RunningGateway, volunteer: number) =>
  new Heard(await wsDialer().dial(`${address}/leaf`, { role: "leaf", name: "tab", session: sessionFor(volunteer) }));

/** A volunteer that its reducer has heard. */
async function join(gateway: RunningGateway, volunteer: number): Promise<{ tab: Heard; leaf: Heard }> {
  const there = new Promise<void>((resolve) => (onLeaf = () => resolve()));
  const tab = await leafLink(gateway, volunteer);
  await there;
  return { tab, leaf: leaves.get(volunteer)! };
}

const post = (gateway: RunningGateway, path: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(`${gateway.url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });

const counted = async (gateway: RunningGateway): Promise<Record<string, number>> => {
  const text = await (await fetch(`${gateway.url}/metrics`)).text();
  return Object.fromEntries(
    Array.from(text.matchAll(/^volary_gateway_refused_total\{code="(\w+)"\} (\d+)$/gm), ([, code, n]) => [
      code,
      Number(n),
    ]),
  );
};

/** The status that an upgrade is answered with. */
const upgradeStatus = (address: string, origin?: string) =>
  new Promise<number>((resolve, reject) => {
    const socket = new WebSocket(address, origin === undefined ? {} : { origin });
    socket.on("unexpected-response", (_, response) => resolve(response.statusCode!));
    socket.on("open", () => (socket.close(), resolve(101)));
    socket.on("error", reject);
  });

/** A WebSocket of another make that has said hello. */
async function rawLeaf(gateway: RunningGateway, volunteer: number): Promise<WebSocket> {
  const there = new Promise<void>((resolve) => (onLeaf = () => resolve()));
  const socket = new WebSocket(`${gateway.address}/leaf`, { perMessageDeflate: false });
  await once(socket, "open");
  const protocol = { min: PROTOCOL_MIN, max: PROTOCOL_MAX };
  socket.send(encodeControl({ type: "hello", protocol, role: "leaf", name: "raw", session: sessionFor(volunteer) }));
  await there;
  return socket;
}

/** A hello, most often, then a few messages, each broken in its own way. */
function garbage(random: SeededRandom): (string | Uint8Array)[] {
  const pick = <T>(...of: T[]): T => of[random.below(of.length)]!;
  const bytes = () => Uint8Array.from({ length: random.below(200) }, () => random.below(256));
  const protocol = { min: PROTOCOL_MIN, max: PROTOCOL_MAX };
  const session = pick(sessionFor(1), sessionFor(2), sessionFor(3), "no-session-that-is-known", undefined);
  const hello = encodeControl({
    type: "hello",
    protocol,
    role: pick("leaf", "leaf", "leaf", "client"),
    name: "x",
    session,
  });
  const some = Array.from({ length: random.below(6) }, () =>
    pick<() => string | Uint8Array>(
      bytes,
      () => String.fromCharCode(...bytes()),
      () => encodeControl({ type: "leaf-ready" }),
      () => encodeControl({ type: "leaf-signal", from: 9, to: 9, data: "x" }),
      () => encodeControl({ type: "revoked", volunteer: 9, code: "SESSION_ENDED", reason: "no" }),
      () => encodeControl({ type: "leaf-join", device: "x", samples: 1, computeMs: 1 }).slice(random.below(30)),
      () => encodeFrame(frame({ opcode: pick("push", "leafRows", "leafRowGradients"), values: new Float32Array(9) })),
    )(),
  );
  return random.next() < 0.9 ? [hello, ...some] : some;
}

beforeEach(async () => {
  told = [];
  leaves = new Map();
  onLeaf = () => {};
  reducer = await listen({
    name: "reducer",
    port: 0,
    onLink: (link, { id }) => {
      leaves.set(id!, new Heard(link));
      onLeaf(id!);
    },
  });
  onTestFinished(() => reducer.close());
  coordinator = await openCoordinator();
});

describe("the page", () => {
  it("comes with headers that keep it to itself, compressed, and not again while it is the same", async () => {
    const gateway = await open();
    const moved = await fetch(`${gateway.url}/`, { redirect: "manual" });
    expect([moved.status, moved.headers.get("location")]).toEqual([302, "/join"]);
    const page = await fetch(`${gateway.url}/join?x=1`, { headers: { "accept-encoding": "gzip, br;q=0.5" } });
    expect(await page.text()).toBe(PAGE);
    expect(page.headers.get("content-security-policy")).toContain(
      "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'",
    );
    expect(Object.fromEntries(page.headers)).toMatchObject({
      "cross-origin-opener-policy": "same-origin",
      "cross-origin-embedder-policy": "require-corp",
      "x-content-type-options": "nosniff",
      "referrer-policy": "no-referrer",
      "cache-control": "no-cache",
      "content-encoding": "br",
    });
    const etag = page.headers.get("etag")!;
    const again = await fetch(`${gateway.url}/join`, { headers: { "if-none-match": etag } });
    expect([again.status, await again.text()]).toEqual([304, ""]);
    const plain = await fetch(`${gateway.url}/join`, { headers: { "accept-encoding": "br;q=0" } });
    expect([await plain.text(), plain.headers.get("content-encoding")]).toEqual([PAGE, null]);
  });

  it("has files for ever under /assets, and nothing of the operators", async () => {
    const gateway = await open();
    const asset = await fetch(`${gateway.url}/assets/a-1.js`);
    expect([await asset.text(), asset.headers.get("cache-control")]).toEqual([
      "1",
      "public, max-age=31536000, immutable",
    ]);
    for (const path of ["/dashboard.html", "/volunteer.html", "/assets/b.js", "/api"])
      expect((await fetch(`${gateway.url}${path}`)).status, path).toBe(404);
    expect((await fetch(`${gateway.url}/join`, { method: "POST" })).status).toBe(405);
    expect(await (await fetch(`${gateway.url}/health`)).text()).toBe("ok");
  });

  it("says how it is built where it was not", async () => {
    const response = await fetch(`${(await open({ pages: undefined })).url}/join`);
    expect([response.status, await response.text()]).toEqual([
      503,
      expect.stringContaining("npx vite build packages/browser-worker"),
    ]);
  });
});

describe("the API", () => {
  it("takes a token once, and its session as often as a page is loaded again", async () => {
    const gateway = await open();
    const joined = await post(gateway, "/api/join", { token: tokenFor(3) });
    expect([joined.status, await joined.json()]).toEqual([
      200,
      { session: sessionFor(3), volunteer: 3, expiresInMs: 60_000, phase: "training", invitation: INVITATION },
    ]);
    expect(joined.headers.get("cache-control")).toBe("no-store");
    const replayed = await post(gateway, "/api/join", { token: tokenFor(3) });
    expect([replayed.status, await replayed.json()]).toEqual([410, { code: "TOKEN_USED", message: "it was used" }]);
    for (let i = 0; i < 2; i++)
      expect((await post(gateway, "/api/session", { session: sessionFor(3) })).status).toBe(200);
    expect((await post(gateway, "/api/session", { session: "no-session-that-is-known" })).status).toBe(401);
    expect(await counted(gateway)).toEqual({ TOKEN_USED: 1, SESSION_ENDED: 1 });
  });

  it("refuses pages of other origins, and takes those that it was told of", async () => {
    const gateway = await open({ origins: ["https://friend.example"], url: "https://volunteers.example/" });
    expect(gateway.url).toBe("https://volunteers.example");
    const own = { ...gateway, url: gateway.address.replace("ws", "http") };
    const statusFrom = async (origin: string) =>
      (await post(own, "/api/session", { session: sessionFor(1) }, { origin })).status;
    expect(await statusFrom("https://elsewhere.example")).toBe(403);
    expect(await statusFrom("null")).toBe(403);
    for (const origin of ["https://friend.example", "https://volunteers.example", own.url])
      expect(await statusFrom(origin)).toBe(200);
    expect(await upgradeStatus(`${gateway.address}/leaf`, "https://elsewhere.example")).toBe(403);
    expect(await upgradeStatus(`${gateway.address}/leaf`, own.url)).toBe(101);
    expect(await upgradeStatus(gateway.address)).toBe(404);
    expect(await counted(own)).toEqual({ WRONG_ORIGIN: 3 });
  });

  it("reads no more than it must, and says what is wrong", async () => {
    const gateway = await open();
    const codeOf = async (body: unknown, headers: Record<string, string> = {}) => {
      const response = await post(gateway, "/api/join", body, headers);
      return [response.status, ((await response.json()) as { code: string }).code];
    };
    expect(await codeOf({ token: tokenFor(1) }, { "content-type": "text/plain" })).toEqual([400, "PROTOCOL_VIOLATION"]);
    expect(await codeOf("{")).toEqual([400, "PROTOCOL_VIOLATION"]);
    expect(await codeOf({ token: "short" })).toEqual([400, "PROTOCOL_VIOLATION"]);
    expect(await codeOf({ session: sessionFor(1) })).toEqual([400, "PROTOCOL_VIOLATION"]);
    expect(await codeOf({ token: tokenFor(1), claim: "short" })).toEqual([400, "PROTOCOL_VIOLATION"]);
    expect(await codeOf({ token: "x".repeat(1_000_000) })).toEqual([413, "LIMIT_EXCEEDED"]);
    expect((await fetch(`${gateway.url}/api/join`)).status).toBe(405);
    expect(await counted(gateway)).toEqual({ PROTOCOL_VIOLATION: 5, LIMIT_EXCEEDED: 1 });
  });

  it("takes so many requests a minute of an address, which only a trusted proxy may name", async () => {
    const gateway = await open({ trustProxy: true, clock: new SimulatedClock() }); // on which no time passes
    const statusFrom = async (address: string) =>
      (await post(gateway, "/api/join", "{", { "x-forwarded-for": `spoofed, ${address}` })).status;
    const statuses = await Promise.all(
      Array.from({ length: LIMITS.gatewayEntriesPerMinute + 3 }, () => statusFrom("192.0.2.1")),
    );
    expect(statuses.filter((status) => status === 429)).toHaveLength(3);
    expect(await statusFrom("192.0.2.2")).toBe(400);
  });

  it("says that the coordinator is away, and serves on once it is back", async () => {
    const port = await ownPort();
    coordinator = await openCoordinator(port);
    const gateway = await open();
    const { tab, leaf } = await join(gateway, 1);
    await coordinator.close();
    const refused = await post(gateway, "/api/join", { token: tokenFor(2) });
    expect([refused.status, await refused.json()]).toMatchObject([503, { code: "COORDINATOR_UNAVAILABLE" }]);
    expect((await fetch(`${gateway.url}/health`)).status).toBe(503);
    tab.link.sendControl({ type: "leaf-ready" });
    await leaf.next("leaf-ready");
    coordinator = await openCoordinator(port);
    while ((await fetch(`${gateway.url}/health`)).status !== 200);
    expect((await post(gateway, "/api/join", { token: tokenFor(2) })).status).toBe(200);
  });
});

describe("a volunteer's connection", () => {
  it("is relayed to the reducer and back, and told of its job", async () => {
    const gateway = await open();
    const { tab, leaf } = await join(gateway, 4);
    expect((await tab.next("job-status")).status).toMatchObject({ job: 1, badRows: { count: 1, first: [] } });
    tab.link.sendControl({ type: "leaf-ready" });
    await leaf.next("leaf-ready");
    leaf.link.sendFrame(frame({ opcode: "leafRows", requestId: 1, values: new Float32Array(100_000).fill(2) }));
    await tab.nextFrame();
    tab.link.sendFrame(frame({ opcode: "leafRowGradients", requestId: 1, values: Float32Array.of(1) }));
    await leaf.nextFrame();
    leaf.link.close("internal error: /srv/inside");
    const lost = {
      type: "leaf-end",
      code: "NO_REDUCER",
      message: "the connection to the trainer is lost",
      mayReturn: true,
    };
    expect(await tab.next("leaf-end")).toEqual(lost);
    expect(told).toContainEqual({ type: "gateway-join", name: "gateway", url: gateway.url });
  });

  it("needs a role and a session", async () => {
    const gateway = await open();
    const dial = (role: "worker" | "client" | "leaf", session?: string) =>
      wsDialer().dial(`${gateway.address}/leaf`, { role, name: "x", ...(session ? { session } : {}) });
    await expect(dial("worker")).rejects.toMatchObject({ code: "PROTOCOL_VIOLATION" });
    await expect(dial("client", sessionFor(1))).rejects.toMatchObject({ code: "PROTOCOL_VIOLATION" });
    await expect(dial("leaf")).rejects.toMatchObject({ code: "SESSION_ENDED" });
    const tab = new Heard(await dial("leaf", "no-session-that-is-known"));
    expect(await tab.next("leaf-end")).toMatchObject({ code: "SESSION_ENDED", mayReturn: false });
    await tab.closed;
    expect(await counted(gateway)).toEqual({ PROTOCOL_VIOLATION: 2, SESSION_ENDED: 2 });
    expect(leaves.size).toBe(0);
  });

  it("is closed before a frame of 100 MB is read, and an honest one goes on", async () => {
    const gateway = await open();
    const honest = await join(gateway, 1);
    const socket = await rawLeaf(gateway, 2);
    const closed = once(socket, "close") as Promise<[number, Buffer]>;
    socket.on("error", () => {});
    // Its head alone: to make the rest takes a busy machine longer than the gateway is patient.
    const head = Buffer.alloc(14);
    head.set([0x82, 0xff]);
    head.writeBigUInt64BE(100n * 1024n * 1024n, 2);
    (socket as unknown as { _socket: Socket })._socket.write(head);
    const [code, reason] = await closed;
    expect([code, reason.toString()]).toEqual([1009, expect.stringContaining("67108864")]);
    expect(await counted(gateway)).toEqual({ LIMIT_EXCEEDED: 1 });
    honest.tab.link.sendControl({ type: "leaf-ready" });
    await honest.leaf.next("leaf-ready");
  });

  it("is closed before a long control message is parsed", async () => {
    const gateway = await open();
    const socket = await rawLeaf(gateway, 2);
    const answers: string[] = [];
    socket.on("message", (data: Buffer) => answers.push(data.toString()));
    socket.send(JSON.stringify({ type: "leaf-ready", more: "x".repeat(LIMITS.leafControlCharsMax) }));
    const [code] = (await once(socket, "close")) as [number];
    expect([code, answers.at(-1)]).toEqual([4002, expect.stringContaining("characters")]);
    expect(await counted(gateway)).toEqual({ PROTOCOL_VIOLATION: 1 });
  });

  it("is closed when it reads too slowly, and an honest one goes on", async () => {
    const gateway = await open();
    const honest = await join(gateway, 1);
    const socket = await rawLeaf(gateway, 2);
    socket.pause();
    const slow = leaves.get(2)!;
    let isOver = false;
    void slow.closed.then(() => (isOver = true));
    const values = new Float32Array(2 * 1024 * 1024);
    for (let sent = 0; sent < 32 && !isOver; sent++)
      await new Promise<void>((resolve) => slow.link.sendFrame(frame({ opcode: "leafRows", values }), resolve));
    await slow.closed;
    socket.terminate();
    expect(await counted(gateway)).toEqual({ SLOW_READER: 1 });
    honest.tab.link.sendControl({ type: "leaf-ready" });
    await honest.leaf.next("leaf-ready");
  });

  it("ends over what is not its part, with a reason that it can read", async () => {
    const gateway = await open();
    const { tab, leaf } = await join(gateway, 1);
    tab.link.sendFrame(frame({ opcode: "pull" }));
    expect(await tab.next("leaf-end")).toMatchObject({ message: 'a volunteer may not send a "pull" frame' });
    await Promise.all([tab.closed, leaf.closed]);
    const other = await join(gateway, 2);
    const socket = await rawLeaf(gateway, 3);
    const answers: string[] = [];
    socket.on("message", (data: Buffer) => answers.push(data.toString()));
    socket.send(Uint8Array.of(1, 2, 3));
    const [code] = (await once(socket, "close")) as [number];
    expect([code, answers.at(-1)]).toEqual([4002, expect.stringContaining("shorter than its 64-byte header")]);
    expect(await counted(gateway)).toEqual({ PROTOCOL_VIOLATION: 2 });
    other.tab.link.close("enough");
    await other.leaf.closed;
  });

  it("goes on among others that send what they like", async () => {
    const faults: string[] = [];
    const gateway = await open({ log: (message) => void (message.includes("a bug") && faults.push(message)) });
    const honest = await join(gateway, 9);
    const random = seededRandom(3);
    const attack = async () => {
      const socket = new WebSocket(`${gateway.address}/leaf`);
      socket.on("error", () => {});
      const closed = once(socket, "close");
      await once(socket, "open");
      for (const message of garbage(random)) socket.send(message);
      socket.close();
      await closed;
    };
    for (let round = 0; round < 20; round++) {
      await Promise.all([attack(), attack(), attack(), attack()]);
      honest.tab.link.sendControl({ type: "leaf-ready" });
      await honest.leaf.next("leaf-ready");
    }
    expect(faults).toEqual([]);
    const refused = await counted(gateway);
    expect(Math.min(refused["PROTOCOL_VIOLATION"]!, refused["SESSION_ENDED"]!)).toBeGreaterThan(0);
    for (const volunteer of leaves.keys()) expect([1, 2, 3, 9]).toContain(volunteer); // no other session is known
  });

  it("gets another reducer's word when none can be reached", async () => {
    const gateway = await open();
    await reducer.close();
    const tab = await leafLink(gateway, 1);
    expect(await tab.next("leaf-end")).toMatchObject({ code: "NO_REDUCER", mayReturn: true });
  });
});

describe("startGateway()", () => {
  it("says what its url looks like", async () => {
    await expect(open({ url: "volunteers.example" })).rejects.toThrow(
      'the gateway\'s url is "volunteers.example"; give https',
    );
  });

  it("tells volunteers that it stops", async () => {
    const gateway = await open();
    const { tab } = await join(gateway, 1);
    await gateway.stop();
    expect(await tab.next("leaf-end")).toMatchObject({ message: "the gateway stops", mayReturn: true });
    expect(await gateway.closed).toBe("the gateway stops");
  });
});
