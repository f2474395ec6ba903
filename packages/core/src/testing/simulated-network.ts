/**
 * Hosts and the connections between them, in one process, under a {@link SimulatedClock}. Links are the real ones
 * of `wire/socket-link.ts`, over simulated sockets and encoded bytes. One seed gives one history.
 *
 * A connection is as reliable as a WebSocket: in order, nothing twice, until it closes. The faults: `hold` is a
 * network partition that heals, `cut` one that outlasts the connections, `crash` ends a process, and `drop` loses
 * messages without closing the link, which no WebSocket does, to show that what is repeated is repeated rightly.
 */
import {
  acceptLink,
  openLink,
  type AcceptLinkOptions,
  type Clock,
  type ControlOf,
  type Dialer,
  type Link,
  type Socket,
} from "../wire/index.ts";
import { seededRandom, type SeededRandom } from "./seeded-random.ts";
import type { SimulatedClock } from "./simulated-clock.ts";
import { Pipe, SimulatedSocket } from "./simulated-socket.ts";

export interface SimulatedNetworkOptions {
  clock: SimulatedClock;
  /** u32 */
  seed: number;
  /** How long a message takes. */
  delayMs?: Range;
  /** How long an end takes to notice that its connection was cut. */
  noticeMs?: Range;
}

interface Range {
  min: number;
  max: number;
}

/** A pair of hosts, in either order. */
export interface Between {
  between: readonly [string, string];
}

interface Connection {
  hosts: readonly [SimulatedHost, SimulatedHost];
  sockets: readonly [SimulatedSocket, SimulatedSocket];
  pipes: readonly [Pipe, Pipe];
}

export interface SimulatedListener {
  /** sim://host:port */
  readonly address: string;
  close: () => void;
}

export type ListenOptions = Pick<AcceptLinkOptions, "name" | "refuse"> & {
  port?: number;
  onLink: (link: Link, hello: ControlOf<"hello">) => void;
};

export class SimulatedNetwork {
  readonly clock: SimulatedClock;
  /** Messages so far. */
  readonly counters = { delivered: 0, dropped: 0 };
  readonly #random: SeededRandom;
  readonly #delayMs: Range;
  readonly #noticeMs: Range;
  readonly #hosts = new Map<string, SimulatedHost>();
  readonly #listeners = new Map<string, (socket: SimulatedSocket) => void>();
  #connections: Connection[] = [];
  /** Pairs of hosts that do not hear each other, and until when. */
  readonly #held = new Map<string, number>();
  #nextPort = 1;

  constructor(o: SimulatedNetworkOptions) {
    this.clock = o.clock;
    this.#random = seededRandom(o.seed);
    this.#delayMs = o.delayMs ?? { min: 0.1, max: 2 };
    this.#noticeMs = o.noticeMs ?? { min: 1, max: 500 };
  }

