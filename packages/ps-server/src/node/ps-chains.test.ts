/** PS nodes that hold replicas for each other, on real sockets: what is lost with one of them, and what is not. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { expect, it, onTestFinished } from "vitest";
import { NodeLinks, Requests, TableClient } from "@volary/core/client";
import type { PartitionMap } from "@volary/core/partition";
import type { TableSpec } from "@volary/core/table";
import type { ClusterStatus, Control, ControlOf, ControlType } from "@volary/core/wire";
import { memoryStore, type CoordinatorStore } from "../coordinator/store.ts";
import { ownPort } from "../testing/own-port.ts";
import { manifestWith } from "../testing/test-manifest.ts";
import { realClock } from "./clock.ts";
import { startCoordinator, type RunningCoordinator } from "./coordinator-server.ts";
import { wsDialer } from "./dial.ts";
import { startPsServer, type PsServerOptions, type RunningPsServer } from "./ps-server.ts";
import { sqliteStore } from "./sqlite-store.ts";

const TABLE: TableSpec = { id: 1, name: "sums", dim: 2, initializer: { kind: "zeros" }, optimizer: { kind: "sum" } };
const KEYS = BigUint64Array.from({ length: 200 }, (_, i) => BigInt(i));
const HELLO = { role: "client", name: "client" } as const;

async function coordinatorAt(o: { store?: CoordinatorStore; port?: number } = {}): Promise<RunningCoordinator> {
  const { store = memoryStore(), port = 0 } = o;
  const coordinator = await startCoordinator({ port, store, log: () => {}, partitionsLog2: 3, replicas: 2 });
  onTestFinished(() => coordinator.stop());
  return coordinator;
}

async function psOf(
  { address }: RunningCoordinator,
  name: string,
  o: Partial<PsServerOptions> = {},
): Promise<RunningPsServer> {
  const memoryMaxBytes = 64 * 1024 * 1024;
  const ps = await startPsServer({ coordinator: address, name, log: () => {}, memoryMaxBytes, ...o });
  onTestFinished(() => ps.stop());
  return ps;
}

/** A client of the coordinator, and of the table of a job that it opens. */
async function clientOf({ address }: RunningCoordinator) {
  const link = await wsDialer().dial(address, HELLO);
  onTestFinished(() => link.close("the test is over"));
  const heard: Control[] = [];
  let wake = () => {};
  let adopt: (map: PartitionMap) => void = () => {};
  const onControl = (control: Control) => {
    if (control.type === "map") adopt(control.map);
    else heard.push(control);
    wake();
  };
  link.listen({ onControl, onFrame: () => {}, onClose: () => wake() });
  const next = async <T extends ControlType>(type: T): Promise<ControlOf<T>> => {
    for (;;) {
      const at = heard.findIndex((control) => control.type === type);
      if (at >= 0) return heard.splice(at, 1)[0] as ControlOf<T>;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  link.sendControl({
    type: "submit",
    manifest: manifestWith({ tables: [TABLE] }),
  });
  const { job, map } = await next("submitted");
  const requests = new Requests();
  const links = new NodeLinks({ map, hello: HELLO, dialer: wsDialer(), clock: realClock });
  adopt = (newer) => links.adopt(newer);
  onTestFinished(() => links.close("the test is over"));
  links.listen({
    onControl: (_, control) => void (control.type === "error" && requests.takeError(control)),
    onFrame: (_, frame) => void requests.takeFrame(frame),
    onDown: (_, down, reason) => requests.failLink(down, reason),
    onUp: () => {},
  });
  await links.open();
  const table = new TableClient({ job, links, requests, clock: realClock, random: Math.random });
  return {
    table,
    /** Adds one to each component of each row. */
    push: () => table.push({ table: TABLE, keys: KEYS, gradients: new Float32Array(2 * KEYS.length).fill(1) }),
    read: () => table.get({ table: TABLE, keys: KEYS }),
    /** Asks until the cluster is so. */
    until: async (is: (status: ClusterStatus) => boolean): Promise<ClusterStatus> => {
      for (;;) {
        link.sendControl({ type: "status-request" });
        const { status } = await next("status");
        if (is(status)) return status;
        await new Promise<void>((resolve) => void realClock.after(10, resolve));
      }
    },
  };
}

const rowsOf = (value: number): Float32Array => new Float32Array(2 * KEYS.length).fill(value);
const isWhole = ({ chains }: ClusterStatus): boolean => chains.short === 0 && chains.moving === 0;

it("what was pushed outlives a node, and then the one that took its place", async () => {
  const coordinator = await coordinatorAt();
  const nodes = new Map<string, RunningPsServer>();
  for (const name of ["a", "b", "c"]) nodes.set(name, await psOf(coordinator, name));
  const client = await clientOf(coordinator);
  await client.push();
  await nodes.get("a")!.stop();
  await client.push();
  expect(await client.read()).toEqual(rowsOf(2));
  await client.until((status) => isWhole(status) && status.chains.whole === 8);
  await nodes.get("b")!.stop();
  await client.push();
  expect(await client.read()).toEqual(rowsOf(3));
});

it("a node that comes is brought up to date while rows are pushed, and can take over then", async () => {
  const coordinator = await coordinatorAt();
  await psOf(coordinator, "a");
  const b = await psOf(coordinator, "b");
  const client = await clientOf(coordinator);
  await client.push();
  await psOf(coordinator, "c", { trustedNetwork: true });
  const moved = client.until(
    (status) => isWhole(status) && status.nodes.some(({ name, partitions }) => name === "c" && partitions > 0),
  );
  let pushes = 1;
  for (let done = false; !done; pushes++) {
    await client.push();
    done = await Promise.race([moved.then(() => true), new Promise<false>((resolve) => setImmediate(resolve, false))]);
  }
  expect(await client.read()).toEqual(rowsOf(pushes));
  await b.stop();
  expect(await client.read()).toEqual(rowsOf(pushes));
});

it("shows its place in the chains to who scrapes it", async () => {
  const coordinator = await coordinatorAt();
  const nodes = [await psOf(coordinator, "a"), await psOf(coordinator, "b")];
  const client = await clientOf(coordinator);
  await client.push();
  const sums = new Map<string, number>();
  for (const { address } of nodes) {
    const text = await (await fetch(`${address.replace("ws", "http")}/metrics`)).text();
    for (const [, name, value] of text.matchAll(/^volary_ps_(\w+) (\d+)$/gm))
      sums.set(name!, (sums.get(name!) ?? 0) + Number(value));
  }
  expect(Object.fromEntries(sums)).toMatchObject({ heads: 8, replicas: 8, waiting_acks: 0, copies_total: 0 });
  expect(sums.get("chain_records_total")).toBeGreaterThanOrEqual(8);
  expect(sums.get("chain_bytes_total")).toBeGreaterThan(KEYS.length * 16);
});

it("keeps its number and its rows when its coordinator is started anew", async () => {
  const folder = await mkdtemp(path.join(tmpdir(), "volary-chains-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const open = () => sqliteStore(path.join(folder, "state.sqlite"));
  const port = await ownPort();
  const first = await coordinatorAt({ store: await open(), port });
  let joined = () => {};
  const again = new Promise<void>((resolve) => (joined = resolve));
  const log = (line: string) => void (line.endsWith("again: still node 1") && joined());
  const ps = await psOf(first, "a", { log });
  await psOf(first, "b");
  const client = await clientOf(first);
  await client.push();
  await first.stop();
  await client.push();
  await coordinatorAt({ store: await open(), port });
  await again;
  expect(ps.node).toBe(1);
  await client.push();
  expect(await client.read()).toEqual(rowsOf(3));
});
