/**
 * A gateway that knows one job: it serves the built pages under the policy of a real one, lets tokens in once, and is
 * the job's reducer itself, in endless training on the same samples. Tokens that begin with "watch" are of observers.
 */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { extname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { hashes, keygen, sign } from "@noble/ed25519";
import { sha256, sha512 } from "@noble/hashes/sha2.js";
import { fragmentOf, type Admitted, type Invitation, type JobManifest } from "@volary/core/job";
import { TrainingModel } from "@volary/core/model";
import { LeafedModel } from "@volary/core/training";
import { acceptLink, type JobStatus, type Link, type Socket } from "@volary/core/wire";
import { WebSocketServer } from "ws";
import { realClock } from "../clock.ts";
import { probeInput } from "../worker/probe.ts";
import { CONTENT_TYPES, POLICY } from "./served.ts";

hashes.sha512 = sha512;

const JOB = 1;
const SAMPLES = 64;
const REST_MS = 100;

export interface ScriptedGatewayOptions {
  /** Of the built pages. */
  folder: string;
  manifest: JobManifest;
  denseWeights: Float32Array;
}

export class ScriptedGateway {
  /** Bytes of files as they travel, by path. */
  readonly served = new Map<string, number>();
  /** Messages of volunteers, and ends of their links, in order. */
  readonly heard: string[] = [];
  /** Updates that counted, by volunteer. */
  readonly accepted = new Map<number, number>();
  /** Changes an invitation on its way. */
  tamper: (admitted: Admitted) => Admitted = (admitted) => admitted;
  readonly #o: ScriptedGatewayOptions;
  readonly #key = keygen();
  readonly #links = new Map<number, Link>();
  readonly #sessions = new Map<string, number>();
  /** Claims that tokens were used with. */
  readonly #claims = new Map<string, string>();
  readonly #zipped = new Map<string, Buffer>();
  readonly #http: Server;
  #reducer: LeafedModel | undefined;
  #step = 0;
  #isStopped = false;
  #training: Promise<void> | undefined;

  private constructor(o: ScriptedGatewayOptions) {
    this.#o = o;
    this.#http = createServer((request, response) => void this.#answer(request, response));
    const sockets = new WebSocketServer({ server: this.#http, path: "/leaf", perMessageDeflate: false });
    sockets.on("connection", (socket) => {
      socket.on("message", () => this.heard.push("message"));
      socket.on("close", () => this.heard.push("close"));
      void this.#admit(socket as unknown as Socket);
    });
  }

  static async open(o: ScriptedGatewayOptions): Promise<ScriptedGateway> {
    const gateway = new ScriptedGateway(o);
    gateway.#http.listen(0, "127.0.0.1");
    await once(gateway.#http, "listening");
    await gateway.#openReducer();
    gateway.#training = gateway.#train();
    return gateway;
  }

  get address(): string {
    return `http://127.0.0.1:${(this.#http.address() as { port: number }).port}`;
  }

  /** A link with a token, of use once; `?device=` asks for a device. */
  link(token: string, { device }: { device?: string } = {}): string {
    const keyId = base64url(sha256(this.#key.publicKey).subarray(0, 16));
    return `${this.address}/join${device === undefined ? "" : `?device=${device}`}${fragmentOf({ token, keyId })}`;
  }

  /** Breaks all links, as a network does. */
  cut(): void {
    for (const link of this.#links.values()) link.close("the network is cut");
  }

  async close(): Promise<void> {
    this.#isStopped = true;
    await this.#training;
    this.#reducer?.dispose();
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }

  async #openReducer(): Promise<void> {
    const { manifest, denseWeights } = this.#o;
    const model = await TrainingModel.create(manifest);
    model.setDense(denseWeights);
    this.#reducer = new LeafedModel({
      model,
      job: JOB,
      manifest,
      clock: realClock,
      leavesMax: 8,
      combine: "centered-clip",
      audit: 0,
      auditSeed: [1],
      tell: (control) => {
        if (control.type !== "leaves") return;
        for (const { volunteer, accepted } of control.leaves) this.accepted.set(volunteer, accepted);
      },
      log: () => {},
    });
  }

  async #train(): Promise<void> {
    const { manifest, denseWeights } = this.#o;
    while (!this.#isStopped) {
      if (this.#links.size > 0) {
        this.#reducer!.setDense(denseWeights);
        await this.#reducer!.step({ ...probeInput(manifest, SAMPLES), step: this.#step++ });
        for (const link of this.#links.values()) link.sendControl({ type: "job-status", status: this.#status() });
      }
      await new Promise((resolve) => setTimeout(resolve, REST_MS));
    }
  }

  async #admit(socket: Socket): Promise<void> {
    const accepted = await acceptLink({
      socket,
      name: "scripted gateway",
      clock: realClock,
      refuse: ({ session }) =>
        this.#sessions.has(session ?? "") ? undefined : { code: "SESSION_ENDED", message: "no such session" },
    });
    if (!accepted) return;
    const { link, hello } = accepted;
    const volunteer = this.#sessions.get(hello.session!)!;
    this.#links.set(volunteer, link);
    (socket as unknown as { on(event: "close", listener: () => void): void }).on("close", () => {
      if (this.#links.get(volunteer) === link) this.#links.delete(volunteer);
    });
    if (isObserver(hello.session!)) link.listen(DEAF);
    else this.#reducer!.accept({ volunteer, name: hello.name, link });
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname } = new URL(request.url!, this.address);
    if (pathname.startsWith("/api/")) return this.#answerApi(pathname, request, response);
    const path = pathname === "/join" ? "/volunteer.html" : pathname;
    const body = await readFile(join(this.#o.folder, path)).catch(() => undefined);
    if (!body) {
      response.writeHead(404).end();
      return;
    }
    const zipped = this.#zipped.get(path) ?? gzipSync(body);
    this.#zipped.set(path, zipped);
    this.served.set(path, zipped.length);
    response
      .writeHead(200, {
        "content-type": CONTENT_TYPES[extname(path)] ?? "application/octet-stream",
        "content-encoding": "gzip",
        "content-security-policy": POLICY,
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-embedder-policy": "require-corp",
        "cache-control": path.startsWith("/assets/") ? "public, max-age=31536000, immutable" : "no-cache",
      })
      .end(zipped);
  }

  async #answerApi(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const part of request) text += String(part);
    const { token, session, claim } = JSON.parse(text) as { token?: string; session?: string; claim?: string };
    const json = (status: number, body: object) =>
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    if (path === "/api/session") {
      if (this.#sessions.has(session!)) json(200, this.#admitted(session!));
      else json(403, { code: "SESSION_ENDED", message: "the session has ended" });
      return;
    }
    // A token says by itself what becomes of it.
    const code = /^refuse-(\w+)/.exec(token!)?.[1] ?? (this.#isUsed(token!, claim!) ? "TOKEN_USED" : undefined);
    if (code !== undefined) {
      json(403, { code, message: `refused as asked: ${code}` });
      return;
    }
    this.#claims.set(token!, claim!);
    const opened = `${SESSION_OF}${token}`;
    if (!this.#sessions.has(opened)) this.#sessions.set(opened, this.#sessions.size + 1);
    json(200, this.tamper(this.#admitted(opened)));
  }

  #isUsed(token: string, claim: string): boolean {
    return (this.#claims.get(token) ?? claim) !== claim;
  }

  #admitted(session: string): Admitted {
    const invitation: Invitation = {
      version: 1,
      job: JOB,
      role: isObserver(session) ? "observer" : "volunteer",
      by: "The Flight Institute",
      about: "We learn which flights are late.\nYour help makes it faster.",
      data: { files: ["flights.csv"], rows: 1_000 },
      trusted: false,
      manifest: this.#o.manifest,
    };
    const text = JSON.stringify(invitation);
    const signature = base64url(sign(new TextEncoder().encode(text), this.#key.secretKey));
    const publicKey = base64url(this.#key.publicKey);
    const volunteer = this.#sessions.get(session)!;
    const signed = { text, signature, publicKey };
    return { session, volunteer, expiresInMs: 3_600_000, phase: "training", invitation: signed };
  }

  #status(): JobStatus {
    const step = this.#step;
    return {
      job: JOB,
      name: this.#o.manifest.name,
      phase: "training",
      step,
      steps: 100_000,
      epochs: 1,
      epoch: 0,
      samples: step * SAMPLES,
      loss: 1 / (1 + step / 50),
      workers: 1,
      term: 1,
      evaluated: 0,
      testRows: 0,
      metrics: null,
      validation: { step: 1, epoch: 0, metrics: { loss: 0.6, auc: 0.71 } },
      badRows: { count: 0, first: [] },
      trainSeconds: step / 10,
    };
  }
}

const SESSION_OF = "session-of-";
const isObserver = (session: string): boolean => session.startsWith(`${SESSION_OF}watch`);
/** Whatever comes is in `heard`. */
const DEAF = { onControl: () => {}, onFrame: () => {}, onClose: () => {} };

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64url");
}
