/** Tables of a client while coordinator and PS nodes, played here, move partitions and go away. */
import type { PlainTable } from "@volary/core/client";
import type { PartitionMap } from "@volary/core/partition";
import { SimulatedClock, SimulatedNetwork } from "@volary/core/testing";
import { frame, type Control, type Link } from "@volary/core/wire";
import { expect, test } from "vitest";
import { CoordinatorClient } from "./coordinator-client.ts";
import { openTables } from "./tables.ts";
import { jobStatus } from "../testing/job-status.ts";

/** One partition, on node 1 first. */
const mapOf = (head: number, version: number): PartitionMap => ({
  version,
  heads: version,
  partitionsLog2: 0,
  function: { kind: "hash" },
  nodes: [1, 2].map((node) => ({ node, name: `ps-${node}`, address: `sim://ps-${node}:1` })),
  entries: [{ generation: version, headSince: version, chain: [head] }],
});

const FAILED: Control = {
  type: "job-status",
  status: jobStatus(0, { name: "tables", phase: "failed", message: "PS node ps-1 is lost" }),
};

/** A coordinator, and PS nodes that answer a pull with their own number. */
async function cluster({ early }: { early?: PartitionMap } = {}) {
  const clock = new SimulatedClock();
  const network = new SimulatedNetwork({ clock, seed: 3 });
  const coordinator: { host: ReturnType<SimulatedNetwork["host"]>; link?: Link; heard: Control[] } = {
    host: network.host("coordinator"),
    heard: [],
  };
  coordinator.host.listen({
    port: 1,
    name: "coordinator",
    onLink: (link) => {
      coordinator.link = link;
      link.listen({
        onControl: (control) => {
          coordinator.heard.push(control);
          if (control.type !== "submit") return;
          link.sendControl({ type: "submitted", job: 1, map: mapOf(1, 1) });
          if (early) link.sendControl({ type: "map", map: early });
        },
        onFrame: () => {},
        onClose: () => {},
      });
    },
  });
  const ps = { map: mapOf(1, 1), links: 0, isSilent: false };
  for (const node of [1, 2]) {
    network.host(`ps-${node}`).listen({
      port: 1,
      name: `ps-${node}`,
      onLink: (link) => {
        ps.links++;
        link.listen({
          onControl: ({ type }) => type === "map-request" && link.sendControl({ type: "map", map: ps.map }),
          onFrame: ({ requestId, opcode, partitions, generations }) => {
            if (ps.isSilent) return;
            const isHead = ps.map.entries[0]!.chain[0] === node && generations[0] === ps.map.entries[0]!.generation;
            const stale = isHead
              ? {}
              : { partitions, generations, tables: Uint32Array.of(1), counts: Uint32Array.of(1) };
            link.sendFrame(
              opcode === "pull"
                ? frame({ opcode: "pullReply", requestId, values: Float32Array.from(isHead ? [node] : []), ...stale })
                : frame({ opcode: "pushDirectReply", requestId, ...stale }),
            );
          },
          onClose: () => {},
        });
      },
    });
  }
  const host = network.host("client");
  const { dialer, clock: own } = host;
  const client = await clock.until(
    CoordinatorClient.connect({ address: "sim://coordinator:1", name: "c", dialer, clock: own }),
  );
  const opening = openTables({ tables: { t: { dim: 1, update: "sum" } }, client, name: "c", dialer, clock: own });
  const tables = await clock.until(opening);
  const t: PlainTable = tables.t;
  const read = async (): Promise<number> => (await clock.until(t.pull([7])))[0]!;
  const tell = (control: Control) => {
    coordinator.link!.sendControl(control);
    return clock.advance(20);
  };
  return { clock, network, coordinator, ps, client, tables, t, read, tell };
}

test("reads follow the map that the coordinator tells", async () => {
  const c = await cluster();
  expect(await c.read()).toBe(1);
  c.ps.map = mapOf(2, 2);
  await c.tell({ type: "map", map: c.ps.map });
  expect(await c.read()).toBe(2);
});

test("a map that came before the tables were open is the one they use", async () => {
  const c = await cluster({ early: mapOf(2, 2) });
  c.ps.map = mapOf(2, 2);
  expect(await c.read()).toBe(2);
});

test("without the coordinator, reads and pushes go on and follow the map that a PS node tells", async () => {
  const c = await cluster();
  c.coordinator.host.crash();
  await c.clock.advance(1_000);
  await expect(c.client.status()).rejects.toMatchObject({ code: "COORDINATOR_UNAVAILABLE" });
  expect(await c.read()).toBe(1);
  c.ps.map = mapOf(2, 2);
  await c.clock.until(c.t.push([7], [1]));
  expect(await c.read()).toBe(2);
});

test("once the job has failed, what waits and what is asked later fails and says why", async () => {
  const c = await cluster();
  c.ps.isSilent = true;
  const waiting = c.t.pull([7]);
  waiting.catch(() => {});
  await c.clock.advance(5);
  await c.tell(FAILED);
  const gone = { code: "JOB_FAILED", message: "the tables are gone: PS node ps-1 is lost; open them anew" };
  await expect(waiting).rejects.toMatchObject(gone);
  await expect(c.t.push([7], [1])).rejects.toMatchObject(gone);
  expect(c.coordinator.heard.at(-1)).toEqual({ type: "close-job", job: 1 });
});

test("a client that closes its tables, or leaves, fails what it asks later and dials nobody any more", async () => {
  for (const leave of ["tables", "client"] as const) {
    const c = await cluster();
    await c.clock.advance(100); // all links are up
    c[leave].close();
    await expect(c.t.pull([7])).rejects.toMatchObject({ code: "UNKNOWN_JOB" });
    const { links } = c.ps;
    await c.clock.advance(60_000);
    expect(c.ps.links).toBe(links);
  }
});
