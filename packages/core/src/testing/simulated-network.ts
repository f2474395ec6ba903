/**
 * Hosts and the connections between them, in one process, under a {@link SimulatedClock}. Links are the real ones
 * of `wire/socket-link.ts`, over simulated sockets and encoded bytes. One seed gives one history.
 *
 * A connection is as reliable as a WebSocket: in order, nothing twice, until it closes. The faults: `hold` is a
 * network partition that heals, of both ways or one, `cut` one that outlasts the connections, `pause` stops a process
 * for a time as SIGSTOP does, `crash` ends it, and `drop` loses messages without closing the link, which no WebSocket
 * does, to show that what is repeated is repeated rightly.
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
import { HostClock, type HostClockOptions } from "./host-clock.ts";
import { seededRandom, type SeededRandom } from "./seeded-random.ts";
import type { SimulatedClock } from "./simulated-clock.ts";
import { Pipe, SimulatedSocket } from "./simulated-socket.ts";

export interface SimulatedNetworkOptions {
  clock: SimulatedClock;
  /** u32 */
  seed: number;
  /** How long a message takes. */
  delayMs?: Range;
  /** Some connections are slower: which share of them, and how long a message takes there. */
  slow?: { share: number; delayMs: Range };
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

export interface Hold extends Between {
  forMs: number;
  /** "there": only what the first host sends the second is held. */
  way?: "both" | "there";
}

/** Each end's host, its socket, and the pipe that what it sends goes through. */
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
  readonly #slow: { share: number; delayMs: Range } | undefined;
  readonly #noticeMs: Range;
  readonly #hosts = new Map<string, SimulatedHost>();
  readonly #listeners = new Map<string, (socket: SimulatedSocket) => void>();
  #connections: Connection[] = [];
  /** Who does not hear whom, as "from to", and until when. */
  readonly #held = new Map<string, number>();
  #nextPort = 1;

  constructor(o: SimulatedNetworkOptions) {
    this.clock = o.clock;
    this.#random = seededRandom(o.seed);
    this.#delayMs = o.delayMs ?? { min: 0.1, max: 2 };
    this.#slow = o.slow;
    this.#noticeMs = o.noticeMs ?? { min: 1, max: 500 };
  }

  /**
   * A process on this network; the name of one that crashed may be used again.
   *
   * @param clock how its clock differs from the network's; not at all by default
   */
  host(name: string, clock: HostClockOptions = {}): SimulatedHost {
    if (this.#hosts.get(name)?.alive) throw new RangeError(`host ${name} is up already`);
    const host = new SimulatedHost(name, this, clock);
    this.#hosts.set(name, host);
    return host;
  }

  /** The newest process of this name. */
  hostOf(name: string): SimulatedHost | undefined {
    return this.#hosts.get(name);
  }

  /** Nothing passes between two hosts for a time; then all of it arrives, in order. */
  hold({ between: [a, b], forMs, way = "both" }: Hold): void {
    const until = this.clock.now() + forMs;
    const ways = way === "both" ? [wayOf(a, b), wayOf(b, a)] : [wayOf(a, b)];
    for (const each of ways) this.#held.set(each, Math.max(until, this.#held.get(each) ?? 0));
    for (const { hosts, pipes } of this.#between([a, b])) {
      for (const [end, pipe] of pipes.entries())
        if (ways.includes(wayOf(hosts[end]!.name, hosts[1 - end]!.name))) pipe.hold(until);
    }
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
      for (const end of [0, 1] as const) this.#breakLater(connection, end);
      this.#forget(connection);
    }
  }

  // -- for hosts -------------------------------------------------------------------------------------------

  /** Connects to an address; the socket opens, or fails, after a delay. */
  connect(from: SimulatedHost, address: string): SimulatedSocket {
    const near = new SimulatedSocket();
    const name = hostNameIn(address);
    const to = this.#hosts.get(name);
    const heldUntil = Math.max(this.#heldUntil(from.name, name), this.#heldUntil(name, from.name));
    const delayMs = Math.max(0, heldUntil - this.clock.now()) + this.#random.between(this.#delayMs);
    const establish = (): void => {
      if (!from.alive || near.readyState !== 0) return;
      const accept = this.#listeners.get(address);
      if (to?.alive && accept) this.#establish({ from, to, near, accept });
      else from.whenRunning(() => near.fail(`nothing listens at ${address}`));
    };
    this.clock.after(delayMs, () => (to?.alive ? to.whenRunning(establish) : establish()));
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
    for (const address of this.#listeners.keys())
      if (hostNameIn(address) === host.name) this.#listeners.delete(address);
    for (const connection of this.#connections.filter(({ hosts }) => hosts.includes(host))) {
      const dead = connection.hosts[0] === host ? 0 : 1;
      connection.sockets[dead].die();
      connection.pipes[dead].cut(this.#random.below(connection.pipes[dead].waiting + 1));
      this.#breakLater(connection, dead === 0 ? 1 : 0);
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
    const delayMs = this.#slow && this.#random.next() < this.#slow.share ? this.#slow.delayMs : this.#delayMs;
    near.out = this.#pipe({ from, to, into: far, delayMs });
    far.out = this.#pipe({ from: to, to: from, into: near, delayMs });
    far.readyState = 1;
    this.#connections = this.#connections.filter(({ sockets }) => sockets.some((socket) => socket.readyState !== 3));
    this.#connections.push({ hosts: [from, to], sockets: [near, far], pipes: [near.out, far.out] });
    far.out.put({ open: true });
    accept(far);
  }

  #pipe(o: { from: SimulatedHost; to: SimulatedHost; into: SimulatedSocket; delayMs: Range }): Pipe {
    const { from, to, into, delayMs } = o;
    const pipe = new Pipe({
      clock: this.clock,
      delayMs: () => this.#random.between(delayMs),
      onDelivered: () => this.counters.delivered++,
      onDropped: (messages) => (this.counters.dropped += messages),
      deliver: (parcel) =>
        to.whenRunning(() => {
          if (!to.alive) into.die();
          into.receive(parcel);
        }),
    });
    const heldUntil = this.#heldUntil(from.name, to.name);
    if (heldUntil > this.clock.now()) pipe.hold(heldUntil);
    return pipe;
  }

  /** The host of one end notices after a while that its connection is gone. */
  #breakLater({ hosts, sockets }: Connection, end: 0 | 1): void {
    const run = (): void => (hosts[end].alive ? sockets[end].break() : undefined);
    this.clock.after(this.#random.between(this.#noticeMs), () => hosts[end].whenRunning(run));
  }

  #heldUntil(from: string, to: string): number {
    return this.#held.get(wayOf(from, to)) ?? 0;
  }

  #between([a, b]: readonly [string, string]): Connection[] {
    return this.#connections.filter(({ hosts: [{ name: x }, { name: y }] }) =>
      x === a ? y === b : x === b && y === a,
    );
  }

  #forget(connection: Connection): void {
    this.#connections = this.#connections.filter((other) => other !== connection);
  }
}

