/** The coordinator on a simulated network: order of effects, a store that fails, peers that misbehave. */
import { describe, expect, it } from "vitest";
import { LIMITS } from "@volary/core/limits";
import { SimulatedClock, SimulatedNetwork, type SimulatedHost } from "@volary/core/testing";
import type { Control, Link, Role } from "@volary/core/wire";
import { CoordinatorHost } from "./coordinator-host.ts";
import { Coordinator } from "./coordinator.ts";
import { memoryStore, type CoordinatorStore } from "./store.ts";

/** A store whose saves wait, fail or pass as the test says. */
class GatedStore implements CoordinatorStore {
  readonly saved: string[][] = [];
  readonly #inner = memoryStore();
  /** Each save takes this long, or fails with this. */
  gate: () => Promise<void> = async () => {};

  load(): Promise<Map<string, unknown>> {
    return this.#inner.load();
  }

  async save(records: ReadonlyMap<string, unknown>): Promise<void> {
    await this.gate();
    this.saved.push([...records.keys()]);
    await this.#inner.save(records);
  }

  close(): Promise<void> {
    return this.#inner.close();
  }
}

class Cluster {
  readonly clock = new SimulatedClock();
  readonly network = new SimulatedNetwork({ clock: this.clock, seed: 1 });
  readonly store = new GatedStore();
  readonly logs: string[] = [];
  readonly host: CoordinatorHost;
  readonly #address: string;
  #client: SimulatedHost = this.network.host("client");

  constructor() {
    const machine = this.network.host("coordinator");
    this.host = new CoordinatorHost({
      coordinator: new Coordinator({ partitionsLog2: 1 }),
      store: this.store,
      clock: machine.clock,
      log: (message) => this.logs.push(message),
    });
    const { address } = machine.listen({
      name: "coordinator",
      refuse: (hello) => this.host.refuse(hello),
      onLink: (link) => this.host.accept(link),
    });
    this.#address = address;
  }

