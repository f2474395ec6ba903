/** What the coordinator says when PS nodes come, go and are emptied, while jobs are open. */
import { describe, expect, it } from "vitest";
import { LIMITS } from "@volary/core/limits";
import { decodeControl, encodeControl } from "@volary/core/wire";
import { jsonOf } from "./store.ts";
import { Cluster, commit, MANIFEST, training } from "./test-coordinator.ts";

/** A plain client's job: open, never run. */
function tables(c: Cluster, nodes: readonly number[]): { client: number; job: number } {
  const client = c.link();
  c.say(client, { type: "submit", manifest: MANIFEST });
  const { job } = c.told(nodes[0]!, "open-job");
  for (const node of nodes) c.say(node, { type: "job-opened", job });
  c.told(client, "submitted");
  return { client, job };
}

/** Has every copy made and every chain fall quiet, until nothing moves any more. */
function settle(c: Cluster, linkOf: ReadonlyMap<number, number>): void {
  for (let round = 0; round < 100; round++) {
    for (const link of linkOf.values()) c.say(link, { type: "heartbeat" });
    for (const [partition, { chain, next, held, generation }] of c.map.entries.entries()) {
      if (next) c.say(linkOf.get(chain.at(-1)!)!, { type: "chain-ready", partition, generation, next });
      if (held) c.say(linkOf.get(chain[0]!)!, { type: "chain-quiet", partition, generation });
    }
    c.tick(LIMITS.switchEveryMs);
    if (c.map.entries.every(({ next }) => !next)) return;
  }
  throw new Error("the chains do not come to rest");
}

function indexOf(c: Cluster, link: number, type: string): number {
  return c.types(link).findIndex((told) => told === type);
}

describe("a PS node that is lost, with replicas", () => {
  it("fails no job: PS nodes, workers and clients get the map, then a term with its heads begins", () => {
    const { c, nodes, a, b, client } = training({ replicas: 2 }, 3);
    const before = c.map;
    const watcher = c.link();
    c.say(watcher, { type: "watch", job: 1 });
    c.forget();
    c.close(nodes[0]!);
    expect(c.status(client)).toMatchObject({ phase: "training", term: 2 });
    for (const { link } of [a, b]) {
      expect(indexOf(c, link, "map")).toBeLessThan(indexOf(c, link, "term"));
      expect(c.told(link, "map").map).toEqual(c.map);
      expect(c.told(link, "term")).toMatchObject({ term: 2, heads: c.map.heads });
    }
    for (const link of [nodes[1]!, nodes[2]!, client, watcher]) expect(c.told(link, "map").map).toEqual(c.map);
    expect(c.map.heads).toBe(c.map.version);
    expect(c.map.entries.flatMap(({ chain }) => chain)).not.toContain(1);
    const { failovers, chains } = c.coordinator.status(c.now);
    expect(failovers).toBe(before.entries.filter(({ chain }) => chain[0] === 1).length);
    expect(chains.short).toBe(before.entries.filter(({ chain }) => chain.includes(1)).length);
  });

  it("is known to who watches a job from then on: it is told the map at once", () => {
    const { c, nodes } = training({ replicas: 2 }, 3);
    c.close(nodes[0]!);
    const watcher = c.link();
    c.say(watcher, { type: "watch", job: 1 });
    expect(c.told(watcher, "map").map).toEqual(c.map);
  });

  it("behind the heads begins no term, and workers need not know", () => {
    const c = new Cluster({ replicas: 2, partitionsLog2: 0 });
    const nodes = [c.ps("ps-1"), c.ps("ps-2"), c.ps("ps-3")];
    const a = c.worker("a");
    const { job } = c.run(nodes, { ...MANIFEST, workersMin: 1 });
    c.ready(a.link, job);
    c.forget();
    const tail = c.map.entries[0]!.chain[1]!;
    c.close(nodes[tail - 1]!);
    expect(c.types(a.link)).toEqual([]);
    expect(c.types(nodes[c.map.entries[0]!.chain[0]! - 1]!)).toEqual(["map"]);
  });

  it("is missed sooner where nothing is lost with it", () => {
    const { c, nodes, a, b, client } = training({ replicas: 2 }, 3);
    for (let at = 0; at <= LIMITS.psLostMs; at += 500) {
      for (const link of [nodes[1]!, nodes[2]!, a.link, b.link]) c.say(link, { type: "heartbeat" });
      c.tick(500);
    }
    expect(c.closed).toEqual(new Map([[nodes[0], `silent for ${LIMITS.psLostMs / 1000} s`]]));
    expect(c.status(client).phase).toBe("training");
  });

  it("while a job is being opened is not waited for", () => {
    const c = new Cluster({ replicas: 2 });
    const nodes = [c.ps("ps-1"), c.ps("ps-2")];
    const client = c.link();
    c.say(client, { type: "submit", manifest: MANIFEST });
    c.say(nodes[0]!, { type: "job-opened", job: 1 });
    c.close(nodes[1]!);
    const { job, map } = c.told(client, "submitted");
    expect([job, map]).toEqual([1, c.map]);
    expect(map.nodes).toHaveLength(1);
  });

  it("with the last replica fails the jobs that are open", () => {
    const { c, nodes, client } = training({ replicas: 2 });
    c.close(nodes[0]!);
    expect(c.status(client).phase).toBe("training");
    c.close(nodes[1]!);
    expect(c.status(client)).toMatchObject({ phase: "failed" });
    expect(c.status(client).message).toContain("its partitions have no replica");
  });
});

