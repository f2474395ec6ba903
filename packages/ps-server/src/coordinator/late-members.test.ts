/** Members that hold the others up are left out, and come back later. */
import { describe, expect, it } from "vitest";
import type { JobManifest } from "@volary/core/job";
import { LIMITS } from "@volary/core/limits";
import { LateMembers } from "./late-members.ts";
import { Cluster, commit, DATA, MANIFEST, metricsOf } from "./test-coordinator.ts";

const { leftOutMsMin, leftOutFirstMs, leftOutMs, leftOutMsMax } = LIMITS;

/** Members 1 to `count`, which have computed and committed steps of `stepMs`. */
function underWay({ count = 4, steps = 10, stepMs = 100 } = {}) {
  const late = new LateMembers();
  const members = Array.from({ length: count }, (_, i) => i + 1);
  late.begin(members);
  let now = 0;
  late.look(0, now);
  for (let step = 1; step <= steps; step++) {
    now += stepMs;
    for (const member of members) late.computed(member, step);
    late.look(step, now);
  }
  return { late, members, now, step: steps };
}

describe("LateMembers", () => {
  it("names who has not computed the step under way, once that takes too long", () => {
    const { late, now, step } = underWay();
    for (const member of [1, 2, 4]) late.computed(member, step + 1);
    expect(late.look(step, now + leftOutMsMin)).toEqual([]);
    expect(late.look(step, now + leftOutMsMin + 1)).toEqual([3]);
    late.computed(3, step + 1);
    expect(late.look(step, now + leftOutMsMin + 1)).toEqual([]);
  });

  it("waits longer where steps are long: several deviations more than usual", () => {
    const { late, now, step } = underWay({ stepMs: 40_000 });
    late.computed(1, step + 1);
    late.computed(2, step + 1);
    late.computed(3, step + 1);
    expect(late.look(step, now + 40_000)).toEqual([]);
    expect(late.look(step, now + 40_001)).toEqual([4]);

    const uneven = new LateMembers();
    uneven.begin([1, 2]);
    let at = 0;
    uneven.look(0, at);
    for (let done = 1; done <= 20; done++) {
      at += done % 2 === 0 ? 10_000 : 30_000;
      for (const member of [1, 2]) uneven.computed(member, done);
      uneven.look(done, at);
    }
    uneven.computed(1, 21);
    const deadline = 20_000 + LIMITS.lateDeviations * 10_000;
    expect(uneven.look(20, at + deadline)).toEqual([]);
    expect(uneven.look(20, at + deadline + 1)).toEqual([2]);
  });

  it("waits for all where none is done, or most are not: then it is not they who are slow", () => {
    const { late, now, step } = underWay();
    expect(late.look(step, now + 10 * leftOutFirstMs)).toEqual([]);
    late.computed(1, step + 1);
    expect(late.look(step, now + 10 * leftOutFirstMs)).toEqual([]);
    late.computed(2, step + 1);
    expect(late.look(step, now + 10 * leftOutFirstMs)).toEqual([3, 4]);
  });

  it("never names the only member", () => {
    const { late, now, step } = underWay({ count: 1 });
    expect(late.look(step, now + 10 * leftOutFirstMs)).toEqual([]);
  });

  it("gives a member more time for its first step, and all while usual times are not known", () => {
    const { late, members, now, step } = underWay();
    late.begin([...members, 5]);
    late.look(step, now);
    for (const member of members) late.computed(member, step + 1);
    expect(late.look(step, now + leftOutFirstMs)).toEqual([]);
    expect(late.look(step, now + leftOutFirstMs + 1)).toEqual([5]);

    const young = underWay({ count: 2, steps: 3 });
    young.late.computed(1, 4);
    expect(young.late.look(3, young.now + leftOutFirstMs)).toEqual([]);
    expect(young.late.look(3, young.now + leftOutFirstMs + 1)).toEqual([2]);
  });

  it("counts time anew in a new term, whose step starts again, and after a pause", () => {
    const { late, members, now, step } = underWay();
    for (const member of [1, 2, 3]) late.computed(member, step + 1);
    late.pause();
    expect(late.look(step, now + leftOutMsMin + 1)).toEqual([]);
    expect(late.look(step, now + 2 * leftOutMsMin + 2)).toEqual([4]);
    late.begin(members);
    late.computed(4, step + 1);
    for (const member of [2, 3]) late.computed(member, step + 1);
    const begun = now + 3 * leftOutMsMin;
    expect(late.look(step, begun)).toEqual([]);
    expect(late.look(step, begun + leftOutMsMin + 1)).toEqual([1]);
  });

  it("lets a worker come back after a pause that doubles, up to a limit", () => {
    const { late } = underWay();
    let now = 0;
    for (let times = 0; times < 8; times++) {
      const pauseMs = late.leaveOut(3, now);
      expect(pauseMs).toBe(Math.min(leftOutMs * 2 ** times, leftOutMsMax));
      expect(late.returning(now + pauseMs - 1)).toEqual([]);
      expect(late.returning((now += pauseMs))).toEqual([3]);
      expect(late.returning(now)).toEqual([]);
    }
  });
});

