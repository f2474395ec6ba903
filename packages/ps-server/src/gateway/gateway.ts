/**
 * The one public address of a cluster, as a state machine: it lets volunteers in whose session the coordinator knows, and
 * relays between each and a reducer; observers, who only watch, it tells how far their job is. Nothing passes without a
 * session, and of what a volunteer sends only what is its part. It keeps nothing: another gateway may take over from one
 * moment to the next.
 *
 * What happens when a peer dies here: a lost reducer ends the connections of its volunteers, who may return at once and
 * get another; a lost volunteer ends its link to the reducer; without the coordinator those who are in go on, and nobody
 * else comes in. When it is back it is asked again for every session, since it may have ended one meanwhile.
 */
import { ProtocolError } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import type { Control, ControlOf, GatewayStatus, LinkFault, Message } from "@volary/core/wire";
import type { Entrance, GatewayEffect, LeafId, Refusal, RequestId } from "./effects.ts";
import { GatewayCounts } from "./gateway-counts.ts";
import { JobFeed } from "./job-feed.ts";
import {
  earlyFault,
  groupFault,
  invitedAs,
  isHeartbeat,
  newLeaf,
  roleFault,
  signed,
  withRoom,
  type Leaf,
} from "./leaf-connection.ts";
import { bytesOf, isFromReducer, nameOf } from "./leaf-traffic.ts";
import { Questions, type SessionAnswer } from "./questions.ts";
import { TokenBuckets } from "./token-buckets.ts";

export interface GatewayConfig {
  name: string;
  /** https://host:port, as volunteers know it: asked once the gateway listens. */
  url: () => string;
}

const PER_MINUTE_S = 60;

