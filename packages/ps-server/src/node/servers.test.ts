/** Coordinator and PS nodes on real sockets: joining, leaving, coming back, giving up. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { describe, expect, it, onTestFinished } from "vitest";
import { SimulatedClock } from "@volary/core/testing";
import type { Control, ControlOf, ControlType, Link } from "@volary/core/wire";
import { memoryStore, type CoordinatorStore } from "../coordinator/store.ts";
import { ownPort } from "../testing/own-port.ts";
import { startCoordinator, type CoordinatorOptions, type RunningCoordinator } from "./coordinator-server.ts";
import { wsDialer } from "./dial.ts";
import { startPsServer, type PsServerOptions, type RunningPsServer } from "./ps-server.ts";
import { sqliteStore } from "./sqlite-store.ts";

async function coordinatorAt(o: Partial<CoordinatorOptions> = {}): Promise<RunningCoordinator> {
  const coordinator = await startCoordinator({ port: 0, store: memoryStore(), log: () => {}, partitionsLog2: 2, ...o });
  onTestFinished(() => coordinator.stop());
  return coordinator;
}

async function psOf(coordinator: string, o: Partial<PsServerOptions> = {}): Promise<RunningPsServer> {
  const ps = await startPsServer({ coordinator, name: "ps-1", log: () => {}, ...o });
  onTestFinished(() => ps.stop());
  return ps;
}

/** A client whose messages are awaited by type. */
async function clientOf(address: string) {
  const link: Link = await wsDialer().dial(address, { role: "client", name: "client" });
  const heard: Control[] = [];
  let wake = () => {};
  link.listen({ onControl: (control) => (heard.push(control), wake()), onFrame: () => {}, onClose: () => wake() });
  onTestFinished(() => link.close("the test is over"));
  const next = async <T extends ControlType>(type: T): Promise<ControlOf<T>> => {
    for (;;) {
      const at = heard.findIndex((control) => control.type === type);
      if (at >= 0) return heard.splice(at, 1)[0] as ControlOf<T>;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  const status = async () => {
    link.sendControl({ type: "status-request" });
    return (await next("status")).status;
  };
  return { link, next, status };
}

/** Resolves with the first line that fits. */
function logUntil(pattern: RegExp): { log: (message: string) => void; seen: Promise<string>; lines: string[] } {
  const lines: string[] = [];
  let resolve: (line: string) => void;
  const seen = new Promise<string>((r) => (resolve = r));
  const log = (message: string) => {
    lines.push(message);
    if (pattern.test(message)) resolve(message);
  };
  return { log, seen, lines };
}

describe("startPsServer()", () => {
  it("joins, is listed, and answers for its health and its counts", async () => {
    const coordinator = await coordinatorAt();
    const ps = await psOf(coordinator.address);
    const client = await clientOf(coordinator.address);
    expect((await client.status()).nodes).toMatchObject([
      { node: 1, name: "ps-1", address: ps.address, partitions: 4 },
    ]);
    for (const { address } of [coordinator, ps]) {
      expect(await (await fetch(`${address.replace("ws", "http")}/health`)).text()).toBe("ok");
    }
    const metrics = await (await fetch(`${ps.address.replace("ws", "http")}/metrics`)).text();
    expect(metrics).toMatch(/^volary_ps_pulls_total 0$/m);
    for (const name of ["rows", "replicas", "waiting_acks", "chain_records_total", "copy_bytes_total"])
      expect(metrics).toMatch(new RegExp(`^volary_ps_${name} 0$`, "m"));
  });

  it("is known by the address it is told to announce", async () => {
    const coordinator = await coordinatorAt();
    const ps = await psOf(coordinator.address, { announce: "wss://ps.example.org/1" });
    const client = await clientOf(coordinator.address);
    expect((await client.status()).nodes).toMatchObject([{ name: "ps-1", address: "wss://ps.example.org/1" }]);
    expect(ps.address).toMatch(/^ws:\/\/127\.0\.0\.1:\d+$/);
  });

  it("says what an address to announce looks like, and opens no port", async () => {
    const logs: string[] = [];
    const ps = startPsServer({ coordinator: "ws://x", name: "p", log: (m) => logs.push(m), announce: "example.org:1" });
    await expect(ps).rejects.toThrow('the address to announce is "example.org:1"; give ws://host:port or wss://host');
    expect(logs).toEqual([]);
  });

  it("takes links of other PS nodes, and none of a role that has no business here", async () => {
    const coordinator = await coordinatorAt();
    const ps = await psOf(coordinator.address);
    const link = await wsDialer().dial(ps.address, { role: "ps", name: "ps-2", id: 2 });
    expect(link.name).toBe("ps-1");
    link.close("enough");
    for (const role of ["peer", "coordinator"] as const)
      await expect(wsDialer().dial(ps.address, { role, name: "x" })).rejects.toThrow(`${ps.address} refused: `);
  });

  it("says that its name is taken, and leaves its port", async () => {
    const coordinator = await coordinatorAt();
    const first = await psOf(coordinator.address);
    const second = startPsServer({ coordinator: coordinator.address, name: "ps-1", log: () => {} });
    await expect(second).rejects.toMatchObject({ code: "NAME_TAKEN" });
    expect(first.node).toBe(1);
  });

  it("says what a coordinator's address looks like", async () => {
    for (const coordinator of ["nonsense", "http://127.0.0.1:1", "ws://"]) {
      const ps = startPsServer({ coordinator, name: "ps-1", log: () => {} });
      await expect(ps).rejects.toThrow(
        `the coordinator's address is "${coordinator}"; give ws://host:port or wss://host`,
      );
    }
  });

  it("says that its port is in use", async () => {
    const coordinator = await coordinatorAt();
    const port = Number(new URL(coordinator.address).port);
    const ps = startPsServer({ coordinator: coordinator.address, name: "ps-1", port, log: () => {} });
    await expect(ps).rejects.toMatchObject({ code: "ADDRESS_IN_USE" });
  });

  it("says that there is no coordinator, after it has tried", async () => {
    const clock = new SimulatedClock();
    const ps = startPsServer({ coordinator: "ws://127.0.0.1:1", name: "ps-1", log: () => {}, clock }).catch(
      (error: unknown) => error,
    );
    const error = (await drive(clock, ps)) as Error;
    expect(error.message).toMatch(
      /^no coordinator at ws:\/\/127\.0\.0\.1:\d+ after 8 attempts over \d+\.\d s; is it running\? start one with `volary coordinator` \(/,
    );
  });

  it("waits for a coordinator that comes later", async () => {
    const port = await ownPort();
    const { log, seen } = logUntil(/no coordinator yet/);
    const ps = psOf(`ws://127.0.0.1:${port}`, { log });
    await seen;
    await coordinatorAt({ port });
    expect((await ps).node).toBe(1);
  });

  it("serves on when its coordinator dies, and joins it anew when it is back", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "volary-servers-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const open = () => sqliteStore(path.join(folder, "state.sqlite"));
    const port = await ownPort();
    const first = await coordinatorAt({ store: await open(), port });
    const { log, seen } = logUntil(/joined .* as node 2/);
    const ps = await psOf(first.address, { log });
    await first.stop();
    expect(await (await fetch(`${ps.address.replace("ws", "http")}/health`)).text()).toBe("ok");
    await wsDialer().dial(ps.address, { role: "worker", name: "w" });
    const second = await coordinatorAt({ store: await open(), port });
    await seen;
    expect(ps.node).toBe(2);
    const client = await clientOf(second.address);
    expect((await client.status()).nodes).toMatchObject([{ node: 2, name: "ps-1", partitions: 4 }]);
  });

  it("ends, with the reason, when its coordinator does not come back", async () => {
    const coordinator = await coordinatorAt({ port: await ownPort() });
    const clock = new SimulatedClock();
    const { log, lines } = logUntil(/never/);
    const ps = await psOf(coordinator.address, { clock, log });
    await coordinator.stop();
    const reason = await drive(clock, ps.closed);
    expect(reason).toMatch(
      /^ps-1 lost its coordinator: no coordinator at ws:.* after 45 attempts over 1\d\d\.\d s; is it running\?/,
    );
    expect(lines).toContain("the coordinator is gone (the coordinator stops); serving on, and dialing it");
  });

  it("stops while it still dials", async () => {
    const coordinator = await coordinatorAt({ port: await ownPort() });
    const { log, seen } = logUntil(/no coordinator yet/);
    const ps = await psOf(coordinator.address, { log });
    await coordinator.stop();
    await seen;
    await ps.stop();
    expect(await ps.closed).toBe("PS node ps-1 stops");
    await ps.stop();
  });
});

describe("startCoordinator()", () => {
  it("tells its members that it stops", async () => {
    const coordinator = await coordinatorAt();
    const link = await wsDialer().dial(coordinator.address, { role: "client", name: "client" });
    const closed = new Promise<string>((resolve) =>
      link.listen({ onControl: () => {}, onFrame: () => {}, onClose: resolve }),
    );
    await coordinator.stop();
    expect(await closed).toBe("the coordinator stops");
    expect(await coordinator.closed).toBe("the coordinator stops");
    await coordinator.stop();
  });

  it("closes its store, and its port, when it stops", async () => {
    let closes = 0;
    const store: CoordinatorStore = { ...memoryStore(), close: async () => void closes++ };
    const port = await ownPort();
    const coordinator = await coordinatorAt({ store, port });
    await coordinator.stop();
    expect(closes).toBe(1);
    await coordinatorAt({ port });
  });

  it("says that its port is in use", async () => {
    const first = await coordinatorAt();
    const second = coordinatorAt({ port: Number(new URL(first.address).port) });
    await expect(second).rejects.toMatchObject({ code: "ADDRESS_IN_USE" });
  });

  it("refuses state that it cannot read", async () => {
    const store = memoryStore();
    await store.save(new Map([["map", { version: "seven" }]]));
    await expect(coordinatorAt({ store })).rejects.toThrow("the saved partition map cannot be read");
  });
});

/** Lets simulated time pass in small steps while sockets do their work, until something settles. */
async function drive<T>(clock: SimulatedClock, done: Promise<T>): Promise<T> {
  let settled = false;
  const note = () => {
    settled = true;
  };
  done.then(note, note);
  while (!settled) await clock.advance(100);
  return done;
}