/** Three workers that have trained ten steps together, of which one is slow then. */
function withSlowWorker(slow: "a" | "c" = "c", validate: JobManifest["fit"]["validate"] = "end") {
  const cl = new Cluster();
  const nodes = [cl.ps("ps-1")];
  const workers = { a: cl.worker("a"), b: cl.worker("b"), c: cl.worker("c") };
  const all = [workers.a, workers.b, workers.c];
  const { client, job } = cl.run(nodes, { ...MANIFEST, fit: { ...MANIFEST.fit, validate }, workersMin: 3 });
  for (const worker of all) cl.ready(worker.link, job, { ...DATA, testRows: 100 });
  const times = (worker: number, step: number, term = 1) =>
    cl.say(worker, { type: "step-times", job, term, step, samples: 3, computeMs: 1 });
  const pass = (ms: number) => {
    for (let rest = ms; rest > 0; rest -= 500) {
      for (const worker of [...nodes, ...all.map((w) => w.link)]) cl.say(worker, { type: "heartbeat" });
      cl.tick(Math.min(rest, 500));
    }
  };
  for (let step = 1; step <= 10; step++) {
    for (const worker of all) times(worker.link, step);
    pass(500);
    commit(cl, workers.a.link, job, step);
  }
  pass(500);
  for (const worker of all) if (worker !== workers[slow]) times(worker.link, 11);
  cl.forget();
  return { cl, ...workers, client, job, times, pass };
}

describe("a coordinator", () => {
  it("begins a term without a member that is alive, but holds the others up", () => {
    const { cl, a, b, c, job, pass } = withSlowWorker();
    pass(leftOutMsMin - 500);
    expect(cl.types(a.link)).toEqual([]);
    pass(1000);
    const members = [a, b].map(({ worker }) => expect.objectContaining({ worker }));
    for (const { link } of [a, b]) expect(cl.told(link, "term")).toMatchObject({ term: 2, members });
    expect(cl.told(c.link, "end")).toEqual({
      type: "end",
      job,
      phase: "training",
      message: "this worker is too slow for the others, and is left out for 30 s",
    });
    expect(cl.types(c.link)).toEqual([]);
  });

  it("lets the next in rank lead where the leader is the slow one", () => {
    const { cl, a, b, c, pass } = withSlowWorker("a");
    pass(leftOutMsMin + 500);
    const members = [b, c].map(({ worker }) => expect.objectContaining({ worker }));
    for (const { link } of [b, c]) expect(cl.told(link, "term")).toMatchObject({ term: 2, members });
    expect(cl.types(a.link)).toEqual(["end"]);
  });

  it("gives it the job anew after a pause, and a longer one the next time", () => {
    const { cl, a, b, c, job, times, pass } = withSlowWorker();
    pass(leftOutMsMin + 500);
    cl.forget();
    pass(leftOutMs - 1000);
    expect(cl.types(c.link)).toEqual([]);
    pass(1000);
    cl.ready(c.link, job, { ...DATA, testRows: 100 });
    expect(cl.told(c.link, "term").term).toBe(3);
    for (const { link } of [a, b]) times(link, 11, 3);
    pass(leftOutFirstMs);
    expect(cl.types(c.link)).toEqual([]);
    pass(1000);
    expect(cl.told(c.link, "end").message).toContain("left out for 60 s");
  });

  it("counts no time while held-out rows are evaluated, and from then on anew", () => {
    const { cl, a, b, c, job, times, pass } = withSlowWorker("c", { everySteps: 10 });
    cl.say(a.link, { type: "lease-request", job, purpose: "train", term: 1 });
    expect(cl.told(c.link, "evaluate").step).toBe(10);
    cl.say(b.link, { type: "lease-request", job, purpose: "evaluate", term: 1 });
    const { lease, to } = cl.told(b.link, "lease");
    pass(10 * leftOutMsMin);
    expect(cl.types(c.link)).toEqual([]);
    cl.say(b.link, { type: "evaluated", job, lease, metrics: metricsOf(to) });
    pass(leftOutMsMin);
    expect(cl.types(c.link)).toEqual([]);
    times(c.link, 11, 0); // of an older term
    pass(1000);
    expect(cl.types(c.link)).toEqual(["end"]);
  });

  it("leaves nobody out of a job that ends", () => {
    const { cl, client, c, job, pass } = withSlowWorker();
    cl.say(client, { type: "finish-job", job, reason: "it is good enough" });
    pass(10 * leftOutMsMin);
    expect(cl.types(c.link)).toEqual([]);
  });
});
