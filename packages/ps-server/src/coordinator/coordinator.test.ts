/** The coordinator by its messages, with a clock that the test moves. */
import { describe, expect, it } from "vitest";
import { LIMITS } from "@volary/core/limits";
import type { Control } from "@volary/core/wire";
import { Coordinator } from "./coordinator.ts";
import { Cluster, commit, DATA, evaluating, MANIFEST, metricsOf, training } from "./test-coordinator.ts";

describe("PS nodes", () => {
  it("that join get numbers and the map, anew each time one joins", () => {
    const c = new Cluster();
    const first = c.ps("ps-1");
    expect(c.told(first, "ps-joined").node).toBe(1);
    const alone = c.told(first, "map").map;
    expect(alone.entries.map(({ chain }) => chain)).toEqual([[1], [1], [1], [1]]);
    const second = c.ps("ps-2");
    expect(c.told(second, "ps-joined").node).toBe(2);
    const [map1, map2] = [c.told(first, "map").map, c.told(second, "map").map];
    expect(map1).toEqual(map2);
    expect(map1.version).toBeGreaterThan(alone.version);
    for (const node of [1, 2]) expect(map1.entries.filter(({ chain }) => chain[0] === node)).toHaveLength(2);
  });

  it("are numbered durably before they are told", () => {
    const coordinator = new Coordinator({});
    const effects = coordinator.handleControl(1, { type: "ps-join", name: "n", address: "ws://n:1" }, 0);
    const saved = effects.findIndex((effect) => effect.kind === "save" && effect.key === "ids");
    const told = effects.findIndex((effect) => effect.kind === "control");
    expect(saved).toBeGreaterThan(-1);
    expect(saved).toBeLessThan(told);
  });

  it("of one name at two addresses are refused, naming the remedy", () => {
    const c = new Cluster();
    c.ps("ps-1");
    const second = c.link();
    c.say(second, { type: "ps-join", name: "ps-1", address: "ws://elsewhere:1" });
    expect(c.told(second, "error")).toMatchObject({
      code: "NAME_TAKEN",
      message: 'a PS node named "ps-1" is in the cluster already, at ws://ps-1:1; give this one another --name',
    });
  });

  it("that join anew from the same address take the place of their old selves, without the rows", () => {
    const { c, nodes, client, job } = training();
    const again = c.ps("ps-1");
    expect(c.told(again, "ps-joined").node).toBe(3);
    expect(c.closed.get(nodes[0]!)).toBe("this node joined anew");
    expect(c.status(client)).toMatchObject({ phase: "failed" });
    expect(c.told(nodes[1]!, "close-job").job).toBe(job);
    const { map } = c.told(again, "map");
    expect(map.nodes.map(({ node }) => node).toSorted((x, y) => x - y)).toEqual([2, 3]);
  });

  it("that are lost fail the jobs whose rows they held, in words that say what to do", () => {
    const { c, nodes, a, b, client, job } = training();
    c.forget();
    c.close(nodes[0]!);
    const message =
      "PS node ps-1 is lost (its connection closed) and its partitions have no replica; run the job again";
    expect(c.status(client)).toMatchObject({ phase: "failed", message });
    for (const { link } of [a, b]) expect(c.told(link, "end")).toEqual({ type: "end", job, phase: "failed", message });
    expect(c.told(nodes[1]!, "close-job")).toEqual({ type: "close-job", job });
    expect(c.told(nodes[1]!, "map").map.entries.every(({ chain }) => chain[0] === 2)).toBe(true);
  });

  it("that are silent too long are lost, and one that beats is not", () => {
    const { c, nodes, client } = training();
    for (let at = 0; at <= LIMITS.heartbeatLostMs; at += 500) {
      c.say(nodes[1]!, { type: "heartbeat", rows: 7, bytes: 700 });
      for (const link of [3, 4]) c.say(link, { type: "heartbeat" });
      c.tick(500);
    }
    expect(c.closed).toEqual(new Map([[nodes[0], "silent for 10 s"]]));
    expect(c.status(client).message).toContain("PS node ps-1 is lost (silent for 10 s)");
    expect(c.coordinator.status(c.now).nodes).toMatchObject([{ name: "ps-2", rows: 7, bytes: 700 }]);
  });

  it("that are lost while a job is being opened end it, and its client hears so", () => {
    const c = new Cluster();
    const nodes = [c.ps("ps-1"), c.ps("ps-2")];
    const client = c.link();
    c.say(client, { type: "submit", manifest: MANIFEST });
    c.say(nodes[0]!, { type: "job-opened", job: 1 });
    c.close(nodes[1]!);
    expect(c.told(client, "error")).toMatchObject({ code: "PARTITION_UNAVAILABLE", job: 1 });
    c.say(nodes[0]!, { type: "job-opened", job: 1 });
    expect(c.types(client)).toEqual([]);
  });

  it("that cannot open a job's tables end it, and its client hears why", () => {
    const c = new Cluster();
    const node = c.ps("ps-1");
    const client = c.link();
    c.say(client, { type: "submit", manifest: MANIFEST });
    c.say(node, { type: "error", code: "BAD_JOB", message: "two tables have id 3", job: 1 });
    expect(c.told(client, "error")).toEqual({
      type: "error",
      code: "BAD_JOB",
      message: "PS node ps-1: two tables have id 3",
      job: 1,
    });
    expect(c.coordinator.status(0).jobs).toMatchObject([{ phase: "stopped" }]);
    expect(c.told(node, "close-job").job).toBe(1);
  });
});