describe("a PS node that joins while a job is open", () => {
  it("opens the job before a map names it, and gets its share", () => {
    const { c, nodes, a, client, job } = training();
    c.forget();
    const late = c.ps("ps-3");
    expect(c.types(late)).toEqual(["ps-joined", "open-job", "map"]);
    expect(c.told(late, "open-job").job).toBe(job);
    expect(c.types(nodes[0]!)).toEqual(["map"]);
    expect(c.types(a.link)).toEqual([]);
    settle(
      c,
      new Map([
        [1, nodes[0]!],
        [2, nodes[1]!],
        [3, late],
      ]),
    );
    expect(c.map.entries.filter(({ chain }) => chain[0] === 3)).toHaveLength(1);
    expect(c.status(client)).toMatchObject({ phase: "training", term: 2 });
    expect(c.told(a.link, "term").heads).toBe(c.map.heads);
    expect(c.coordinator.status(c.now)).toMatchObject({ moves: 1, chains: { whole: 4, short: 0, moving: 0 } });
  });

  it("but cannot open it gets no partition, and the job goes on", () => {
    const { c, nodes, client, job } = training();
    const late = c.ps("ps-3");
    c.say(late, { type: "error", code: "BAD_UPDATE", message: "no update named x", job });
    settle(
      c,
      new Map([
        [1, nodes[0]!],
        [2, nodes[1]!],
        [3, late],
      ]),
    );
    expect(c.map.entries.flatMap(({ chain }) => chain)).not.toContain(3);
    expect(c.status(client).phase).toBe("training");
    c.say(client, { type: "close-job", job });
    expect(c.map.entries.flatMap(({ chain }) => chain)).toContain(3);
  });

  it("is waited for by a job that is just being opened", () => {
    const c = new Cluster();
    const first = c.ps("ps-1");
    const client = c.link();
    c.say(client, { type: "submit", manifest: MANIFEST });
    const late = c.ps("ps-2");
    c.say(first, { type: "job-opened", job: 1 });
    expect(c.types(client)).toEqual([]);
    c.say(late, { type: "job-opened", job: 1 });
    expect(c.told(client, "submitted").job).toBe(1);
  });
});

describe("drain", () => {
  it("empties the node by its name, and status says how far it is", () => {
    const c = new Cluster();
    const nodes = [c.ps("ps-1"), c.ps("ps-2")];
    const { client } = tables(c, nodes);
    c.say(client, { type: "drain", node: "ps-1" });
    expect(c.told(client, "draining").node).toBe("ps-1");
    expect(c.coordinator.status(c.now).nodes[0]).toMatchObject({ name: "ps-1", draining: true, partitions: 2 });
    c.forget();
    settle(
      c,
      new Map([
        [1, nodes[0]!],
        [2, nodes[1]!],
      ]),
    );
    expect(c.coordinator.status(c.now).nodes).toMatchObject([{ partitions: 0, replicas: 0 }, { partitions: 4 }]);
    expect(c.told(client, "map").map.heads).toBe(c.map.heads);
    c.close(nodes[0]!);
    expect(c.coordinator.status(c.now).jobs).toMatchObject([{ phase: "preparing" }]);
  });

  it("goes on where the node loses its link and comes back with another number", () => {
    const c = new Cluster();
    const nodes = [c.ps("ps-1"), c.ps("ps-2")];
    const { client } = tables(c, nodes);
    c.say(client, { type: "drain", node: "ps-2" });
    c.close(nodes[1]!);
    c.ps("ps-2", 2);
    expect(c.coordinator.status(c.now).nodes[1]).toMatchObject({ node: 3, name: "ps-2", draining: true });
    c.ps("ps-3", 2);
    expect(c.coordinator.status(c.now).nodes[2]).not.toHaveProperty("draining");
  });

  it("of a node that is not there names those that are; of the last one it is refused", () => {
    const c = new Cluster();
    c.ps("ps-1");
    const client = c.link();
    c.say(client, { type: "drain", node: "ps-7" });
    expect(c.told(client, "error")).toMatchObject({
      code: "NOT_A_MEMBER",
      message: 'this cluster has no PS node "ps-7"; its PS nodes are ps-1',
    });
    c.say(client, { type: "drain", node: "ps-1" });
    expect(c.told(client, "error").message).toContain("no other could hold its rows; start one first");
  });
});