/** One process: its own view of the clock, what it listens on and what it dials. All of it ends with `crash`. */
export class SimulatedHost {
  readonly name: string;
  /** Its timers wait while this process is paused, and die with it. */
  readonly clock: Clock;
  readonly #network: SimulatedNetwork;
  #alive = true;
  #pausedUntil = 0;
  /** What happened to this process while it was paused, in order. */
  readonly #deferred: (() => void)[] = [];
  #catchingUp = false;

  constructor(name: string, network: SimulatedNetwork, clock: HostClockOptions) {
    this.name = name;
    this.#network = network;
    this.clock = new HostClock(
      network.clock,
      (run) => this.whenRunning(() => (this.#alive ? run() : undefined)),
      clock,
    );
  }

  get alive(): boolean {
    return this.#alive;
  }

  get paused(): boolean {
    return this.#network.clock.now() < this.#pausedUntil;
  }

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
    for (const run of this.#deferred.splice(0)) run(); // it hears nothing, but who sent may use their bytes again
  }

  /** SIGSTOP, and SIGCONT after a time: it does nothing meanwhile; what it is sent, and its timers, wait. */
  pause(forMs: number): void {
    const { clock } = this.#network;
    this.#pausedUntil = Math.max(this.#pausedUntil, clock.now() + forMs);
    clock.after(forMs, () => this.#catchUp());
  }

  /** Runs something of this process now, or once it goes on. */
  whenRunning(run: () => void): void {
    if (this.#alive && (this.paused || this.#deferred.length > 0)) this.#deferred.push(run);
    else run();
  }

  /** One thing after the other, and between them everything that awaits gets its turn. */
  #catchUp(): void {
    if (this.paused || this.#catchingUp) return;
    const run = this.#deferred[0];
    if (!run) return;
    this.#catchingUp = true;
    this.#network.clock.after(0, () => {
      this.#catchingUp = false;
      if (this.paused || this.#deferred[0] !== run) return;
      this.#deferred.shift();
      this.#catchUp();
      run();
    });
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

function wayOf(from: string, to: string): string {
  return `${from} ${to}`;
}

function hostNameIn(address: string): string {
  const host = /^sim:\/\/([^:]+):\d+$/.exec(address)?.[1];
  if (host === undefined) throw new RangeError(`${address} is no address of the simulated network: sim://host:port`);
  return host;
}