describe("jobs", () => {
  it("are refused where there is no PS node", () => {
    const c = new Cluster();
    const client = c.link();
    c.say(client, { type: "submit", manifest: MANIFEST });
    expect(c.told(client, "error")).toMatchObject({ code: "PARTITION_UNAVAILABLE" });
  });

  it("are submitted once every PS node has opened their tables", () => {
    const c = new Cluster();
    const nodes = [c.ps("ps-1"), c.ps("ps-2")];
    const client = c.link();
    c.say(client, { type: "submit", manifest: MANIFEST });
    for (const node of nodes) expect(c.told(node, "open-job")).toMatchObject({ job: 1, seed: 1, tables: [{ id: 0 }] });
    c.say(nodes[0]!, { type: "job-opened", job: 1 });
    c.say(nodes[0]!, { type: "job-opened", job: 1 });
    expect(c.types(client)).toEqual([]);
    c.say(nodes[1]!, { type: "job-opened", job: 1 });
    expect(c.told(client, "submitted")).toMatchObject({ job: 1, map: c.coordinator.map });
  });

  it("begin when enough workers are ready, in term 1, ranks by seniority", () => {
    const c = new Cluster();
    const nodes = [c.ps("ps-1")];
    const { client, job } = c.run(nodes);
    const b = c.worker("b");
    c.ready(b.link, job);
    expect(c.status(client).phase).toBe("waiting");
    const a = c.worker("a");
    c.ready(a.link, job);
    const term: Control = {
      type: "term",
      job,
      term: 1,
      heads: 1,
      members: [
        { worker: b.worker, address: "ws://b:1" },
        { worker: a.worker, address: "ws://a:1" },
      ],
    };
    expect(c.told(a.link, "term")).toEqual(term);
    expect(c.told(b.link, "term")).toEqual(term);
    expect(c.status(client)).toMatchObject({ phase: "training", workers: 2, term: 1, steps: 100, testRows: 40_000 });
  });

  it("that nobody has heard of are named as such", () => {
    const c = new Cluster();
    const link = c.link();
    for (const type of ["run-job", "stop-job", "close-job", "watch", "commits-request"] as const) {
      c.say(link, { type, job: 77 });
      expect(c.told(link, "error")).toMatchObject({ code: "UNKNOWN_JOB", job: 77 });
    }
  });

  it("go on without their client", () => {
    const { c, a, client } = training();
    c.close(client);
    commit(c, a.link, 1, 1);
    expect(c.coordinator.status(0).jobs).toMatchObject([{ phase: "training", step: 1 }]);
  });

  it("that were not run yet are closed with their client", () => {
    const c = new Cluster();
    const node = c.ps("ps-1");
    const client = c.link();
    c.say(client, { type: "submit", manifest: MANIFEST });
    c.close(client);
    expect(c.told(node, "close-job").job).toBe(1);
    c.say(node, { type: "job-opened", job: 1 });
    expect(c.coordinator.status(0).jobs).toMatchObject([
      { phase: "stopped", message: "its client left before it was run" },
    ]);
  });

  it("that are stopped free their workers for the next", () => {
    const { c, nodes, a, b, client, job } = training();
    c.say(client, { type: "stop-job", job });
    expect(c.told(a.link, "end")).toMatchObject({ phase: "stopped", message: "stopped by its owner" });
    const second = c.run(nodes, { ...MANIFEST, name: "second" });
    for (const { link } of [a, b]) expect(c.told(link, "assign")).toMatchObject({ job: second.job });
  });

  it("fail with the words of the worker that says so", () => {
    const { c, b, client, job } = training();
    c.say(b.link, { type: "fail", job, code: "NAN_LOSS", message: "the loss is not a number" });
    expect(c.status(client)).toMatchObject({ phase: "failed", message: "the loss is not a number" });
  });

  it("fail where the data has no rows", () => {
    const c = new Cluster();
    const { client, job } = c.run([c.ps("ps-1")]);
    const a = c.worker("a");
    c.ready(a.link, job, { ...DATA, trainRows: 0 });
    expect(c.status(client)).toMatchObject({ phase: "failed", message: "the data set has no training rows" });
  });

  it("count each commit once, in order, and lease steps to the leader alone", () => {
    const { c, a, b, client, job } = training();
    c.say(b.link, { type: "lease-request", job, purpose: "train", term: 1 });
    expect(c.types(b.link)).not.toContain("lease");
    c.say(a.link, { type: "lease-request", job, purpose: "train", term: 1 });
    expect(c.told(a.link, "lease")).toMatchObject({ from: 1, to: 65 });
    commit(c, a.link, job, 1);
    commit(c, a.link, job, 1);
    commit(c, a.link, job, 3); // a gap
    commit(c, a.link, job, 2);
    expect(c.status(client)).toMatchObject({ step: 2, samples: 20, loss: 0.5 });
    c.say(client, { type: "commits-request", job });
    expect(c.told(client, "commits")).toMatchObject({
      commits: [
        { step: 1, attempt: 1 },
        { step: 2, attempt: 1 },
      ],
      terms: [{ term: 1, members: [a.worker, b.worker] }],
    });
    for (const [upTo, lease] of [
      [64, { from: 65, to: 101 }],
      [100, undefined],
    ] as const) {
      for (let step = c.status(client).step + 1; step <= upTo; step++) commit(c, a.link, job, step);
      c.say(a.link, { type: "lease-request", job, purpose: "train", term: 1 });
      if (lease) expect(c.told(a.link, "lease")).toMatchObject(lease);
      else expect(c.told(a.link, "no-lease")).toMatchObject({ purpose: "train", reason: "done" });
    }
  });

  it("are not trained before all their steps are reported", () => {
    const { c, a, job, client } = training();
    c.say(a.link, { type: "trained", job, term: 1, step: 100 });
    expect(c.told(a.link, "error").message).toContain("ended at step 100 but 0 commits were reported");
    expect(c.status(client).phase).toBe("training");
  });
});

