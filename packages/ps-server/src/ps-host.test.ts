/** A PS node on a simulated network: who may say what, and what it does without its coordinator. */
import { describe, expect, it } from "vitest";
import { LIMITS } from "@volary/core/limits";
import type { PartitionMap } from "@volary/core/partition";
import { TableMemory, type TableSpec } from "@volary/core/table";
import { SimulatedClock, SimulatedNetwork } from "@volary/core/testing";
import { frame, type Control, type Frame, type Hello, type Link } from "@volary/core/wire";
import { PsHost } from "./ps-host.ts";

const TABLE: TableSpec = { id: 1, name: "t", dim: 1, initializer: { kind: "zeros" }, optimizer: { kind: "none" } };

const mapOf = (node: number): PartitionMap => ({
  version: node,
  heads: node,
  partitionsLog2: 0,
  function: { kind: "hash" },
  nodes: [{ node, name: "ps", address: "sim://ps:80" }],
  entries: [{ generation: node, headSince: node, chain: [node] }],
});

const setRow = (generation: number) =>
  frame({
    opcode: "set",
    job: 1,
    tables: Uint32Array.of(1),
    partitions: Uint32Array.of(0),
    generations: Uint32Array.of(generation),
    counts: Uint32Array.of(1),
    keys: Uint32Array.of(5, 0),
    values: Float32Array.of(2),
  });

interface Heard {
  link: Link;
  controls: Control[];
  frames: Frame[];
  closed: string[];
}

function hear(link: Link): Heard {
  const heard: Heard = { link, controls: [], frames: [], closed: [] };
  link.listen({
    onControl: (control) => heard.controls.push(control),
    onFrame: (f) => heard.frames.push(f),
    onClose: (reason) => heard.closed.push(reason),
  });
  return heard;
}

const MEMORY = new TableMemory();

/** A PS node whose coordinator is played by the test. */
class Cluster {
  readonly clock = new SimulatedClock();
  readonly network = new SimulatedNetwork({ clock: this.clock, seed: 1 });
  readonly logs: string[] = [];
  readonly lost: string[] = [];
  readonly ps = this.network.host("ps");
  readonly client = this.network.host("client");
  readonly host = new PsHost({
    name: "ps",
    clock: this.ps.clock,
    dialer: this.ps.dialer,
    log: (message) => this.logs.push(message),
    memory: MEMORY,
    onCoordinatorLost: (reason) => this.lost.push(reason),
  });
  readonly address: string;
  coordinator: Heard | undefined;
  readonly #coordinatorAddress: string;

  constructor() {
    const { address } = this.network.host("coordinator").listen({
      name: "coordinator",
      onLink: (link) => {
        this.coordinator = hear(link);
      },
    });
    this.#coordinatorAddress = address;
    this.address = this.ps.listen({
      port: 80,
      name: "ps",
      refuse: (hello) => this.host.refuse(hello),
      onLink: (link, hello) => this.host.accept(link, hello),
    }).address;
  }