describe("chain news", () => {
  it("are taken from PS nodes alone", () => {
    const { c, a } = training();
    c.say(a.link, { type: "chain-ready", partition: 0, generation: 1, next: [1] });
    expect(c.told(a.link, "error")).toMatchObject({ code: "NOT_A_MEMBER" });
    c.say(a.link, { type: "chain-quiet", partition: 99_999, generation: 1 });
    expect(c.told(a.link, "error")).toMatchObject({ code: "NOT_A_MEMBER" });
  });

  it("of partitions that do not exist are harmless", () => {
    const { c, nodes } = training({ replicas: 2 });
    const { map } = c;
    const of = { partition: 60_000, generation: 1 };
    c.say(nodes[0]!, { type: "chain-ready", ...of, next: [1] });
    c.say(nodes[0]!, { type: "chain-quiet", ...of });
    c.say(nodes[0]!, { type: "chain-broken", ...of, node: 1, message: "full" });
    expect(c.map).toEqual(map);
  });

  it("of a replica that is lost take it out of the chain", () => {
    const { c, nodes, a } = training({ replicas: 2 });
    const { chain, generation } = c.map.entries[0]!;
    c.forget();
    c.say(nodes[0]!, {
      type: "chain-broken",
      partition: 0,
      generation,
      node: chain[0]!,
      message: "its memory is full",
    });
    expect(c.map.entries[0]).toMatchObject({ chain: [chain[1]], generation: generation + 1 });
    expect(c.told(a.link, "term")).toMatchObject({ term: 2, heads: c.map.heads });
    expect(c.logs.some((line) => line.includes("its memory is full"))).toBe(true);
  });
});

describe("every message", () => {
  it("is one that its receiver takes", () => {
    const { c, nodes, client } = training({ replicas: 2 }, 3);
    c.ps("ps-4");
    c.say(client, { type: "drain", node: "ps-2" });
    c.close(nodes[0]!);
    c.say(client, { type: "status-request" });
    const links = c.link();
    for (let link = 1; link < links; link++) {
      for (const control of c.tellings(link)) expect(decodeControl(encodeControl(control))).toEqual(control);
    }
    expect(c.types(client)).toContain("status");
  });
});

describe("the map", () => {
  it("is told to whoever asks", () => {
    const c = new Cluster();
    const client = c.link();
    c.say(client, { type: "map-request" });
    expect(c.told(client, "error").code).toBe("PARTITION_UNAVAILABLE");
    c.ps("ps-1");
    c.say(client, { type: "map-request" });
    expect(c.told(client, "map").map).toEqual(c.map);
  });
});