describe("workers", () => {
  it("that serve another job, or none, have no say in this one", () => {
    const { c, nodes, job } = training();
    const second = c.run(nodes, { ...MANIFEST, name: "second" });
    const other = c.worker("other");
    const stranger = c.link();
    const messages: Control[] = [
      { type: "ready", job: second.job, ...DATA },
      { type: "term-request", job: second.job, term: 1, reason: "x" },
      { type: "lease-request", job: second.job, purpose: "train", term: 1 },
      { type: "progress", job: second.job, term: 1, commits: [] },
      { type: "trained", job: second.job, term: 1, step: 1 },
      { type: "evaluated", job: second.job, lease: 1, metrics: metricsOf(1) },
      { type: "bad-rows", job: second.job, scope: "data", count: 1, first: [] },
      { type: "fail", job: second.job, code: "X", message: "x" },
    ];
    for (const message of messages) {
      for (const link of [other.link, stranger]) {
        c.say(link, message);
        expect(c.told(link, "error")).toMatchObject({ code: "NOT_A_MEMBER", job: second.job });
      }
    }
    expect(c.coordinator.status(0).workers.find(({ name }) => name === "other")?.job).toBe(job);
  });

  it("that are lost raise the term; the survivors go on, their leader the most senior", () => {
    const { c, a, b, job, client } = training();
    c.close(a.link);
    expect(c.told(b.link, "term").term).toBe(1);
    expect(c.told(b.link, "term")).toMatchObject({ job, term: 2, members: [{ worker: b.worker }] });
    expect(c.status(client)).toMatchObject({ phase: "training", workers: 1, term: 2 });
  });

  it("that are silent too long are lost", () => {
    const { c, nodes, a, b } = training();
    for (let at = 0; at <= LIMITS.heartbeatLostMs; at += 500) {
      for (const link of [...nodes, b.link]) c.say(link, { type: "heartbeat" });
      c.tick(500);
    }
    expect(c.closed).toEqual(new Map([[a.link, "silent for 10 s"]]));
    expect(c.told(b.link, "term").term).toBe(1);
    expect(c.told(b.link, "term").members).toHaveLength(1);
  });

  it("that open a job may be silent longer, since nobody waits for them", () => {
    const { c, nodes, a, b } = training();
    const late = c.worker("late");
    const pass = (ms: number) => {
      for (let at = 0; at <= ms; at += 500) {
        for (const link of [...nodes, a.link, b.link]) c.say(link, { type: "heartbeat" });
        c.tick(500);
      }
    };
    pass(LIMITS.openingLostMs - 1000);
    expect(c.closed).toEqual(new Map());
    pass(1000);
    expect(c.closed).toEqual(new Map([[late.link, "silent for 60 s"]]));
  });

  it("that join in the middle of training raise the term and are junior", () => {
    const { c, a, b, job } = training();
    c.forget();
    const late = c.worker("late");
    c.ready(late.link, job);
    const { members, term } = c.told(late.link, "term");
    expect(term).toBe(2);
    expect(members.map((m) => m.worker)).toEqual([a.worker, b.worker, late.worker]);
  });

  it("stay senior when a lower number comes back in", () => {
    const { c, a, b, job } = training();
    c.close(a.link);
    const late = c.worker("late");
    c.ready(late.link, job);
    expect(c.told(late.link, "term").members.map((m) => m.worker)).toEqual([b.worker, late.worker]);
  });

  it("may ask for a new term, once per term", () => {
    const { c, a, b, job } = training();
    c.forget();
    c.say(b.link, { type: "term-request", job, term: 1, reason: "the link to worker 1 closed" });
    c.say(a.link, { type: "term-request", job, term: 1, reason: "the link to worker 2 closed" });
    expect(c.types(a.link)).toEqual(["term"]);
    expect(c.told(a.link, "term").term).toBe(2);
  });

  it("of which none is left fail the job, for the dense weights are gone", () => {
    const { c, a, b, client } = training();
    c.close(b.link);
    c.close(a.link);
    expect(c.status(client).phase).toBe("failed");
    expect(c.status(client).message).toContain("the last worker is lost");
  });

  it("that see other data are sent away and not asked again", () => {
    const { c, job } = training();
    const odd = c.worker("odd");
    c.ready(odd.link, job, { ...DATA, testRows: 1, fingerprint: "other" });
    expect(c.told(odd.link, "end").message).toContain("give every worker the same file");
    c.worker("another"); // new assignments are made
    expect(c.types(odd.link)).toEqual([]);
  });

  it("that are ready too late to train are free for another job, and do not hold up the evaluation", () => {
    const cluster = training();
    const { c, a, b, job, client } = cluster;
    const late = c.worker("late");
    c.told(late.link, "assign");
    evaluating(cluster);
    c.say(late.link, { type: "ready", job, ...DATA });
    expect(c.told(late.link, "end").phase).toBe("evaluating");
    c.close(a.link);
    c.close(b.link);
    expect(c.status(client).phase).toBe("failed");
  });
});

