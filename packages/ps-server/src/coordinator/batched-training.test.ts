/** Jobs whose batches the coordinator gives out: who gets which, and what becomes of those that are late or lost. */
import { describe, expect, it } from "vitest";
import { asp, bsp, localSgd, ssp } from "@volary/core/consistency";
import { LIMITS } from "@volary/core/limits";
import { BatchedCluster, type BatchedOptions, type ModelWorker } from "./test-batched-training.ts";

function started(options: BatchedOptions) {
  const cluster = new BatchedCluster(options);
  cluster.settle();
  const [a, b] = cluster.workers as [ModelWorker, ModelWorker];
  return { cluster, a, b, c: cluster.c, job: cluster.job };
}

/** All train until nobody has anything to do. */
function finish(cluster: BatchedCluster): void {
  for (let turns = 0; !cluster.isOver && turns < 2000; turns++) {
    for (const worker of cluster.workers) if (worker.given.length > 0) cluster.work(worker);
    cluster.settle();
  }
}

const batchesOf = ({ given }: ModelWorker) => given.map(({ batch }) => batch);

describe("where gradients are applied at once", () => {
  it("each worker has two batches, is told the settled ones, and trains all in their order", () => {
    const { cluster, a, b } = started({ fit: { consistency: asp() } });
    expect([batchesOf(a), batchesOf(b)]).toEqual([
      [0, 2],
      [1, 3],
    ]);
    expect(a.given[0]).toMatchObject({ job: cluster.job, term: 1, settled: 0, begun: 0, slowest: 0, step: 1, slot: 0 });
    expect(b.given[1]).toMatchObject({ batch: 3, begun: 1, step: 2, slot: 1 });
    cluster.work(a);
    cluster.work(b);
    cluster.settle();
    expect(a.given.at(-1)).toMatchObject({ batch: 4, settled: 1, begun: 2, slowest: 0, step: 3 });
    expect(b.given.at(-1)).toMatchObject({ batch: 5, settled: 2, slowest: 1 });
    expect(cluster.status).toMatchObject({ step: 1, samples: 10, loss: 0.5 });
    finish(cluster);
    expect(cluster.status).toMatchObject({ phase: "done", step: 10, samples: 100 });
    expect(cluster.counts).toEqual({
      finished: 20,
      dropped: 0,
      repeated: 0,
      stalenessMax: 2,
      rounds: 0,
      cachedRows: 80,
      rows: 200,
    });
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
    expect(batchesOf(a)).toEqual([0, 2]);
    cluster.work(a);
    cluster.settle();
    expect(batchesOf(a)).toEqual([2, LIMITS.batchesOpenMax + 1]);
  });

  it("a lost worker's batches are given to others at once, under their own names", () => {
    const { cluster, a, b } = started({ fit: { consistency: asp() } });
    cluster.work(b);
    cluster.settle();
    cluster.lose(a);
    cluster.settle();
    expect(batchesOf(b)).toEqual([3, 4]);
    cluster.work(b);
    cluster.settle();
    expect(b.given.at(-1)).toMatchObject({ batch: 0, term: 2, settled: 0 });
    expect(cluster.counts.repeated).toBe(2);
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
    expect([b.done, batchesOf(a), batchesOf(b)]).toEqual([3, [0, 2], []]);
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
    expect(batchesOf(a)).toEqual([0, 2]);
    expect(cluster.counts.repeated).toBe(0);
  });
});

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
    expect([a.since, stuck.length]).toEqual([[0], 2]);
    cluster.passLong(LIMITS.leftOutFirstMs + 1000);
    cluster.settle();
    expect([a.isOut, b.term!.members.length]).toEqual([true, 1]);
    expect(cluster.counts.repeated).toBe(3);
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
    cluster.work(a);
    cluster.work(a);
    cluster.work(b);
    cluster.settle();
    expect([batchesOf(a), batchesOf(b)]).toEqual([[], [9]]);
    expect(c.types(a.link)).toEqual([]);
    cluster.work(b);
    cluster.settle();
    expect(cluster.counts).toMatchObject({ finished: 10, rounds: 1 });
    expect(batchesOf(a)).toHaveLength(2);
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

describe.each([
  ["at once", asp()],
  ["a quorum", bsp({ quorum: 1 })],
  ["rounds", localSgd({ every: 3 })],
])("training with %s", (_, consistency) => {
  it("ends early when its client says so: what is out is finished, and evaluated", () => {
    const { cluster, a, b, c, job } = started({ fit: { consistency }, testRows: 10 });
    cluster.work(a);
    cluster.settle();
    c.say(cluster.client, { type: "finish-job", job, reason: "enough" });
    const given = cluster.grants.length;
    for (const worker of [a, b]) while (worker.given.length > 0) cluster.work(worker);
    cluster.settle();
    expect(cluster.grants).toHaveLength(given);
    expect(cluster.status).toMatchObject({ phase: "done", message: "enough", evaluated: 10, metrics: { mse: 1 } });
    expect(cluster.status.step).toBeGreaterThan(0);
  });

  it("ends early after a validation that is no better, which is the last one", () => {
    const earlyStopping = { monitor: "val_mse", patience: 1, minDelta: 0, mode: "min" } as const;
    const fit = { consistency, earlyStopping, validate: { everySteps: 2 } } as const;
    const { cluster } = started({ fit, testRows: 10 });
    finish(cluster);
    expect(cluster.status).toMatchObject({ phase: "done", step: 4, validation: { step: 4 } });
    expect(cluster.status.message).toContain("stopped early after step 4: val_mse");
  });

  it("ends early at the end of an epoch whose loss is no better", () => {
    const earlyStopping = { monitor: "loss", patience: 1, minDelta: 0, mode: "min" } as const;
    const { cluster } = started({ fit: { consistency, earlyStopping, epochs: 5 }, trainRows: 30 });
    finish(cluster);
    expect(cluster.status).toMatchObject({ phase: "done", step: 6, steps: 15 });
    expect(cluster.counts.finished).toBe(12);
  });
});