  async dial(role: Role = "client"): Promise<{ link: Link; heard: Control[]; closed: string[] }> {
    const link = await this.clock.until(this.#client.dialer.dial(this.#address, { role, name: role }));
    const heard: Control[] = [];
    const closed: string[] = [];
    link.listen({ onControl: (c) => heard.push(c), onFrame: () => {}, onClose: (reason) => closed.push(reason) });
    return { link, heard, closed };
  }
}

const JOIN: Control = { type: "ps-join", name: "ps-1", address: "ws://ps-1:1" };

describe("CoordinatorHost", () => {
  it("tells nobody anything before what it stands on is saved", async () => {
    const c = new Cluster();
    let open = () => {};
    c.store.gate = () => new Promise((resolve) => (open = resolve));
    const { link, heard } = await c.dial("ps");
    link.sendControl(JOIN);
    await c.clock.advance(100);
    expect(heard).toEqual([]);
    open(); // the node's number
    await c.clock.advance(100);
    expect(heard.map(({ type }) => type)).toEqual(["ps-joined"]);
    open(); // the map
    await c.clock.advance(100);
    expect(heard.map(({ type }) => type)).toEqual(["ps-joined", "map"]);
  });

  it("keeps the order of what many say while a save is under way", async () => {
    const c = new Cluster();
    let open = () => {};
    c.store.gate = () => new Promise((resolve) => (open = resolve));
    const ps = await c.dial("ps");
    const client = await c.dial();
    ps.link.sendControl(JOIN);
    await c.clock.advance(10);
    client.link.sendControl({ type: "status-request" });
    await c.clock.advance(10);
    expect(client.heard).toEqual([]); // it would tell of a node that is not durable yet
    c.store.gate = async () => {};
    open();
    await c.clock.advance(10);
    expect(client.heard).toMatchObject([{ type: "status", status: { nodes: [{ name: "ps-1" }] } }]);
  });

  it("answers at once where nothing is to be saved, message after message", async () => {
    const c = new Cluster();
    const { link, heard } = await c.dial();
    for (let i = 0; i < 100; i++) link.sendControl({ type: "status-request" });
    await c.clock.advance(10);
    expect(heard).toHaveLength(100);
    expect(c.store.saved).toEqual([]);
  });

  it("waits and tries again while it cannot save, and loses nothing", async () => {
    const c = new Cluster();
    c.store.gate = () => Promise.reject(new Error("no space left on device"));
    const { link, heard } = await c.dial("ps");
    link.sendControl(JOIN);
    await c.clock.advance(5 * LIMITS.saveRetryMs);
    expect(heard).toEqual([]);
    expect(c.logs.filter((line) => line.includes("no space left on device"))).toHaveLength(1);
    c.store.gate = async () => {};
    await c.clock.advance(LIMITS.saveRetryMs + 100);
    expect(heard.map(({ type }) => type)).toEqual(["ps-joined", "map"]);
    expect(c.logs).toContain("the state is saved again; going on");
  });

  it("fails, with the reason, when it cannot save for too long", async () => {
    const c = new Cluster();
    c.store.gate = () => Promise.reject(new Error("no space left on device"));
    let say: (control: Control) => void = () => {};
    c.host.accept({
      name: "a busy client",
      listen: (events) => (say = (control) => events.onControl(control)),
      sendControl: () => {},
      sendFrame: () => {},
      close: () => {},
    });
    say(JOIN);
    for (let i = 0; i <= LIMITS.effectsWaitingMax; i++) say({ type: "status-request" });
    expect(await c.clock.until(c.host.failed)).toContain("could not be saved for so long");
  });

  it("stops although it cannot save, and says what that means", async () => {
    const c = new Cluster();
    c.store.gate = () => Promise.reject(new Error("no space left on device"));
    const { link, closed } = await c.dial("ps");
    link.sendControl(JOIN);
    await c.clock.advance(100);
    await c.clock.until(c.host.stop("the coordinator stops"));
    await c.clock.advance(10);
    expect(closed).toEqual(["the coordinator stops"]);
    expect(c.logs.at(-1)).toMatch(/^stopped with \d+ effects/);
  });

  it("turns away what has no business with it", async () => {
    const c = new Cluster();
    await expect(c.dial("peer")).rejects.toThrow("this is a coordinator; a peer has no business with it");
  });

  it("closes the link that breaks the protocol, and serves the others", async () => {
    const c = new Cluster();
    const bad = await c.dial("worker");
    const good = await c.dial();
    bad.link.sendControl({ type: "fence", job: 1, term: 1, heads: 1 });
    await c.clock.advance(10);
    expect(bad.closed).toEqual(['the coordinator takes no "fence" message']);
    good.link.sendControl({ type: "status-request" });
    await c.clock.advance(10);
    expect(good.heard).toHaveLength(1);
  });

  it("closes silent members by its clock", async () => {
    const c = new Cluster();
    const { link, closed } = await c.dial("ps");
    link.sendControl(JOIN);
    await c.clock.advance(LIMITS.heartbeatLostMs + 1000);
    expect(closed).toEqual(["silent for 10 s"]);
  });

  it("does not take a pause of its own for the silence of others", () => {
    let now = 0;
    const timers: (() => void)[] = [];
    const coordinator = new Coordinator({});
    const host = new CoordinatorHost({
      coordinator,
      store: memoryStore(),
      clock: { now: () => now, after: (_, run) => (timers.push(run), () => {}) },
      log: () => {},
    });
    coordinator.handleControl(1, JOIN, now);
    now = 60_000; // this process was not scheduled for a minute
    timers.shift()!();
    expect(coordinator.status(now).nodes).toHaveLength(1);
    now += LIMITS.tickEveryMs; // nothing was heard in the meantime either
    timers.shift()!();
    expect(coordinator.status(now).nodes).toHaveLength(0);
    void host;
  });
});