describe("the coordinator", () => {
  it("refuses messages that are not for it", () => {
    const c = new Cluster();
    expect(() => c.say(c.link(), { type: "fence", job: 1, term: 1, heads: 1 })).toThrow(
      'the coordinator takes no "fence" message',
    );
  });

  it("that starts again goes on counting where the last one was, and no old chain keeps its generation", () => {
    const first = new Cluster();
    first.ps("ps-1");
    first.ps("ps-2");
    first.worker("a");
    const before = first.coordinator.map!;
    const second = new Cluster({ records: first.records });
    const again = second.ps("ps-1");
    expect(second.told(again, "ps-joined").node).toBe(3);
    expect(second.worker("b").worker).toBe(2);
    const after = second.told(again, "map").map;
    expect(after.version).toBeGreaterThan(before.version);
    after.entries.forEach((entry, p) => expect(entry.generation).toBeGreaterThan(before.entries[p]!.generation));
  });

  it("tells whoever asks who is there", () => {
    const { c, client } = training();
    c.say(client, { type: "status-request" });
    expect(c.told(client, "status").status).toMatchObject({
      nodes: [
        { node: 1, name: "ps-1", alive: true, partitions: 2 },
        { node: 2, name: "ps-2", alive: true, partitions: 2 },
      ],
      workers: [
        { worker: 1, name: "a", job: 1, backend: "cpu" },
        { worker: 2, name: "b", job: 1, backend: "cpu" },
      ],
      jobs: [{ job: 1, phase: "training" }],
    });
  });
});
