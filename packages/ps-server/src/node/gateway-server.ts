/**
 * A gateway as a process: the one port of a cluster that volunteers reach, with their page, the API that lets them in,
 * and their connections. Its certificate is that of a proxy before it.
 *
 * What happens when a peer dies here: see `gateway/gateway.ts`; the coordinator is dialed for as long as the gateway runs.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { ClusterError, type ClusterErrorCode } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import type { Clock } from "@volary/core/wire";
import { z } from "zod";
import type { Entry, Refusal } from "../gateway/effects.ts";
import { GatewayHost } from "../gateway/gateway-host.ts";
import { realClock } from "./clock.ts";
import { wsDialer } from "./dial.ts";
import { faultLog } from "./fault-log.ts";
import { gatewayMetrics } from "./gateway-metrics.ts";
import { pageRoutes, pathOf, readJson, sendJson, sendText } from "./http-routes.ts";
import { comesFrom, listen } from "./listen.ts";
import { networkOf } from "./network-of.ts";
import type { StaticPages } from "./static-pages.ts";

export interface GatewayOptions {
  /** ws://host:port */
  coordinator: string;
  host?: string | undefined;
  /** 0 takes a free one. */
  port: number;
  /** https://host:port, as volunteers know it; where it listens unless said otherwise. */
  url?: string | undefined;
  /** Of the volunteers' page; without them `/join` says how to build them. */
  pages?: StaticPages | undefined;
  /** Whose pages may ask, beside the gateway's own: "https://host:port". */
  origins?: readonly string[] | undefined;
  /** A proxy before it says in X-Forwarded-For whose a connection is; without one, anybody could. */
  trustProxy?: boolean | undefined;
  /** For messages to people. */
  name?: string | undefined;
  log: (message: string) => void;
  clock?: Clock;
  /** In [0, 1): jitters the dialing. */
  random?: () => number;
}

export interface RunningGateway {
  /** ws://host:port, where it listens. */
  readonly address: string;
  /** As volunteers know it, without a slash at its end. */
  readonly url: string;
  /** Resolves with the reason once it has ended. */
  readonly closed: Promise<string>;
  stop: () => Promise<void>;
}

/** Where a secret of each sort is asked for, and the name of its field. */
const API = { "/api/join": "token", "/api/session": "session" } as const;
const LEAF_PATH = "/leaf";
const secretSchema = z.string().min(16).max(200);

/** Statuses of HTTP for codes; 400 for all others. */
const STATUS_OF: Partial<Record<ClusterErrorCode, number>> = {
  TOKEN_UNKNOWN: 401,
  SESSION_ENDED: 401,
  UPDATE_DIFFERS: 403,
  WRONG_ORIGIN: 403,
  TOKEN_USED: 410,
  TOKEN_EXPIRED: 410,
  LIMIT_EXCEEDED: 413,
  TOO_MANY: 429,
  COORDINATOR_UNAVAILABLE: 503,
  TIMEOUT: 504,
};

/**
 * Starts a gateway and joins the coordinator.
 *
 * @throws {TypeError} the url is none
 * @throws {ClusterError} ADDRESS_IN_USE, COORDINATOR_UNAVAILABLE after retries, PROTOCOL_VERSION
 */
export async function startGateway(o: GatewayOptions): Promise<RunningGateway> {
  const { log, clock = realClock, random = Math.random, name = "gateway", origins = [], pages } = o;
  if (o.url !== undefined) checkUrl(o.url);
  const onFault = faultLog(log);
  let url = "";
  const dialer = wsDialer({ clock, onFault, unsentBytesMax: LIMITS.gatewayUnsentBytesMax });
  const { coordinator } = o;
  const host = new GatewayHost({ name, url: () => url, coordinator, dialer, clock, random, log });
  const pagesFrom = o.url === undefined ? origins : [...origins, new URL(o.url).origin];
  const door = new Door(host, { clock, origins: pagesFrom, trustProxy: o.trustProxy ?? false });
  const page = pageRoutes({ at: "/join", page: "/volunteer.html", pages });
  const port = await listen({
    name,
    port: o.port,
    clock,
    ...(o.host === undefined ? {} : { host: o.host }),
    payloadBytesMax: LIMITS.leafFrameBytesMax,
    unsentBytesMax: LIMITS.leafUnsentBytesMax,
    controlCharsMax: LIMITS.leafControlCharsMax,
    onFault,
    refuseUpgrade: (request) => door.refuseUpgrade(request),
    refuse: (hello) => host.refuse(hello),
    onLink: (link, hello) => host.accept(link, hello),
    routes: async (request, response) => (await door.answer(request, response)) || (await page(request, response)),
    metrics: async () => {
      const metrics = gatewayMetrics(host.gateway);
      return { contentType: metrics.contentType, text: await metrics.metrics() };
    },
    trouble: () => (host.isConnected ? undefined : "the coordinator is away; volunteers who are in go on"),
  }).catch((error: unknown) => {
    host.stop("the port could not be opened");
    throw error;
  });
  url = (o.url ?? port.address.replace(/^ws/, "http")).replace(/\/+$/, "");

  let end: (reason: string) => void = () => {};
  const ended = new Promise<string>((resolve) => {
    end = resolve;
  });
  const closed = ended.then(async (reason) => {
    host.stop(reason);
    await port.close().catch((error: unknown) => log(`while the gateway stopped: ${String(error)}`));
    return reason;
  });
  const stop = async () => {
    end("the gateway stops");
    await closed;
  };
  try {
    await host.join(LIMITS.connectAttemptsMax);
  } catch (error) {
    await stop();
    throw error;
  }
  return { address: port.address, url, closed, stop };
}

