/** Links follow the partition map, break, and come back. */
import { expect, test } from "vitest";
import { ClusterError } from "../errors.ts";
import { LIMITS } from "../limits.ts";
import type { PartitionMap } from "../partition/index.ts";
import { SimulatedClock, SimulatedNetwork, type SimulatedHost } from "../testing/index.ts";
import { frame, type Control, type Frame, type Link } from "../wire/index.ts";
import { NodeLinks, type NodeLinksOptions } from "./node-links.ts";

const portOf = (node: number): string => `sim://ps-${node}:1`;

/** Of two partitions. */
function mapOf(o: { version: number; nodes: number[]; heads: [number, number] }): PartitionMap {
  return {
    version: o.version,
    heads: o.version,
    partitionsLog2: 1,
    function: { kind: "hash" },
    nodes: o.nodes.map((node) => ({ node, name: `ps-${node}`, address: portOf(node) })),
    entries: o.heads.map((node) => ({ generation: o.version, headSince: 1, chain: [node] })),
  };
}

const FIRST = mapOf({ version: 1, nodes: [1, 2], heads: [2, 1] });

function cluster(o: Partial<NodeLinksOptions> = {}) {
  const clock = new SimulatedClock();
  const network = new SimulatedNetwork({ clock, seed: 7 });
  const accepted: { node: number; link: Link }[] = [];
  const heard: { node: number; message: Control | Frame }[] = [];
  const servers = new Map<number, SimulatedHost>();
  const start = (node: number): void => {
    const host = network.host(`ps-${node}`);
    servers.set(node, host);
    host.listen({
      port: 1,
      name: `ps-${node}`,
      onLink: (link) => {
        accepted.push({ node, link });
        link.listen({
          onControl: (message) => heard.push({ node, message }),
          onFrame: (message) => heard.push({ node, message }),
          onClose: () => {},
        });
      },
    });
  };
  const { dialer, clock: own } = network.host("client");
  const links = new NodeLinks({ map: FIRST, hello: { role: "client", name: "c" }, dialer, clock: own, ...o });
  const events: string[] = [];
  const listen = () =>
    links.listen({
      onControl: (node, { type }) => events.push(`control ${node} ${type}`),
      onFrame: (node, { opcode }) => events.push(`frame ${node} ${opcode}`),
      onDown: (node) => events.push(`down ${node}`),
      onUp: (node) => events.push(`up ${node}`),
    });
  return { clock, network, links, events, listen, start, servers, accepted, heard };
}

test("all nodes of the map are dialed, and open() waits for the heads alone", async () => {
  const { clock, links, start, listen, events } = cluster({
    map: mapOf({ version: 1, nodes: [1, 2, 3], heads: [2, 1] }),
  });
  start(1);
  start(2);
  expect(links.heads).toEqual([1, 2]);
  await clock.until(links.open());
  expect([1, 2, 3].map((node) => links.get(node)?.name)).toEqual(["ps-1", "ps-2", undefined]);
  listen();
  start(3);
  await clock.advance(LIMITS.connectBackoffMaxMs);
  expect(events).toEqual(["up 3"]);
  expect(links.get(3)?.name).toBe("ps-3");
});

test("a head that cannot be reached fails open() by its name, after every attempt", async () => {
  const { clock, links, start } = cluster();
  start(1);
  const failed = await clock.until(links.open().catch((error: unknown) => error));
  expect(failed).toMatchObject({ code: "PARTITION_UNAVAILABLE" });
  expect(String(failed)).toContain("PS node ps-2 cannot be reached: cannot connect to sim://ps-2:1");
  expect(clock.now()).toBeGreaterThan(LIMITS.connectBackoffMs * 2 ** (LIMITS.connectAttemptsMax - 3));
});

test("open() goes on with a newer map whose heads can be reached", async () => {
  const { clock, links, start } = cluster();
  start(1);
  const open = links.open();
  await clock.advance(10);
  links.adopt(mapOf({ version: 2, nodes: [1], heads: [1, 1] }));
  await clock.until(open);
  expect(links.heads).toEqual([1]);
});

test("a refusal that will not pass fails who waits at once, with its code", async () => {
  const refused = new ClusterError("PROTOCOL_VERSION", "too old");
  const { clock, links } = cluster({ dialer: { dial: () => Promise.reject(refused) } });
  await expect(clock.until(links.up(1))).rejects.toMatchObject({
    code: "PROTOCOL_VERSION",
    message: "PS node ps-1 cannot be reached: too old",
  });
  expect(clock.now()).toBe(0);
});