describe("a coordinator that starts again", () => {
  /** Two nodes with a plain client's rows; then a coordinator with the same store. */
  function restarted() {
    const c = new Cluster();
    const nodes = [c.ps("ps-1"), c.ps("ps-2")];
    const { job } = tables(c, nodes);
    const again = new Cluster({ records: c.records });
    again.tick(1);
    return { before: c.map, job, again };
  }

  it("takes back the nodes of its map with their rows, and serves their jobs", () => {
    const { before, job, again } = restarted();
    const [one, two] = [again.ps("ps-1", 1), again.ps("ps-2", 2)];
    for (const [link, node] of [
      [one, 1],
      [two, 2],
    ] as const) {
      expect(again.told(link, "ps-joined").node).toBe(node);
      expect(again.told(link, "open-job").job).toBe(job);
      expect(again.told(link, "map").map.entries).toEqual(before.entries);
    }
    again.tick(LIMITS.rejoinMs - 1);
    for (const link of [one, two]) again.say(link, { type: "heartbeat" });
    again.tick(LIMITS.heartbeatEveryMs);
    expect(again.map.entries).toEqual(before.entries);
    expect(again.coordinator.status(again.now).jobs).toMatchObject([{ job, phase: "preparing" }]);
    const client = again.link();
    again.say(client, { type: "watch", job });
    expect(again.told(client, "job-status").status.job).toBe(job);
    again.say(client, { type: "close-job", job });
    expect(again.told(one, "close-job").job).toBe(job);
    expect([...again.records.keys()]).not.toContain(`open/${job}`);
  });

  it("does not close a job whose client it does not know because another client leaves", () => {
    const { job, again } = restarted();
    again.ps("ps-1", 1);
    const client = again.link();
    again.say(client, { type: "watch", job });
    again.close(client);
    expect(again.coordinator.status(0).jobs).toMatchObject([{ phase: "preparing" }]);
  });

  it("gives up the nodes that do not come back, after a while", () => {
    const { again, job } = restarted();
    const one = again.ps("ps-1", 1);
    expect(again.coordinator.status(0).nodes).toMatchObject([
      { node: 1, alive: true },
      { node: 2, alive: false },
    ]);
    for (let at = 0; at < LIMITS.rejoinMs; at += 500) {
      again.say(one, { type: "heartbeat" });
      again.tick(500);
    }
    expect(again.coordinator.status(0)).toMatchObject({
      nodes: [{ node: 1 }],
      jobs: [{ phase: "failed", message: expect.stringContaining("did not come back") }],
    });
    expect(again.told(one, "close-job").job).toBe(job);
    expect(again.map.entries.every(({ chain }) => chain.join() === "1")).toBe(true);
  });

  it("counts a node that comes back without its rows as lost at once", () => {
    const { again } = restarted();
    const one = again.ps("ps-1");
    expect(again.told(one, "ps-joined").node).toBe(3);
    expect(again.coordinator.status(0).jobs).toMatchObject([{ phase: "failed" }]);
  });

  it("lets a job that was trained fail, and keeps its rows until it is closed", () => {
    const { c, a, job } = training();
    commit(c, a.link, job, 1);
    const again = new Cluster({ records: c.records });
    again.tick(1);
    const one = again.ps("ps-1", 1);
    expect(again.told(one, "open-job").job).toBe(job);
    const message = "the coordinator was restarted while the job ran; its rows stay until it is closed";
    expect(again.coordinator.status(0).jobs).toMatchObject([{ phase: "failed", message, term: 1 }]);
  });

  it("tells nodes that come back which jobs are not open any more", () => {
    const c = new Cluster();
    const nodes = [c.ps("ps-1")];
    const closed = tables(c, nodes);
    const open = tables(c, nodes);
    c.say(closed.client, { type: "close-job", job: closed.job });
    const again = new Cluster({ records: c.records });
    const one = again.ps("ps-1", 1);
    expect(again.told(one, "close-job").job).toBe(closed.job);
    expect(again.told(one, "open-job").job).toBe(open.job);
  });

  it("forgets a job that was not open yet, with the client that waits for it", () => {
    const c = new Cluster();
    c.ps("ps-1");
    c.say(c.link(), { type: "submit", manifest: MANIFEST });
    const again = new Cluster({ records: c.records });
    expect(again.coordinator.status(0).jobs).toEqual([]);
  });

  it("saves only what JSON can say", () => {
    const { c } = training({ replicas: 2 });
    for (const [, value] of c.saves) if (value !== undefined) expect(JSON.parse(jsonOf(value)!)).toEqual(value);
  });

  it("refuses records that it cannot read, naming them", () => {
    const { c } = training();
    const { records } = c;
    expect(() => new Cluster({ records: new Map([...records, ["map", { version: "x" }]]) })).toThrow(
      "the saved partition map cannot be read",
    );
    expect(() => new Cluster({ records: new Map([...records, ["open/1", { name: 7 }]]) })).toThrow(
      "the saved job 1 cannot be read",
    );
  });
});

describe("a PS node whose link broke", () => {
  it("keeps its number and rows where the coordinator had not missed it yet", () => {
    const { c, nodes, client, job } = training();
    const { map } = c;
    const again = c.ps("ps-1", 1);
    expect(c.told(again, "ps-joined").node).toBe(1);
    expect(c.told(again, "open-job").job).toBe(job);
    expect(c.told(again, "map").map).toEqual(map);
    expect(c.closed.get(nodes[0]!)).toBe("this node joined anew");
    c.close(nodes[0]!);
    expect(c.status(client).phase).toBe("training");
  });
});
