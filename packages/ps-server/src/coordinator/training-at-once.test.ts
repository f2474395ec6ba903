/** Jobs whose gradients are applied as they come: who gets which batch, and what becomes of those that are late or lost. */
import { describe, expect, it } from "vitest";
import { asp, ssp } from "@volary/core/consistency";
import { LIMITS } from "@volary/core/limits";
import { batchesOf, finish, started } from "./test-batched-training.ts";

describe("where gradients are applied at once", () => {
  it("each worker has three batches, is told the settled ones, and trains all in their order", () => {
    const { cluster, a, b } = started({ fit: { consistency: asp() } });
    expect([batchesOf(a), batchesOf(b)]).toEqual([
      [0, 2, 4],
      [1, 3, 5],
    ]);
    expect(a.given[0]).toMatchObject({ job: cluster.job, term: 1, settled: 0, begun: 0, slowest: 0, step: 1, slot: 0 });
    expect(b.given[1]).toMatchObject({ batch: 3, begun: 1, step: 2, slot: 1 });
    cluster.work(a);
    cluster.work(b);
    cluster.settle();
    expect(a.given.at(-1)).toMatchObject({ batch: 6, settled: 1, begun: 3, slowest: 0, step: 4 });
    expect(b.given.at(-1)).toMatchObject({ batch: 7, settled: 2, slowest: 1 });
    expect(cluster.status).toMatchObject({ step: 1, samples: 10, loss: 0.5 });
    finish(cluster);
    expect(cluster.status).toMatchObject({ phase: "done", step: 10, samples: 100 });
    expect(cluster.counts).toEqual({
      finished: 20,
      dropped: 0,
      repeated: 0,
      stalenessMax: 3,
      rounds: 0,
      cachedRows: 80,
      rows: 200,
    });
  });

  it("each worker has two where it keeps rows, which are older for each batch that it is given ahead", () => {
    const { cluster, a, b } = started({ fit: { consistency: asp(), cache: { stalenessSteps: 8 } } });
    expect([batchesOf(a), batchesOf(b)]).toEqual([
      [0, 2],
      [1, 3],
    ]);
    finish(cluster);
    expect(cluster.status).toMatchObject({ phase: "done", samples: 100 });
  });

  it("batches that no sample falls to are given to nobody", () => {
    const { cluster } = started({ fit: { consistency: asp() }, trainRows: 21, workersMin: 3 });
    finish(cluster);
    expect(cluster.grants.map(({ batch }) => batch.batch)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(cluster.status).toMatchObject({ phase: "done", step: 3, samples: 21 });
  });

  it("no more are given than the PS remember the names of", () => {
    const { cluster, a, b } = started({ fit: { consistency: asp(), batchSize: 2 }, trainRows: 3000 });
    for (let times = 0; times < LIMITS.batchesOpenMax + 10 && b.given.length > 0; times++) {
      cluster.work(b);
      cluster.settle();
    }
    expect(Math.max(...cluster.grants.map(({ batch }) => batch.batch))).toBe(LIMITS.batchesOpenMax - 1);
    expect(batchesOf(a)).toEqual([0, 2, 4]);
    cluster.work(a);
    cluster.settle();
    const next = [LIMITS.batchesOpenMax, LIMITS.batchesOpenMax + 1];
    expect([batchesOf(a), batchesOf(b)]).toEqual([[2, 4], next]);
  });

  it("a lost worker's batches are given to others at once, under their own names", () => {
    const { cluster, a, b } = started({ fit: { consistency: asp() } });
    cluster.work(b);
    cluster.settle();
    cluster.lose(a);
    cluster.settle();
    expect(batchesOf(b)).toEqual([3, 5, 6]);
    cluster.work(b);
    cluster.settle();
    expect(b.given.at(-1)).toMatchObject({ batch: 0, term: 2, settled: 0 });
    expect(cluster.counts.repeated).toBe(3);
    finish(cluster);
    expect(cluster.status).toMatchObject({ phase: "done", samples: 100, term: 2 });
  });

  it("what was trained after a validation, when training ends within a step, is evaluated, too", () => {
    const fit = { consistency: asp(), validate: { everySteps: 2 } } as const;
    const { cluster, a, b, c, job } = started({ fit, testRows: 10 });
    for (const worker of [a, b, a, b]) cluster.work(worker);
    cluster.settle();
    expect(cluster.status).toMatchObject({ step: 2, validation: { step: 2 } });
    expect([batchesOf(a), batchesOf(b)]).toEqual([
      [4, 6],
      [5, 7],
    ]);
    c.say(cluster.client, { type: "finish-job", job, reason: "enough" });
    cluster.lose(b);
    cluster.work(a);
    cluster.work(a);
    expect(c.types(a.link)).toContain("evaluate");
    cluster.settle();
    expect(cluster.status).toMatchObject({ phase: "done", step: 2, validation: { step: 2 } });
    expect(cluster.counts.finished).toBe(6);
  });

  it("a late batch is given to an idle worker as well, and the first that is done counts", () => {
    const { cluster, a, b } = started({ fit: { consistency: asp() }, trainRows: 20 });
    cluster.work(b);
    cluster.work(b);
    cluster.settle();
    expect([batchesOf(a), batchesOf(b)]).toEqual([[0, 2], []]);
    cluster.pass(LIMITS.lateMsMin - 1);
    cluster.settle();
    expect(batchesOf(b)).toEqual([]);
    cluster.pass(2);
    cluster.settle();
    expect(batchesOf(b)).toEqual([0]);
    cluster.work(b);
    cluster.pass(1);
    cluster.settle();
    expect(batchesOf(b)).toEqual([2]);
    cluster.work(a);
    expect(cluster.counts).toMatchObject({ finished: 3, repeated: 2 });
    cluster.work(b);
    cluster.settle();
    expect(cluster.status).toMatchObject({ phase: "done", samples: 20 });
  });

  it("what is no batch of the worker, or has other samples, changes nothing", () => {
    const { cluster, a, b, c, job } = started({ fit: { consistency: asp() } });
    const { lease, batch } = a.given[0]!;
    const done = { type: "batch-done", job, lease, batch, samples: 5, lossSum: 1, computeMs: 1 } as const;
    c.say(b.link, done);
    c.say(a.link, { ...done, batch: 2 });
    c.say(a.link, { ...done, samples: 6 });
    expect(c.told(a.link, "error").message).toContain("batch 0 with 6 samples, but it has 5");
    c.say(a.link, { type: "progress", job, term: 1, commits: [{ step: 1, attempt: 1, samples: 10, lossSum: 5 }] });
    c.say(a.link, { type: "trained", job, term: 1, step: 0 });
    c.say(a.link, { type: "lease-request", job, purpose: "train", term: 1 });
    expect(cluster.counts.finished).toBe(0);
    expect(cluster.status).toMatchObject({ phase: "training", step: 0 });
    expect(c.tellings(a.link)).toEqual([]);
    c.say(a.link, done);
    c.say(a.link, done);
    expect(cluster.counts.finished).toBe(1);
  });

  it("with bounded delay nobody is far ahead, and a slow one is waited for", () => {
    const { cluster, a, b } = started({ fit: { consistency: ssp({ stalenessSteps: 2 }) } });
    for (let times = 0; times < 5 && b.given.length > 0; times++) {
      cluster.work(b);
      cluster.settle();
    }
    cluster.pass(LIMITS.lateMsMin);
    cluster.settle();
    expect([b.done, batchesOf(a), batchesOf(b)]).toEqual([3, [0, 2, 4], []]);
    cluster.work(a);
    cluster.settle();
    expect(batchesOf(b)).toHaveLength(1);
    expect(cluster.counts).toMatchObject({ stalenessMax: 2, repeated: 0 });
  });

  it("with bounded delay one that is stuck is waited for until others have done its batches, and then no more", () => {
    const { cluster, a, b } = started({ fit: { consistency: ssp({ stalenessSteps: 0 }) } });
    expect([batchesOf(a), batchesOf(b)]).toEqual([[0], [1]]);
    cluster.work(b);
    cluster.settle();
    expect(batchesOf(b)).toEqual([]);
    cluster.pass(LIMITS.lateMsMin + 1);
    cluster.settle();
    expect(b.given).toMatchObject([{ batch: 0, begun: 1, slowest: 0 }]); // a step of the other one's
    for (const batch of [0, 2, 3]) {
      expect(batchesOf(b)).toEqual([batch]);
      cluster.work(b);
      cluster.settle();
    }
    expect(batchesOf(a)).toEqual([0]);
    expect(cluster.counts).toMatchObject({ finished: 4, repeated: 1, stalenessMax: 0 });
    cluster.work(a); // which was done by the other one
    cluster.settle();
    expect(cluster.counts.finished).toBe(4);
    const [of] = b.given;
    expect(a.given).toMatchObject([{ batch: 5, begun: of!.begun, slowest: of!.slowest }]);
    cluster.work(b);
    cluster.settle();
    expect(batchesOf(b)).toEqual([]); // it waits for the other one again
    finish(cluster);
    expect(cluster.status).toMatchObject({ phase: "done", samples: 100 });
    expect(cluster.counts).toMatchObject({ finished: 20, stalenessMax: 0 });
  });

  it("with bounded delay a lost worker's late batch still holds others back while one of them trains it", () => {
    const { cluster, a, b } = started({ fit: { consistency: ssp({ stalenessSteps: 0 }) }, workersMin: 3 });
    const other = cluster.workers[2]!;
    cluster.work(b);
    cluster.work(other);
    cluster.settle();
    cluster.pass(LIMITS.lateMsMin + 1);
    cluster.settle();
    cluster.lose(a);
    cluster.settle();
    expect([batchesOf(b), batchesOf(other)]).toEqual([[0], []]);
    cluster.work(b);
    cluster.settle();
    expect(batchesOf(other)).toHaveLength(1);
  });

  it("a worker that joins begins where the slowest is", () => {
    const { cluster, a, b } = started({ fit: { consistency: ssp({ stalenessSteps: 0 }) } });
    for (let times = 0; times < 3; times++) {
      cluster.work(a);
      cluster.work(b);
      cluster.settle();
    }
    const late = cluster.join();
    cluster.settle();
    expect(late.given).toMatchObject([{ term: 2, begun: 3, slowest: 3 }]);
    expect(a.term!.members.map(({ worker }) => worker)).toContain(late.worker);
  });

  it("a worker that is not in the job yet holds nobody up, whatever it says", () => {
    const { cluster, a, b, c, job } = started({ fit: { consistency: ssp({ stalenessSteps: 0 }) } });
    const { link } = c.worker("late");
    c.say(link, { type: "dense-ready", job, round: 0 });
    for (const worker of [a, b, a, b]) {
      cluster.work(worker);
      cluster.settle();
    }
    expect([a.done, b.done]).toEqual([2, 2]);
  });

  it("other heads are a new term, and nothing is given again", () => {
    const { cluster, a } = started({ fit: { consistency: asp() }, nodes: 2, replicas: 2 });
    cluster.loseNode([...cluster.nodes.keys()][0]!);
    cluster.settle();
    expect(a.term).toMatchObject({ term: 2, heads: cluster.c.map.heads });
    expect(batchesOf(a)).toEqual([0, 2, 4]);
    expect(cluster.counts.repeated).toBe(0);
  });
});
