/** Jobs whose steps end with a share of their slots: which batches are in a step, and what becomes of the others. */
import { describe, expect, it } from "vitest";
import { bsp } from "@volary/core/consistency";
import { LIMITS } from "@volary/core/limits";
import { batchesOf, finish, started } from "./test-batched-training.ts";

describe("with a quorum", () => {
  const fit = { consistency: bsp({ quorum: 0.5 }) };

  it("a batch that is dropped is trained in a later step, and its worker gets none before it is done", () => {
    const { cluster, a, b } = started({ fit });
    expect([batchesOf(a), batchesOf(b)]).toEqual([[0], [1]]);
    cluster.work(a);
    cluster.settle();
    expect(cluster.counts).toMatchObject({ finished: 1, dropped: 1 });
    expect(a.given).toMatchObject([{ batch: 1, step: 2, slot: 0, term: 1 }]);
    expect(batchesOf(b)).toEqual([1]);
    cluster.work(b); // of step 1
    cluster.settle();
    expect(b.given).toMatchObject([{ batch: 2, step: 2, slot: 1 }]);
    expect(cluster.counts).toMatchObject({ finished: 1, dropped: 1 });
    expect(cluster.status.step).toBe(0);
    cluster.work(a);
    cluster.settle();
    expect(cluster.partitions[0]!.steps).toEqual([[0], [1]]);
    expect(cluster.status).toMatchObject({ step: 1, samples: 10 });
  });

  it("of all waits for all; who is stuck is left out, and may come back", () => {
    const { cluster, a, b, c } = started({ fit: { consistency: bsp({ quorum: 1 }), epochs: 3 } });
    for (let times = 0; times < 8; times++) {
      cluster.work(a);
      cluster.work(b);
      cluster.settle();
    }
    cluster.work(b);
    cluster.passLong(LIMITS.leftOutMsMin);
    cluster.settle();
    expect(cluster.counts).toMatchObject({ finished: 16, dropped: 0, repeated: 0 });
    cluster.passLong(1000);
    expect(c.told(a.link, "end").message).toBe("this worker is too slow for the others, and is left out for 30 s");
    a.isOut = true;
    a.given = [];
    cluster.settle();
    expect(b.term).toMatchObject({ term: 2, members: [{ worker: b.worker }] });
    for (const batch of [16, 17]) {
      expect(batchesOf(b)).toEqual([batch]);
      cluster.work(b);
      cluster.settle();
    }
    cluster.passLong(LIMITS.leftOutMs);
    cluster.settle();
    expect(a.term!.members.map(({ worker }) => worker)).toEqual([b.worker, a.worker]);
    finish(cluster);
    expect(cluster.status).toMatchObject({ phase: "done", samples: 300 });
    expect(cluster.partitions[0]!.steps.flat().toSorted((x, y) => x - y)).toEqual(cluster.batches);
  });

  it("of all waits for its only worker, however late, and for a first batch longer", () => {
    const alone = started({ fit: { consistency: bsp({ quorum: 1 }) }, workersMin: 1 });
    alone.cluster.passLong(2 * LIMITS.leftOutFirstMs);
    expect(alone.a.term!.term).toBe(1);
    expect(alone.cluster.status.term).toBe(1);
    const { cluster, b } = started({ fit: { consistency: bsp({ quorum: 1 }) } });
    cluster.work(b);
    cluster.passLong(LIMITS.leftOutFirstMs);
    expect(cluster.status.term).toBe(1);
    cluster.passLong(1000);
    expect(cluster.status.term).toBe(2);
  });

  it("leaves out who is stuck and alone in a step, so that nothing of it can be dropped", () => {
    const { cluster, a, b } = started({ fit, trainRows: 1 });
    expect([batchesOf(a), batchesOf(b)]).toEqual([[0], []]);
    cluster.passLong(LIMITS.leftOutFirstMs + 1000);
    cluster.settle();
    expect([a.isOut, batchesOf(b)]).toEqual([true, [0]]);
    finish(cluster);
    expect(cluster.status).toMatchObject({ phase: "done", samples: 1 });
  });

  it("of nearly all waits for all, but not for one that is late", () => {
    const { cluster, a, b } = started({ fit: { consistency: bsp({ quorum: 0.9 }) } });
    cluster.work(b);
    cluster.pass(LIMITS.lateMsMin - 1);
    cluster.settle();
    expect(cluster.counts.dropped).toBe(0);
    cluster.pass(2);
    cluster.settle();
    expect(cluster.counts).toMatchObject({ finished: 1, dropped: 1 });
    expect([batchesOf(a), batchesOf(b)]).toEqual([[0], [0]]);
  });

  it("a slot that one node lacks does not count, until it is back and the slot is pushed again", () => {
    const { cluster, a, c, job } = started({ fit, nodes: 2 });
    const [first, second] = [...cluster.nodes.keys()] as [number, number];
    const given = a.given[0]!;
    cluster.work(a, { to: [first] });
    cluster.settle();
    expect(cluster.counts.finished).toBe(0);
    const again = c.ps("ps-2", 2);
    cluster.nodes.set(again, cluster.nodes.get(second)!);
    cluster.nodes.delete(second);
    expect(c.types(again)).toEqual(expect.arrayContaining(["map", "fence", "start"]));
    expect(c.types(again).indexOf("map")).toBeLessThan(c.types(again).indexOf("fence"));
    cluster.push(again, given);
    cluster.settle();
    expect(cluster.counts.finished).toBe(1);
    expect(cluster.status).toMatchObject({ phase: "training", job });
  });

  it("asks again what a node has not answered for a while", () => {
    const { cluster, c } = started({ fit });
    const [node] = [...cluster.nodes.keys()] as [number];
    cluster.pass(LIMITS.resendEveryMs - 1);
    expect(c.types(node)).not.toContain("fence");
    cluster.pass(1);
    expect(c.types(node)).toEqual(["fence", "start"]);
  });

  it("a node that cannot close a step is asked again, or fails the job", () => {
    const { cluster, c, job } = started({ fit });
    const [node] = [...cluster.nodes.keys()] as [number];
    c.say(node, { type: "error", code: "PARTITION_UNAVAILABLE", message: "a row cannot be read", job });
    expect(cluster.status.phase).toBe("training");
    c.say(node, { type: "error", code: "LIMIT_EXCEEDED", message: "no memory for 7 rows", job });
    expect(cluster.status).toMatchObject({
      phase: "failed",
      message: "PS node ps-1 refused a step: no memory for 7 rows",
    });
  });

  it("a node that says what cannot be fails the job, and no more", () => {
    const { cluster, c, job } = started({ fit });
    const [node] = [...cluster.nodes.keys()] as [number];
    c.say(cluster.workers[0]!.link, { type: "term-request", job, term: 1, reason: "a link is lost" });
    const committed = { step: 7, attempt: 1 };
    c.say(node, { type: "promise", job, term: 2, heads: cluster.c.map.heads, committed, whole: true });
    expect(cluster.status.phase).toBe("failed");
    expect(cluster.status.message).toContain("PS node 1 has committed step 7, but the newest is 0");
  });

  it("of more workers than a step has slots is a share of the slots", () => {
    const { cluster, a, b } = started({ fit });
    cluster.join();
    cluster.join();
    cluster.settle();
    for (const worker of [a, b]) cluster.work(worker); // of the step that the new members began anew
    cluster.settle();
    const slots = cluster.workers.filter(({ given }) => given.length > 0);
    expect(slots).toHaveLength(2);
    cluster.work(slots[0]!);
    cluster.settle();
    expect(cluster.counts.finished).toBe(1);
  });

  it("a new term begins the step under way anew", () => {
    const { cluster, a, b, c, job } = started({ fit: { consistency: bsp({ quorum: 1 }) } });
    cluster.work(a);
    c.say(b.link, { type: "term-request", job, term: 1, reason: "a PS node refused a slot" });
    cluster.settle();
    expect(a.given).toMatchObject([{ batch: 0, term: 2, step: 1, slot: 0 }]);
    expect(b.given).toMatchObject([{ batch: 1, term: 1 }]); // which it is to say that it has done
    cluster.work(b);
    cluster.settle();
    expect(b.given).toMatchObject([{ batch: 1, term: 2, step: 1, slot: 1 }]);
    finish(cluster);
    expect(cluster.status).toMatchObject({ phase: "done", samples: 100 });
    expect(cluster.partitions[0]!.steps.flat().toSorted((x, y) => x - y)).toEqual(cluster.batches);
  });
});
