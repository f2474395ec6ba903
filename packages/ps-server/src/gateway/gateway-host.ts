/**
 * Connects the pure {@link Gateway} to links and a clock, whichever they are: real ones in `node/gateway-server.ts`,
 * simulated ones in tests.
 */
import { ProtocolError, type ClusterErrorCode } from "@volary/core/errors";
import { LIMITS } from "@volary/core/limits";
import {
  connectWithBackoff,
  type Clock,
  type ControlOf,
  type Dialer,
  type Link,
  type Message,
} from "@volary/core/wire";
import type { Entrance, Entry, GatewayEffect, LeafId, Refusal, RequestId } from "./effects.ts";
import { Gateway, type GatewayConfig } from "./gateway.ts";

export interface GatewayHostOptions extends GatewayConfig {
  /** ws://host:port */
  coordinator: string;
  /** To the coordinator and to reducers. */
  dialer: Dialer;
  clock: Clock;
  /** In [0, 1): jitters the dialing. */
  random: () => number;
  log: (message: string) => void;
}

export class GatewayHost {
  readonly #o: GatewayHostOptions;
  readonly gateway: Gateway;
  readonly #leaves = new Map<LeafId, Link>();
  readonly #reducers = new Map<LeafId, Link>();
  readonly #requests = new Map<RequestId, (answer: Entry | Refusal) => void>();
  readonly #controller = new AbortController();
  #coordinator: Link | undefined;
  #next = 1;
  #quickLosses = 0;
  #cancelTick: () => void = () => {};

  constructor(o: GatewayHostOptions) {
    this.#o = o;
    this.gateway = new Gateway({ name: o.name, url: o.url });
    this.#tick();
  }

  /** Is the coordinator there? */
  get isConnected(): boolean {
    return this.#coordinator !== undefined;
  }

  /**
   * Dials the coordinator, and again whenever it is lost, until `stop`.
   *
   * @returns once it has joined
   * @throws {ClusterError} PROTOCOL_VERSION, or what else it is refused with; COORDINATOR_UNAVAILABLE after `attemptsMax`
   */
  async join(attemptsMax = Infinity): Promise<void> {
    const { coordinator: address, name, dialer, clock, random, log } = this.#o;
    const hello = { role: "gateway", name } as const;
    const { signal } = this.#controller;
    const link = await connectWithBackoff({ dialer, address, hello, clock, random, log, attemptsMax, signal });
    this.#coordinator = link;
    const joinedMs = clock.now();
    link.listen({
      onControl: (control) => {
        if (control.type === "error" && control.requestId === undefined) log(`the coordinator: ${control.message}`);
        this.#carryOut(this.gateway.coordinatorSays(control, clock.now()));
      },
      onFrame: ({ opcode }) => {
        throw new ProtocolError(`a gateway takes no "${opcode}" frame from its coordinator`);
      },
      onClose: (reason) => {
        this.#coordinator = undefined;
        this.#carryOut(this.gateway.coordinatorClosed());
        if (!signal.aborted) this.#joinAgain(reason, clock.now() - joinedMs);
      },
    });
    this.#carryOut(this.gateway.coordinatorOpened(clock.now()));
    log(`joined ${address}`);
  }

  /** Why a peer that says hello is turned away, if it is. */
  refuse({ role, session }: ControlOf<"hello">): { code: ClusterErrorCode; message: string } | undefined {
    const refusal: Refusal | undefined =
      role !== "leaf"
        ? { code: "PROTOCOL_VIOLATION", message: `this is a gateway for volunteers; a ${role} has no business with it` }
        : session === undefined
          ? { code: "SESSION_ENDED", message: "there is no session; open an invitation's link first" }
          : undefined;
    if (refusal) this.gateway.countRefused(refusal.code);
    return refusal;
  }

  /** A volunteer, whose hello was not refused. */
  accept(link: Link, { name, session }: Pick<ControlOf<"hello">, "name" | "session">): void {
    const { gateway } = this;
    const { clock } = this.#o;
    const leaf = this.#next++;
    this.#leaves.set(leaf, link);
    this.#carryOut(gateway.leafOpened({ leaf, name, session: session! }, clock.now()));
    link.listen({
      onControl: (control) => this.#carryOut(gateway.leafSays(leaf, { control }, clock.now())),
      onFrame: (frame) => this.#carryOut(gateway.leafSays(leaf, { frame }, clock.now())),
      onClose: (_, fault) => {
        this.#leaves.delete(leaf);
        this.#carryOut(gateway.leafClosed(leaf, fault));
      },
    });
  }