  /** Lets the node say that it wants to join; the test answers. */
  async asking(): Promise<{ joined: Promise<number>; coordinator: Heard }> {
    const link = await this.clock.until(this.ps.dialer.dial(this.#coordinatorAddress, { role: "ps", name: "ps" }));
    const joined = this.host.join({ coordinator: link, address: this.address });
    joined.catch(() => {});
    await this.clock.advance(10);
    return { joined, coordinator: this.coordinator! };
  }

  async join(node: number): Promise<Heard> {
    const { joined, coordinator } = await this.asking();
    coordinator.link.sendControl({ type: "ps-joined", node });
    expect(await this.clock.until(joined)).toBe(node);
    coordinator.link.sendControl({ type: "map", map: mapOf(node) });
    coordinator.link.sendControl({ type: "open-job", job: 1, seed: 1, consistency: { mode: "bsp" }, tables: [TABLE] });
    await this.clock.advance(10);
    return coordinator;
  }

  async dial(hello: Hello = { role: "worker", name: "w" }): Promise<Heard> {
    return hear(await this.clock.until(this.client.dialer.dial(this.address, hello)));
  }
}

describe("PsHost", () => {
  it("joins with its name and address, and beats with what it holds", async () => {
    const c = new Cluster();
    const coordinator = await c.join(1);
    expect(coordinator.controls[0]).toEqual({ type: "ps-join", name: "ps", address: "sim://ps:80" });
    const client = await c.dial();
    client.link.sendFrame(setRow(1));
    await c.clock.advance(3 * LIMITS.heartbeatEveryMs);
    expect(client.frames).toMatchObject([{ opcode: "setReply" }]);
    const beats = coordinator.controls.filter(({ type }) => type === "heartbeat");
    expect(beats.length).toBeGreaterThanOrEqual(3);
    expect(beats.at(-1)).toMatchObject({ rows: 1 });
  });

  it("turns everyone away until it has joined, and what it does not serve ever after", async () => {
    const c = new Cluster();
    await expect(c.dial()).rejects.toThrow("PS node ps has not joined its cluster yet");
    await c.join(1);
    await c.dial({ role: "client", name: "c" });
    for (const role of ["peer", "coordinator"] as const) {
      await expect(c.dial({ role, name: "x" })).rejects.toThrow(`serves workers, clients and PS nodes, not a ${role}`);
    }
  });

  it.each(["worker", "client", "ps"] as const)("does not let a %s play the coordinator", async (role) => {
    const c = new Cluster();
    await c.join(1);
    const pretences: Control[] = [
      { type: "map", map: mapOf(9) },
      { type: "open-job", job: 2, seed: 1, consistency: { mode: "bsp" }, tables: [] },
      { type: "close-job", job: 1 },
      { type: "close", job: 1, step: 1, attempt: 1, term: 1, heads: 1, slots: [], scale: 1 },
      { type: "ps-joined", node: 9 },
    ];
    for (const pretence of pretences) {
      const client = await c.dial({ role, name: "x" });
      client.link.sendControl(pretence);
      await c.clock.advance(10);
      expect(client.closed).toEqual([`a PS node takes no "${pretence.type}" from a ${role}`]);
    }
    const honest = await c.dial();
    honest.link.sendFrame(setRow(1));
    await c.clock.advance(10);
    expect(honest.frames).toHaveLength(1);
  });

  it("does not let a client play another PS node", async () => {
    const c = new Cluster();
    await c.join(1);
    const records = ["setRecord", "pushRecord", "commitRecord", "stageRecord", "promiseRecord", "checkRecord"] as const;
    for (const opcode of [...records, "copyPart", "chainAck"] as const) {
      const client = await c.dial();
      client.link.sendFrame(frame({ ...setRow(1), opcode, sequences: Uint32Array.of(1) }));
      await c.clock.advance(10);
      expect(client.closed).toEqual([`a PS node takes no "${opcode}" frame`]);
    }
    expect(c.host.node!.usage().rows).toBe(0);
  });

  it("dials the node behind it, and again when the link breaks; what waited is then answered", async () => {
    const c = new Cluster();
    const coordinator = await c.join(1);
    const behind = c.network.host("behind");
    const heard: Heard[] = [];
    const listener = behind.listen({ port: 80, name: "behind", onLink: (link) => heard.push(hear(link)) });
    const map: PartitionMap = {
      ...mapOf(1),
      version: 2,
      nodes: [...mapOf(1).nodes, { node: 2, name: "behind", address: listener.address }],
      entries: [{ generation: 2, headSince: 1, chain: [1], next: [1, 2] }],
    };
    coordinator.link.sendControl({ type: "map", map });
    await c.clock.advance(1000);
    expect(heard[0]!.frames[0]).toMatchObject({ opcode: "copyPart", cursor: 0 });
    coordinator.link.sendControl({
      type: "map",
      map: { ...map, version: 3, entries: [{ generation: 3, headSince: 1, chain: [1, 2] }] },
    });
    const client = await c.dial();
    client.link.sendFrame(setRow(3));
    await c.clock.advance(10);
    heard[0]!.link.close("it breaks");
    await c.clock.advance(2 * LIMITS.peerBackoffMaxMs);
    expect(client.frames).toEqual([]);
    const record = heard.at(-1)!.frames.find(({ opcode }) => opcode === "setRecord")!;
    const { job, partitions, generations, sequences } = record;
    heard.at(-1)!.link.sendFrame(frame({ opcode: "chainAck", job, partitions, generations, sequences }));
    await c.clock.advance(10);
    expect(client.frames).toMatchObject([{ opcode: "setReply" }]);
    c.host.stop("done");
  });

  it("dials the node that it is to copy its rows to, before it has them", async () => {
    const c = new Cluster();
    const coordinator = await c.join(1);
    const heard: Heard[] = [];
    const listener = c.network.host("behind").listen({ port: 80, name: "b", onLink: (link) => heard.push(hear(link)) });
    const behind = { node: 2, name: "behind", address: listener.address };
    const head = { node: 3, name: "head", address: "sim://nobody:80" };
    const map: PartitionMap = {
      ...mapOf(1),
      version: 2,
      nodes: [...mapOf(1).nodes, behind, head],
      entries: [{ generation: 2, headSince: 1, chain: [3], next: [3, 1, 2] }],
    };
    coordinator.link.sendControl({ type: "map", map });
    await c.clock.advance(1000);
    expect(heard).toHaveLength(1);
    c.host.stop("done");
  });

  it("passes on why it may not join", async () => {
    const c = new Cluster();
    const { joined, coordinator } = await c.asking();
    coordinator.link.sendControl({ type: "error", code: "NAME_TAKEN", message: "there is a ps already" });
    await expect(c.clock.until(joined)).rejects.toMatchObject({ code: "NAME_TAKEN", message: "there is a ps already" });
    expect(c.lost).toEqual([]);
  });

  it("does not wait for ever to be let in", async () => {
    const c = new Cluster();
    const mute = await c.asking();
    await expect(c.clock.until(mute.joined)).rejects.toMatchObject({ code: "TIMEOUT" });
    const leaving = await c.asking();
    leaving.coordinator.link.close("full");
    await expect(c.clock.until(leaving.joined)).rejects.toMatchObject({ code: "COORDINATOR_UNAVAILABLE" });
  });

  it("tells the coordinator what it cannot open", async () => {
    const c = new Cluster();
    const coordinator = await c.join(1);
    coordinator.link.sendControl({
      type: "open-job",
      job: 2,
      seed: 1,
      consistency: { mode: "bsp" },
      tables: [TABLE, TABLE],
    });
    await c.clock.advance(10);
    const error = coordinator.controls.find(({ type }) => type === "error");
    expect(error).toMatchObject({ code: "BAD_JOB", job: 2 });
    expect(coordinator.closed).toEqual([]);
  });

  it("lets its coordinator lead a step", async () => {
    const c = new Cluster();
    const { link, controls } = await c.join(1);
    const consistency = { mode: "bsp", quorum: 1 } as const;
    link.sendControl({ type: "open-job", job: 2, seed: 1, consistency, tables: [TABLE] });
    const { heads } = mapOf(1);
    const at = { job: 2, step: 1, attempt: 1, term: 1, heads };
    link.sendControl({ type: "fence", job: 2, term: 1, heads });
    link.sendControl({ type: "start", ...at, slots: 2, members: [] });
    link.sendControl({ type: "close", ...at, slots: [], scale: 1 });
    link.sendControl({ type: "commit", ...at });
    await c.clock.advance(10);
    const answers = controls.map(({ type }) => type).filter((type) => type !== "heartbeat");
    expect(answers).toEqual(["ps-join", "job-opened", "job-opened", "promise", "staged", "committed"]);
  });

  it("serves on without its coordinator, and begins anew with the next", async () => {
    const c = new Cluster();
    const first = await c.join(1);
    const client = await c.dial();
    client.link.sendFrame(setRow(1));
    first.link.close("the coordinator stops");
    await c.clock.advance(1000);
    expect(c.lost).toEqual(["the coordinator stops"]);
    client.link.sendFrame(setRow(1));
    await c.clock.advance(10);
    expect(client.frames).toHaveLength(2);

    const second = await c.join(2);
    expect(c.logs).toContain("joined anew as node 2: 1 rows of the node it was are dropped");
    await c.clock.advance(LIMITS.heartbeatEveryMs);
    expect(second.controls.at(-1)).toMatchObject({ type: "heartbeat", rows: 0 });
    client.link.sendFrame(setRow(1)); // of the old generation
    await c.clock.advance(10);
    expect(Array.from(client.frames.at(-1)!.generations)).toEqual([2]);
  });

  it("says goodbye to all when it stops", async () => {
    const c = new Cluster();
    const coordinator = await c.join(1);
    const client = await c.dial();
    c.host.stop("PS node ps stops");
    await c.clock.advance(1000);
    expect([coordinator.closed, client.closed]).toEqual([["PS node ps stops"], ["PS node ps stops"]]);
    expect(c.lost).toEqual([]);
  });
});