/** What a request meets before a gateway hears of it: where it comes from, how often, and in which form. */
class Door {
  readonly #host: GatewayHost;
  readonly #clock: Clock;
  readonly #origins: readonly string[];
  readonly #trustProxy: boolean;

  constructor(host: GatewayHost, o: { clock: Clock; origins: readonly string[]; trustProxy: boolean }) {
    this.#host = host;
    this.#clock = o.clock;
    this.#origins = o.origins;
    this.#trustProxy = o.trustProxy;
  }

  /** @returns a status line */
  refuseUpgrade(request: IncomingMessage): string | undefined {
    if (pathOf(request) !== LEAF_PATH) return "404 Not Found";
    const code = this.#refusal(request)?.code;
    if (code === undefined) return undefined;
    return code === "TOO_MANY" ? "429 Too Many Requests" : "403 Forbidden";
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const path = pathOf(request);
    if (path === "/") {
      sendText(response, { status: 302, text: "/join\n", headers: { location: "/join" } });
      return true;
    }
    if (path !== "/api/join" && path !== "/api/session") return false;
    if (request.method !== "POST") {
      sendText(response, { status: 405, text: "only POST\n", headers: { allow: "POST" } });
      return true;
    }
    const answer = await this.#enter(request, API[path]);
    if (!("code" in answer)) sendJson(response, { status: 200, body: answer });
    else {
      // What was not read of a body that is refused is not read at all.
      if (!request.complete) response.setHeader("connection", "close");
      sendJson(response, { status: STATUS_OF[answer.code] ?? 400, body: answer });
    }
    return true;
  }

  async #enter(request: IncomingMessage, by: "token" | "session"): Promise<Entry | Refusal> {
    const refusal = this.#refusal(request);
    if (refusal) return refusal;
    const { gateway } = this.#host;
    try {
      const body = await readJson(request, { bytesMax: LIMITS.gatewayBodyBytesMax });
      const asked = z.object({ [by]: secretSchema, claim: secretSchema.optional() }).safeParse(body).data;
      if (asked) return await this.#host.enter({ by, secret: asked[by]!, claim: asked.claim });
      gateway.countRefused("PROTOCOL_VIOLATION");
      return {
        code: "PROTOCOL_VIOLATION",
        message: `the request needs a "${by}" of 16 to 200 characters, as a "claim" has`,
      };
    } catch (error) {
      if (!(error instanceof ClusterError)) throw error;
      gateway.countRefused(error.code);
      return { code: error.code, message: error.message };
    }
  }

  #refusal(request: IncomingMessage): Refusal | undefined {
    const { gateway } = this.#host;
    if (!comesFrom(request, this.#origins)) {
      gateway.countRefused("WRONG_ORIGIN");
      const message = `pages of ${request.headers.origin} may not ask; open the invitation's link itself`;
      return { code: "WRONG_ORIGIN", message };
    }
    return gateway.refuseEntry(this.#addressOf(request), this.#clock.now());
  }

  /** Whose network a connection is from: of addresses that were forwarded, the last is the one that the proxy saw. */
  #addressOf({ headers, socket }: IncomingMessage): string {
    const forwarded = this.#trustProxy
      ? String(headers["x-forwarded-for"] ?? "")
          .split(",")
          .at(-1)!
          .trim()
      : "";
    return networkOf(forwarded || (socket.remoteAddress ?? "unknown"));
  }
}

function checkUrl(url: string): void {
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
    throw new TypeError(`the gateway's url is "${url}"; give https://host or http://host:port`);
  }
}