test("a link that breaks is told and dialed again, and its keys go whole over the new one", async () => {
  const { clock, network, links, start, listen, events, heard } = cluster();
  start(1);
  start(2);
  await clock.until(links.open());
  listen();
  const K = LIMITS.keyListKeysMin;
  const push = frame({
    opcode: "pull",
    tables: Uint32Array.of(1),
    partitions: Uint32Array.of(0),
    generations: Uint32Array.of(1),
    counts: Uint32Array.of(K),
    keys: Uint32Array.from({ length: 2 * K }, (_, i) => i),
  });
  const keysHeard = () => heard.map(({ message }) => ("keys" in message ? message.keys.length : -1));
  links.sendKeyed(1, push);
  links.sendKeyed(1, push);
  await clock.advance(10);
  expect(keysHeard()).toEqual([2 * K, 0]);
  network.cut({ between: ["client", "ps-1"] });
  await clock.advance(600);
  expect(events).toEqual(["down 1", "up 1"]);
  links.sendKeyed(1, push);
  await clock.advance(10);
  expect(keysHeard()).toEqual([2 * K, 0, 2 * K]);
});

test("what is sent to a node without a link is lost, and nothing fails", async () => {
  const { clock, links, start, heard } = cluster();
  start(1);
  await clock.until(links.up(1));
  links.sendControl(1, { type: "heartbeat" });
  links.sendControl(2, { type: "heartbeat" });
  links.sendKeyed(2, frame({ opcode: "pull" }));
  await clock.advance(10);
  expect(heard).toEqual([{ node: 1, message: { type: "heartbeat" } }]);
});

test("a newer map closes the links of nodes that left, and dials those that are new", async () => {
  const { clock, links, start, listen, events, accepted } = cluster();
  for (const node of [1, 2, 3]) start(node);
  await clock.until(links.open());
  listen();
  const maps: number[] = [];
  const forget = links.onMap(({ version }) => maps.push(version));
  const waiting = links.up(2);
  await waiting;
  const next = mapOf({ version: 2, nodes: [1, 3], heads: [1, 3] });
  links.adopt(next);
  links.adopt(FIRST);
  links.adopt({ ...next });
  expect(links.map).toBe(next);
  expect(events).toEqual(["down 2"]);
  await expect(links.up(2)).rejects.toMatchObject({
    code: "PARTITION_UNAVAILABLE",
    message: "PS node 2 is not in the partition map",
  });
  await clock.until(links.up(3));
  await clock.advance(60_000);
  expect(accepted.map(({ node }) => node).toSorted((a, b) => a - b)).toEqual([1, 2, 3]);
  forget();
  links.adopt(mapOf({ version: 3, nodes: [1, 3], heads: [1, 3] }));
  expect(maps).toEqual([2]);
});

test("who waits for a node that leaves the map is told, and it is dialed no more", async () => {
  const { clock, links, start, accepted } = cluster();
  start(1);
  const up = links.up(2);
  await clock.advance(5);
  links.adopt(mapOf({ version: 2, nodes: [1], heads: [1, 1] }));
  await expect(up).rejects.toMatchObject({
    code: "PARTITION_UNAVAILABLE",
    message: "PS node ps-2 has left the cluster",
  });
  start(2);
  await clock.advance(10_000);
  expect(accepted.map(({ node }) => node)).toEqual([1]);
});

test("the map that a node tells is adopted and goes to nobody else", async () => {
  const { clock, links, start, listen, events, accepted, heard } = cluster();
  start(1);
  start(2);
  await clock.until(links.open());
  listen();
  links.requestMap();
  links.requestMap(2);
  await clock.advance(10);
  const asked = heard.filter(({ message }) => "type" in message && message.type === "map-request");
  expect(asked.map(({ node }) => node).toSorted((a, b) => a - b)).toEqual([1, 2, 2]);
  const next = mapOf({ version: 5, nodes: [1, 2], heads: [1, 1] });
  accepted.find(({ node }) => node === 1)!.link.sendControl({ type: "map", map: next });
  await clock.advance(10);
  expect(links.map).toEqual(next);
  expect(events).toEqual([]);
});

test("a node that closes every link at once is not dialed without pause", async () => {
  const { clock, network, links, start, listen } = cluster();
  start(1);
  let accepted = 0;
  network.host("ps-2").listen({
    port: 1,
    name: "ps-2",
    onLink: (link) => {
      accepted++;
      link.listen({ onControl() {}, onFrame() {}, onClose() {} });
      link.close("not today");
    },
  });
  await clock.until(links.open());
  listen();
  await clock.advance(60_000);
  expect(accepted).toBeGreaterThan(5);
  expect(accepted).toBeLessThanOrEqual(1 + 60_000 / LIMITS.connectBackoffMs);
});

test("once closed, nothing is dialed or adopted, and who waits gets the reason", async () => {
  const { clock, links, start, listen, events, accepted } = cluster();
  start(1);
  await clock.until(links.up(1));
  listen();
  const waiting = links.up(2);
  links.close(new ClusterError("JOB_FAILED", "the job is over"));
  links.close("again");
  await expect(waiting).rejects.toMatchObject({ code: "JOB_FAILED", message: "the job is over" });
  await expect(links.up(1)).rejects.toMatchObject({ code: "JOB_FAILED" });
  links.adopt(mapOf({ version: 2, nodes: [1], heads: [1, 1] }));
  start(2);
  await clock.advance(10_000);
  expect(links.map).toBe(FIRST);
  expect([accepted.length, links.get(1), events]).toEqual([1, undefined, []]);
});