  /** A process on this network; the name of one that crashed may be used again. */
  host(name: string): SimulatedHost {
    if (this.#hosts.get(name)?.alive) throw new RangeError(`host ${name} is up already`);
    const host = new SimulatedHost(name, this);
    this.#hosts.set(name, host);
    return host;
  }

  /** Nothing passes between two hosts for a time; then all of it arrives, in order. */
  hold({ between, forMs }: Between & { forMs: number }): void {
    const until = this.clock.now() + forMs;
    const pair = pairOf(between);
    this.#held.set(pair, Math.max(until, this.#held.get(pair) ?? 0));
    for (const { pipes } of this.#between(between)) for (const pipe of pipes) pipe.hold(until);
  }

  /** What two hosts send each other for a time is lost; their connections do not notice. */
  drop({ between, forMs }: Between & { forMs: number }): void {
    const until = this.clock.now() + forMs;
    for (const { pipes } of this.#between(between)) for (const pipe of pipes) pipe.drop(until);
  }

  /** Ends all connections between two hosts: some of what is under way is lost, and each end notices in its time. */
  cut({ between }: Between): void {
    for (const connection of this.#between(between)) {
      for (const pipe of connection.pipes) pipe.cut(this.#random.below(pipe.waiting + 1));
      for (const socket of connection.sockets) {
        this.clock.after(this.#random.between(this.#noticeMs), () => socket.break());
      }
      this.#forget(connection);
    }
  }

  // -- for hosts -------------------------------------------------------------------------------------------

  /** Connects to an address; the socket opens, or fails, after a delay. */
  connect(from: SimulatedHost, address: string): SimulatedSocket {
    const near = new SimulatedSocket();
    const to = this.#hosts.get(hostOf(address));
    const heldForMs = Math.max(0, (this.#held.get(pairOf([from.name, hostOf(address)])) ?? 0) - this.clock.now());
    this.clock.after(heldForMs + this.#random.between(this.#delayMs), () => {
      if (!from.alive || near.readyState !== 0) return;
      const accept = this.#listeners.get(address);
      if (!to?.alive || !accept) near.fail(`nothing listens at ${address}`);
      else this.#establish({ from, to, near, accept });
    });
    return near;
  }

  listen(host: SimulatedHost, port: number, accept: (socket: SimulatedSocket) => void): SimulatedListener {
    const address = `sim://${host.name}:${port || 10_000 + this.#nextPort++}`;
    if (this.#listeners.has(address)) throw new RangeError(`${address} is in use`);
    this.#listeners.set(address, accept);
    return {
      address,
      close: () => {
        if (this.#listeners.get(address) === accept) this.#listeners.delete(address);
      },
    };
  }

  /** The process ended: what it sent may be lost from some point on, and its peers notice. */
  crashed(host: SimulatedHost): void {
    for (const address of this.#listeners.keys()) if (hostOf(address) === host.name) this.#listeners.delete(address);
    for (const connection of this.#connections.filter(({ hosts }) => hosts.includes(host))) {
      const dead = connection.hosts[0] === host ? 0 : 1;
      connection.sockets[dead].die();
      connection.pipes[dead].cut(this.#random.below(connection.pipes[dead].waiting + 1));
      const survivor = connection.sockets[1 - dead]!;
      this.clock.after(this.#random.between(this.#noticeMs), () => survivor.break());
      this.#forget(connection);
    }
  }

  #establish({
    from,
    to,
    near,
    accept,
  }: {
    from: SimulatedHost;
    to: SimulatedHost;
    near: SimulatedSocket;
    accept: (socket: SimulatedSocket) => void;
  }): void {
    const far = new SimulatedSocket();
    near.out = this.#pipeTo(far);
    far.out = this.#pipeTo(near);
    far.readyState = 1;
    const heldUntil = this.#held.get(pairOf([from.name, to.name])) ?? 0;
    if (heldUntil > this.clock.now()) for (const pipe of [near.out, far.out]) pipe.hold(heldUntil);
    this.#connections = this.#connections.filter(({ sockets }) => sockets.some((socket) => socket.readyState !== 3));
    this.#connections.push({ hosts: [from, to], sockets: [near, far], pipes: [near.out, far.out] });
    far.out.put({ open: true });
    accept(far);
  }

  #pipeTo(socket: SimulatedSocket): Pipe {
    return new Pipe({
      clock: this.clock,
      delayMs: () => this.#random.between(this.#delayMs),
      onDelivered: () => this.counters.delivered++,
      onDropped: (messages) => (this.counters.dropped += messages),
      deliver: (parcel) => socket.receive(parcel),
    });
  }

  #between([a, b]: readonly [string, string]): Connection[] {
    const wanted = pairOf([a, b]);
    return this.#connections.filter(({ hosts }) => pairOf([hosts[0].name, hosts[1].name]) === wanted);
  }

  #forget(connection: Connection): void {
    this.#connections = this.#connections.filter((other) => other !== connection);
  }
}

/** One process: its own view of the clock, what it listens on and what it dials. All of it ends with `crash`. */
export class SimulatedHost {
  readonly name: string;
  readonly #network: SimulatedNetwork;
  #alive = true;

  constructor(name: string, network: SimulatedNetwork) {
    this.name = name;
    this.#network = network;
  }

  get alive(): boolean {
    return this.#alive;
  }

  /** The network's clock, whose timers die with this process. */
  readonly clock: Clock = {
    now: () => this.#network.clock.now(),
    after: (delayMs, run) => this.#network.clock.after(delayMs, () => (this.#alive ? run() : undefined)),
  };

  readonly dialer: Dialer = {
    dial: (address, hello) =>
      openLink({
        socket: this.connect(address),
        address,
        hello,
        clock: this.clock,
        onFault: (error) => this.#fault(error),
      }),
  };

  /** A socket without a hello, for tests of bad peers. */
  connect(address: string): Socket {
    this.#assertAlive();
    return this.#network.connect(this, address);
  }

  listen({ port = 0, name, refuse, onLink }: ListenOptions): SimulatedListener {
    this.#assertAlive();
    const listener = this.#network.listen(this, port, (socket) => {
      const accepted = acceptLink({
        socket,
        name,
        clock: this.clock,
        onFault: (error) => this.#fault(error),
        ...(refuse ? { refuse } : {}),
      });
      accepted
        .then((peer) => (peer && this.#alive ? onLink(peer.link, peer.hello) : undefined))
        .catch((error: unknown) => this.#fault(error));
    });
    return listener;
  }

  /** Ends the process at once: no close is said, no timer runs, what it hears is lost. */
  crash(): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#network.crashed(this);
  }

  /** A bug, in a test: time stops with it. */
  #fault(error: unknown): void {
    this.#network.clock.after(0, () => {
      throw error;
    });
  }

  #assertAlive(): void {
    if (!this.#alive) throw new Error(`host ${this.name} has crashed`);
  }
}

function pairOf([a, b]: readonly [string, string]): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

function hostOf(address: string): string {
  const host = /^sim:\/\/([^:]+):\d+$/.exec(address)?.[1];
  if (host === undefined) throw new RangeError(`${address} is no address of the simulated network: sim://host:port`);
  return host;
}
