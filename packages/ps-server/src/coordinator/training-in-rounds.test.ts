/** Jobs whose workers average dense weights in rounds: when a round is called, who is in it, and what it finishes. */
import { describe, expect, it } from "vitest";
import { localSgd } from "@volary/core/consistency";
import { LIMITS } from "@volary/core/limits";
import { batchesOf, finish, started } from "./test-batched-training.ts";

describe("with rounds", () => {
  it("batches are finished when their round is, and a round is called when its batches are done", () => {
    const { cluster, a, b, c } = started({ fit: { consistency: localSgd({ every: 2 }) } });
    cluster.work(a);
    cluster.work(b);
    cluster.work(b);
    cluster.settle();
    expect(batchesOf(b)).toEqual([]);
    expect(cluster.counts).toMatchObject({ finished: 0, rounds: 0 });
    cluster.work(a);
    expect(c.types(a.link)).toEqual(["call-round"]);
    cluster.settle();
    expect(cluster.counts).toMatchObject({ finished: 4, rounds: 1 });
    expect([batchesOf(a), batchesOf(b)]).toEqual([
      [4, 6],
      [5, 7],
    ]);
    finish(cluster);
    expect(cluster.status).toMatchObject({ phase: "done", samples: 100 });
  });

  it("a batch that is trained again is settled, but not in its own name", () => {
    const { cluster, a, b } = started({ fit: { consistency: localSgd({ every: 4 }) } });
    for (const worker of [a, b, a, b]) cluster.work(worker);
    cluster.settle();
    cluster.lose(a);
    cluster.settle();
    for (let times = 0; times < 2; times++) cluster.work(b);
    cluster.settle();
    expect(b.given.map(({ batch, settled }) => [batch, settled])).toContainEqual([0, 0]);
    expect(cluster.counts).toMatchObject({ finished: 4, rounds: 1, repeated: 4 });
  });

  it("who is stuck is left out of the next one, and what it trained since the last is trained again", () => {
    const { cluster, a, b } = started({ fit: { consistency: localSgd({ every: 4 }), epochs: 2 } });
    cluster.work(a);
    while (b.given.length > 0) {
      cluster.work(b);
      cluster.settle();
    }
    const stuck = batchesOf(a);
    expect([a.since, stuck.length]).toEqual([[0], 3]);
    cluster.passLong(LIMITS.leftOutFirstMs + 1000);
    cluster.settle();
    expect([a.isOut, b.term!.members.length]).toEqual([true, 1]);
    expect(cluster.counts.repeated).toBe(4);
    for (let times = 0; times < 8; times++) {
      cluster.work(b);
      cluster.settle();
    }
    cluster.passLong(LIMITS.leftOutMs);
    cluster.settle();
    expect([a.isOut, batchesOf(a), a.term!.members.length]).toEqual([false, [], 2]);
    const { rounds } = cluster.counts;
    finish(cluster);
    expect(cluster.status).toMatchObject({ phase: "done", samples: 200 });
    expect(cluster.rounds.flat().toSorted((x, y) => x - y)).toEqual(cluster.batches);
    expect(a.round).toBe(cluster.counts.rounds);
    expect(cluster.counts.rounds).toBeGreaterThan(rounds);
  });

  it("who does not come to a round is left out of it, unless the others have no weights to go on with", () => {
    const { cluster, a, b, c } = started({ fit: { consistency: localSgd({ every: 1 }) } });
    cluster.work(a);
    cluster.work(b);
    cluster.heed(a.link); // it holds the mean, the other one does not
    expect(c.types(b.link)).toEqual(["call-round"]);
    cluster.passLong(LIMITS.leftOutFirstMs);
    expect(cluster.status.term).toBe(1);
    cluster.passLong(1000);
    cluster.settle();
    expect([b.isOut, cluster.counts.rounds, cluster.rounds]).toEqual([true, 1, [[0]]]);
    cluster.passLong(LIMITS.leftOutMs);
    cluster.settle();
    expect([b.isOut, b.round]).toEqual([false, 0]);
    cluster.passLong(2 * LIMITS.leftOutFirstMs); // the one with the weights is stuck
    expect(a.isOut).toBe(false);
    finish(cluster);
    expect(cluster.status).toMatchObject({ phase: "done", samples: 100 });
    expect(cluster.rounds.flat().toSorted((x, y) => x - y)).toEqual(cluster.batches);
  });

  it("by time is called so long after its first batch, once what is out is done", () => {
    const { cluster, a, b, c } = started({ fit: { consistency: localSgd({ every: { seconds: 3 } }) } });
    for (let second = 0; second < 3; second++) {
      cluster.work(a);
      cluster.work(b);
      cluster.settle();
      cluster.pass(1000);
    }
    for (const worker of [a, a, a, b, b]) cluster.work(worker);
    cluster.settle();
    expect([batchesOf(a), batchesOf(b)]).toEqual([[], [11]]);
    expect(c.types(a.link)).toEqual([]);
    cluster.work(b);
    cluster.settle();
    expect(cluster.counts).toMatchObject({ finished: 12, rounds: 1 });
    expect(batchesOf(a)).toHaveLength(3);
  });

  it("rank 0 stores the dense weights at the end, and its successor where it is lost", () => {
    const { cluster, a, b, c } = started({ fit: { consistency: localSgd({ every: 1 }) }, trainRows: 10 });
    cluster.work(a);
    cluster.work(b);
    while (!c.types(a.link).includes("store-dense")) {
      cluster.heed(a.link);
      cluster.heed(b.link);
    }
    expect(c.told(a.link, "store-dense")).toMatchObject({ term: 1, step: 1 });
    cluster.lose(a);
    expect(c.types(b.link)).toContain("store-dense");
    cluster.settle();
    expect(cluster.status).toMatchObject({ phase: "done", term: 2, step: 1 });
  });

  it("a worker that joins trains and evaluates once it has the dense weights of a round", () => {
    const fit = { consistency: localSgd({ every: 1 }), validate: { everySteps: 2 } } as const;
    const { cluster, a, b, c } = started({ fit, testRows: 10 });
    cluster.work(a);
    cluster.work(b);
    cluster.settle();
    const late = cluster.join();
    cluster.settle();
    expect(batchesOf(late)).toEqual([]);
    cluster.work(a);
    cluster.work(b);
    cluster.heed(a.link); // the call
    cluster.heed(b.link);
    expect(c.types(late.link)).toEqual(["call-round"]);
    cluster.heed(late.link);
    expect(c.types(a.link)).toEqual(["commit-round", "evaluate"]);
    expect(c.types(late.link)).toEqual(["commit-round"]);
    cluster.heed(a.link); // which sends it the weights
    expect(c.types(late.link)).toEqual(["commit-round", "evaluate"]);
    cluster.settle();
    expect(batchesOf(late)).toHaveLength(1);
    finish(cluster);
    expect(cluster.status).toMatchObject({ phase: "done", samples: 100, validation: { step: 10 } });
  });

  it("rank 0 has the dense weights, though another member joined before it that lacks them", () => {
    const { cluster, a, b, c } = started({ fit: { consistency: localSgd({ every: 1 }) }, workersMin: 1 });
    expect(b).toBeUndefined();
    cluster.work(a);
    cluster.settle();
    const [slow, quick] = [cluster.join(), cluster.join()];
    cluster.settle();
    cluster.work(a);
    cluster.heed(a.link); // the call
    cluster.heed(slow.link);
    cluster.heed(quick.link);
    cluster.workers.splice(cluster.workers.indexOf(slow), 1); // what is sent to it takes its time
    cluster.heed(a.link); // the commit
    cluster.workers.push(slow);
    expect(c.types(quick.link)).toContain("batch");
    cluster.lose(a);
    cluster.settle();
    expect(quick.term!.members.map(({ worker }) => worker)).toEqual([quick.worker, slow.worker]);
    finish(cluster);
    expect(cluster.status).toMatchObject({ phase: "done", samples: 100 });
    expect(slow.round).toBe(cluster.counts.rounds);
  });

  it("the job has failed when the last worker with the dense weights is lost", () => {
    const { cluster, a } = started({ fit: { consistency: localSgd({ every: 1 }) }, workersMin: 1 });
    cluster.work(a);
    cluster.settle();
    cluster.join();
    cluster.settle();
    cluster.lose(a);
    expect(cluster.status).toMatchObject({ phase: "failed" });
    expect(cluster.status.message).toContain("and with it the dense weights");
  });
});