export class Gateway {
  readonly #config: GatewayConfig;
  readonly #leaves = new Map<LeafId, Leaf>();
  readonly #leafOf = new Map<number, LeafId>();
  readonly #feeds = new Map<number, JobFeed>();
  readonly #questions = new Questions();
  readonly #entries = new TokenBuckets(
    { perSecond: LIMITS.gatewayEntriesPerMinute / PER_MINUTE_S, burst: LIMITS.gatewayEntriesPerMinute },
    { keysMax: LIMITS.gatewayTriesKept },
  );
  readonly #tries = new TokenBuckets(
    { perSecond: LIMITS.gatewayTriesPerMinute / PER_MINUTE_S, burst: LIMITS.gatewayTriesPerMinute },
    { keysMax: LIMITS.gatewayTriesKept },
  );
  readonly #counts = new GatewayCounts();
  #isConnected = false;
  #out: GatewayEffect[] = [];

  constructor(config: GatewayConfig) {
    this.#config = config;
  }

  /** What it has seen since it began. */
  get status(): GatewayStatus {
    return this.#counts.status({ url: this.#config.url(), connected: this.#leafOf.size });
  }

  /** Things that are remembered: what is bounded by connections, jobs, questions, and the two bounds of `tries`. */
  get sizes(): { leaves: number; feeds: number; questions: number; tries: number } {
    const tries = this.#entries.size + this.#tries.size;
    return { leaves: this.#leaves.size, feeds: this.#feeds.size, questions: this.#questions.size, tries };
  }

  /** Counts what was turned away before it came here. */
  countRefused(code: string): void {
    this.#counts.refuse(code);
  }

  /** May one more request, or connection, of this address in? Says why not, and counts it. */
  refuseEntry(address: string, now: number): Refusal | undefined {
    if (this.#entries.take(address, now)) return undefined;
    this.countRefused("TOO_MANY");
    return {
      code: "TOO_MANY",
      message: `over ${LIMITS.gatewayEntriesPerMinute} joins a minute from this address; try again in a minute`,
    };
  }

  coordinatorOpened(now: number): GatewayEffect[] {
    this.#isConnected = true;
    this.#counts.reportAnew();
    this.#questions.connected();
    this.#tell({ type: "gateway-join", name: this.#config.name, url: this.#config.url() });
    for (const job of this.#feeds.keys()) this.#tell({ type: "watch", job });
    for (const { id, session, entry } of this.#leaves.values()) {
      if (entry) this.#askSession({ session, state: "connected" }, (answer) => this.#onSessionAgain(id, answer), now);
    }
    return this.#take();
  }

  coordinatorClosed(): GatewayEffect[] {
    this.#isConnected = false;
    this.#questions.disconnected();
    return this.#take();
  }

  /** @throws {ProtocolError} no message for a gateway */
  coordinatorSays(control: Control, now: number): GatewayEffect[] {
    switch (control.type) {
      case "session":
      case "error":
        this.#questions.take(control); // one that comes too late was answered by its absence
        break;
      case "job-status":
        this.#feeds.get(control.status.job)?.take(control.status);
        this.#tellNews(now);
        break;
      case "revoked":
        this.#onRevoked(control);
        break;
      case "heartbeat":
      case "map":
        break;
      default:
        throw new ProtocolError(`a gateway takes no "${control.type}" from its coordinator`);
    }
    return this.#take();
  }

  /** Someone asks over HTTP to be let in, with a token, or to go on, with a session. */
  enter(o: { request: RequestId } & Entrance, now: number): GatewayEffect[] {
    const { request, by, secret, claim } = o;
    const take = (answer: SessionAnswer) => {
      if (!("type" in answer)) this.#refuseRequest(request, answer);
      else {
        const { session, volunteer, expiresInMs, phase, invitation } = answer;
        this.#out.push({ kind: "answer", request, answer: { session, volunteer, expiresInMs, phase, invitation } });
      }
    };
    if (!this.#tries.take(secret, now)) this.#refuseRequest(request, tooManyTries());
    else if (by === "session") this.#askSession({ session: secret, state: "enters" }, take, now);
    else this.#ask({ ask: (number) => ({ type: "redeem", request: number, token: secret, claim }), take }, now);
    return this.#take();
  }

  /** A volunteer has connected. */
  leafOpened(o: { leaf: LeafId; name: string; session: string }, now: number): GatewayEffect[] {
    const { leaf: id, session } = o;
    this.#leaves.set(id, newLeaf(o, now));
    if (!this.#tries.take(session, now)) this.#refuseLeaf(id, tooManyTries());
    else this.#askSession({ session, state: "connects" }, (answer) => this.#onSession(id, answer, now), now);
    return this.#take();
  }

  leafSays(id: LeafId, message: Message, now: number): GatewayEffect[] {
    const leaf = this.#leaves.get(id);
    if (!leaf) return [];
    leaf.heardAt = now;
    const bytes = bytesOf(message);
    this.#counts.bytesIn += bytes;
    const fault =
      leaf.traffic.fault(message, bytes, now) ??
      roleFault(leaf, message) ??
      earlyFault(leaf, message) ??
      groupFault(leaf, message);
    if (fault) this.#refuseLeaf(id, fault);
    else if (isHeartbeat(message)) return []; // it is there, which is all that it says
    else if (leaf.isJoined) this.#out.push({ kind: "tellReducer", leaf: id, message: signed(message, leaf) });
    else leaf.early.push(message);
    return this.#take();
  }

  /** @param fault why the gateway's end closed it, if that did */
  leafClosed(id: LeafId, fault?: LinkFault): GatewayEffect[] {
    if (!this.#leaves.has(id)) return [];
    if (fault) this.countRefused(fault);
    this.#forget(id, "the volunteer has left");
    return this.#take();
  }

  reducerOpened(id: LeafId): GatewayEffect[] {
    const leaf = this.#leaves.get(id);
    if (!leaf) {
      this.#out.push({ kind: "closeReducer", leaf: id, reason: "the volunteer has left" });
      return this.#take();
    }
    leaf.isJoined = true;
    const fault = faultOfEarly(leaf, groupFault);
    if (fault) {
      this.#refuseLeaf(id, fault);
      return this.#take();
    }
    for (const message of leaf.early) this.#out.push({ kind: "tellReducer", leaf: id, message: signed(message, leaf) });
    leaf.early = [];
    return this.#take();
  }

  /** It could not be reached, or has no room. */
  reducerFailed(id: LeafId): GatewayEffect[] {
    const leaf = this.#leaves.get(id);
    if (leaf) this.#dialNext(leaf);
    return this.#take();
  }

  reducerSays(id: LeafId, message: Message): GatewayEffect[] {
    if (!this.#leaves.has(id)) return [];
    if (!isFromReducer(message)) {
      this.#end(id, { code: "NO_REDUCER", message: `the trainer sent a ${nameOf(message)}`, mayReturn: true });
    } else if ("control" in message && message.control.type === "leaf-end") this.#end(id, message.control);
    else this.#tellLeaf(id, message);
    return this.#take();
  }

  /** What a volunteer is told does not say why: that is of the cluster's inside. */
  reducerClosed(id: LeafId): GatewayEffect[] {
    const message = "the connection to the trainer is lost";
    this.#end(id, { code: "NO_REDUCER", message, mayReturn: true });
    return this.#take();
  }

  tick(now: number): GatewayEffect[] {
    this.#questions.tick(now);
    for (const leaf of this.#leaves.values()) this.#tickLeaf(leaf, now);
    this.#tellNews(now);
    const report = this.#isConnected && this.#counts.report(this.status, now);
    if (report) this.#tell({ type: "gateway-report", ...report });
    return this.#take();
  }

  /** A word now and then also keeps proxies from closing a quiet connection. */
  #tickLeaf(leaf: Leaf, now: number): void {
    const { id, heardAt, askedAt, entry } = leaf;
    if (now - heardAt >= LIMITS.gatewaySilentMs) {
      const message = `nothing was heard for ${LIMITS.gatewaySilentMs / 1000} s`;
      this.#end(id, { code: "TIMEOUT", message, mayReturn: true });
    } else if (entry && entry.endsAt <= now) {
      this.#end(id, { code: "SESSION_ENDED", message: "the session is over", mayReturn: false });
    } else if (now - Math.max(heardAt, askedAt) >= LIMITS.gatewayHeartbeatMs) {
      leaf.askedAt = now;
      this.#tellLeaf(id, { control: { type: "heartbeat" } });
    }
  }

  #askSession(
    of: Pick<ControlOf<"session-request">, "session" | "state">,
    take: (answer: SessionAnswer) => void,
    now: number,
  ): void {
    this.#ask({ ask: (request) => ({ type: "session-request", request, ...of }), take }, now);
  }

  #ask(question: Parameters<Questions["ask"]>[0], now: number): void {
    const control = this.#questions.ask(question, now);
    if (control) this.#tell(control);
  }

  /** A volunteer that has a session gets a reducer, an observer none; an older connection of its is one that it has left. */
  #onSession(id: LeafId, answer: SessionAnswer, now: number): void {
    const leaf = this.#leaves.get(id);
    if (!leaf) return;
    if (!("type" in answer)) return this.#refuseLeaf(id, answer);
    const { volunteer, job, expiresInMs, reducers, invitation } = answer;
    const older = this.#leafOf.get(volunteer);
    if (older !== undefined) {
      this.#end(older, { code: "NAME_TAKEN", message: "you have connected from another page", mayReturn: false });
    }
    leaf.entry = { volunteer, job, endsAt: now + expiresInMs, ...invitedAs(invitation.text) };
    this.#leafOf.set(volunteer, id);
    const fault = faultOfEarly(leaf, roleFault);
    if (fault) return this.#refuseLeaf(id, fault);
    leaf.untried = withRoom(reducers, this.#leaves.values());
    this.#watch(leaf, job);
    if (!leaf.entry.isObserver) this.#dialNext(leaf);
  }

  /** Of one that is in, after its coordinator was away. */
  #onSessionAgain(id: LeafId, answer: SessionAnswer): void {
    if ("type" in answer || answer.code === "COORDINATOR_UNAVAILABLE" || answer.code === "TIMEOUT") return;
    this.#refuseLeaf(id, answer);
  }

  #onRevoked({ volunteer, code, reason }: ControlOf<"revoked">): void {
    const id = this.#leafOf.get(volunteer);
    if (id !== undefined) this.#end(id, { code, message: reason, mayReturn: false });
  }

  #dialNext(leaf: Leaf): void {
    leaf.isJoined = false;
    leaf.reducer = leaf.untried.pop();
    const { id, name, entry, reducer } = leaf;
    if (!reducer) {
      const message = "no trainer has room for a volunteer just now; try again in a moment";
      this.countRefused("NO_REDUCER");
      return this.#end(id, { code: "NO_REDUCER", message, mayReturn: true });
    }
    const { volunteer, job } = entry!;
    const hello = { role: "leaf", name, id: volunteer, job } as const;
    this.#out.push({ kind: "dialReducer", leaf: id, address: reducer.address, hello });
  }

  #watch(leaf: Leaf, job: number): void {
    const feed = this.#feeds.get(job);
    if (!feed) {
      this.#feeds.set(job, new JobFeed());
      this.#tell({ type: "watch", job });
    } else this.#tellStory(leaf, feed);
  }

  #tellStory(leaf: Leaf, feed: JobFeed): void {
    const status = feed.story();
    if (!status) return;
    leaf.isToldStory = true;
    this.#tellLeaf(leaf.id, { control: { type: "job-status", status } });
  }

  #tellNews(now: number): void {
    for (const [job, feed] of this.#feeds) {
      const leaves = [...this.#leaves.values()].filter(({ entry }) => entry?.job === job);
      for (const leaf of leaves) if (!leaf.isToldStory) this.#tellStory(leaf, feed);
      const status = feed.news(now);
      if (status) for (const { id } of leaves) this.#tellLeaf(id, { control: { type: "job-status", status } });
      if (feed.hasEnded && leaves.length === 0) this.#feeds.delete(job);
    }
  }

  #refuseRequest(request: RequestId, answer: Refusal): void {
    this.countRefused(answer.code);
    this.#out.push({ kind: "answer", request, answer });
  }

  #refuseLeaf(id: LeafId, { code, message }: Refusal): void {
    if (!this.#leaves.has(id)) return;
    this.countRefused(code);
    const mayReturn = code === "COORDINATOR_UNAVAILABLE" || code === "TIMEOUT";
    this.#end(id, { code, message, mayReturn });
  }

  /** The last word goes first: a close frame has no room for it. */
  #end(id: LeafId, { code, message, mayReturn }: Omit<ControlOf<"leaf-end">, "type">): void {
    if (!this.#leaves.has(id)) return;
    this.#tellLeaf(id, { control: { type: "leaf-end", code, message, mayReturn } });
    this.#out.push({ kind: "closeLeaf", leaf: id, reason: message });
    this.#forget(id, message);
  }

  #forget(id: LeafId, reason: string): void {
    const { entry, reducer } = this.#leaves.get(id)!;
    this.#leaves.delete(id);
    if (entry && this.#leafOf.get(entry.volunteer) === id) this.#leafOf.delete(entry.volunteer);
    if (reducer) this.#out.push({ kind: "closeReducer", leaf: id, reason });
  }

  #tellLeaf(leaf: LeafId, message: Message): void {
    this.#counts.bytesOut += bytesOf(message);
    this.#out.push({ kind: "tellLeaf", leaf, message });
  }

  #tell(control: Control): void {
    this.#out.push({ kind: "tellCoordinator", control });
  }

  #take(): GatewayEffect[] {
    const out = this.#out;
    this.#out = [];
    return out;
  }
}

/** The first fault of what waits for the reducer, and came before it was known who said it. */
function faultOfEarly(leaf: Leaf, faultOf: (leaf: Leaf, message: Message) => Refusal | undefined): Refusal | undefined {
  return leaf.early.map((message) => faultOf(leaf, message)).find((found) => found !== undefined);
}

function tooManyTries(): Refusal {
  const message = `over ${LIMITS.gatewayTriesPerMinute} tries a minute; wait a minute, then try again`;
  return { code: "TOO_MANY", message };
}