  /** Lets someone in, by a token or a session, or says why not. */
  enter(o: Entrance): Promise<Entry | Refusal> {
    return new Promise((resolve) => {
      const request = this.#next++;
      this.#requests.set(request, resolve);
      this.#carryOut(this.gateway.enter({ request, ...o }, this.#o.clock.now()));
    });
  }

  stop(reason: string): void {
    this.#controller.abort(new Error(reason));
    this.#cancelTick();
    const end = { type: "leaf-end", code: "COORDINATOR_UNAVAILABLE", message: reason, mayReturn: true } as const;
    for (const link of this.#leaves.values()) {
      link.sendControl(end);
      link.close(reason);
    }
    this.#coordinator?.close(reason);
    for (const link of this.#reducers.values()) link.close(reason);
    for (const answer of this.#requests.values()) answer({ code: "COORDINATOR_UNAVAILABLE", message: reason });
    this.#requests.clear();
  }

  /** After a wait that grows with the times in a row that it was lost soon after it was joined. */
  #joinAgain(reason: string, lastedMs: number): void {
    const { clock, log } = this.#o;
    log(`the coordinator is gone (${reason}); volunteers go on, and it is dialed again`);
    this.#quickLosses = lastedMs < LIMITS.heartbeatLostMs ? this.#quickLosses + 1 : 0;
    clock.after(Math.min(LIMITS.connectBackoffMs * 2 ** this.#quickLosses, LIMITS.connectBackoffMaxMs), () => {
      this.join().catch((error: unknown) => {
        if (!this.#controller.signal.aborted) this.#joinAgain(messageOf(error), 0);
      });
    });
  }

  #carryOut(effects: readonly GatewayEffect[]): void {
    for (const effect of effects) {
      switch (effect.kind) {
        case "tellCoordinator":
          this.#coordinator?.sendControl(effect.control);
          break;
        case "answer":
          this.#requests.get(effect.request)?.(effect.answer);
          this.#requests.delete(effect.request);
          break;
        case "dialReducer":
          void this.#dial(effect);
          break;
        case "tellReducer":
          this.#send(this.#reducers.get(effect.leaf), effect.message);
          break;
        case "closeReducer":
          this.#reducers.get(effect.leaf)?.close(effect.reason);
          break;
        case "tellLeaf":
          this.#send(this.#leaves.get(effect.leaf), effect.message);
          break;
        case "closeLeaf":
          this.#leaves.get(effect.leaf)?.close(effect.reason);
          break;
        default:
          effect satisfies never;
      }
    }
  }

  /** A frame goes out from the memory that it came into, which is its own. */
  #send(link: Link | undefined, message: Message): void {
    if ("control" in message) link?.sendControl(message.control);
    else link?.sendFrame({ ...message.frame, lent: true });
  }

  async #dial({ leaf, address, hello }: GatewayEffect & { kind: "dialReducer" }): Promise<void> {
    const { dialer, log } = this.#o;
    let link: Link;
    try {
      link = await dialer.dial(address, hello);
    } catch (error) {
      log(`the reducer at ${address} takes no volunteer: ${messageOf(error)}`);
      this.#carryOut(this.gateway.reducerFailed(leaf));
      return;
    }
    if (this.#controller.signal.aborted || !this.#leaves.has(leaf)) {
      link.close("the volunteer has left");
      return;
    }
    this.#reducers.set(leaf, link);
    this.#carryOut(this.gateway.reducerOpened(leaf));
    link.listen({
      onControl: (control) => this.#carryOut(this.gateway.reducerSays(leaf, { control })),
      onFrame: (frame) => this.#carryOut(this.gateway.reducerSays(leaf, { frame })),
      onClose: () => {
        this.#reducers.delete(leaf);
        this.#carryOut(this.gateway.reducerClosed(leaf));
      },
    });
  }

  #tick(): void {
    this.#cancelTick = this.#o.clock.after(LIMITS.tickEveryMs, () => {
      this.#carryOut(this.gateway.tick(this.#o.clock.now()));
      this.#tick();
    });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
