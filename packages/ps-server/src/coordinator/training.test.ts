/** How the coordinator leases steps and held-out rows, and what it tells of them. */
import { describe, expect, it } from "vitest";
import type { JobManifest } from "@volary/core/job";
import { LIMITS } from "@volary/core/limits";
import { Metrics } from "@volary/core/metrics";
import type { ControlOf } from "@volary/core/wire";
import { Cluster, commit, DATA, evaluating, MANIFEST, metricsOf } from "./test-coordinator.ts";

describe("evaluation", () => {
  it("leases every test row once and merges the shares", () => {
    const { c, a, b, job, client } = evaluating();
    const leased: number[] = [];
    for (let turn = 0; leased.length < 40_000; turn++) {
      const { link } = [a, b][turn % 2]!;
      c.say(link, { type: "lease-request", job, purpose: "evaluate", term: 1 });
      const { lease, from, to } = c.told(link, "lease");
      for (let row = from; row < to; row++) leased.push(row);
      c.say(link, { type: "evaluated", job, lease, metrics: metricsOf(to - from) });
    }
    expect(leased).toEqual(Array.from({ length: 40_000 }, (_, row) => row));
    expect(c.status(client)).toMatchObject({ phase: "done", evaluated: 40_000, metrics: { mse: 1 } });
    expect(c.told(a.link, "end").phase).toBe("done");
  });

  it("leases a lost worker's share again, and waits for it", () => {
    const { c, a, b, job, client } = evaluating();
    c.say(a.link, { type: "lease-request", job, purpose: "evaluate", term: 1 });
    const lost = c.told(a.link, "lease");
    for (;;) {
      c.say(b.link, { type: "lease-request", job, purpose: "evaluate", term: 1 });
      if (c.types(b.link).includes("no-lease")) break;
      const { lease, from, to } = c.told(b.link, "lease");
      c.say(b.link, { type: "evaluated", job, lease, metrics: metricsOf(to - from) });
    }
    expect(c.told(b.link, "no-lease").reason).toBe("wait");
    c.close(a.link);
    c.say(b.link, { type: "lease-request", job, purpose: "evaluate", term: 1 });
    const again = c.told(b.link, "lease");
    expect([again.from, again.to]).toEqual([lost.from, lost.to]);
    expect(again.lease).not.toBe(lost.lease);
    c.say(b.link, { type: "evaluated", job, lease: again.lease, metrics: metricsOf(again.to - again.from) });
    expect(c.status(client)).toMatchObject({ phase: "done", evaluated: 40_000 });
  });

  it.each(["the slow one", "the other one"])(
    "leases a slow worker's share to another one as well: %s is first",
    (first) => {
      const { c, a, b, job } = evaluating();
      const ask = (link: number) => c.say(link, { type: "lease-request", job, purpose: "evaluate", term: 1 });
      ask(a.link);
      const slow = c.told(a.link, "lease");
      for (;;) {
        ask(b.link);
        if (c.types(b.link).includes("no-lease")) break;
        const { lease, from, to } = c.told(b.link, "lease");
        c.say(b.link, { type: "evaluated", job, lease, metrics: metricsOf(to - from) });
      }
      c.forget();
      c.now += LIMITS.leftOutFirstMs;
      ask(b.link);
      expect(c.told(b.link, "no-lease").reason).toBe("wait");
      c.now += 1;
      ask(a.link); // which is there and says so; it does not wait for itself
      expect(c.told(a.link, "no-lease").reason).toBe("wait");
      ask(b.link);
      expect(c.told(b.link, "lease")).toEqual(slow);
      const { lease, from, to } = slow;
      for (const { link } of first === "the slow one" ? [a, b] : [b, a])
        c.say(link, { type: "evaluated", job, lease, metrics: metricsOf(to - from) });
      const [status] = c.coordinator.status(c.now).jobs;
      expect(status).toMatchObject({ phase: "done", evaluated: 40_000, metrics: { mse: 1 } });
    },
  );

  it("takes a share from the worker that holds it, once, and only metrics of the job", () => {
    const { c, a, b, job, client } = evaluating();
    c.say(a.link, { type: "lease-request", job, purpose: "evaluate", term: 1 });
    const { lease, from, to } = c.told(a.link, "lease");
    c.say(b.link, { type: "evaluated", job, lease, metrics: metricsOf(to - from) });
    expect(c.status(client).evaluated).toBe(0);
    expect(() =>
      c.say(a.link, { type: "evaluated", job, lease, metrics: new Metrics({ metrics: ["auc"] }).toJSON() }),
    ).toThrow(`metrics of lease ${lease}: cannot merge metrics`);
    c.say(a.link, { type: "evaluated", job, lease, metrics: metricsOf(to - from) });
    c.say(a.link, { type: "evaluated", job, lease, metrics: metricsOf(to - from) });
    expect(c.status(client).evaluated).toBe(to - from);
  });

  it("of no rows ends the job at once", () => {
    const c = new Cluster();
    const { client, job } = c.run([c.ps("ps-1")], { ...MANIFEST, workersMin: 1 });
    const a = c.worker("a");
    c.ready(a.link, job, { trainRows: 10, testRows: 0, fingerprint: "f" });
    commit(c, a.link, job, 1);
    c.say(a.link, { type: "trained", job, term: 1, step: 1 });
    expect(c.status(client)).toMatchObject({ phase: "done", metrics: {} });
  });
});

/** Two workers on a job of 100 steps, 10 of them an epoch, that is validated as `fit` says. */
function validated(fit: Partial<JobManifest["fit"]>, data = { ...DATA, trainRows: 100 }) {
  const c = new Cluster();
  c.now = 1;
  const nodes = [c.ps("ps-1")];
  const [a, b] = [c.worker("a"), c.worker("b")];
  const { client, job } = c.run(nodes, { ...MANIFEST, fit: { ...MANIFEST.fit, epochs: 10, ...fit } });
  c.ready(a.link, job, data);
  c.ready(b.link, job, data);
  const ask = (link: number, purpose: "train" | "evaluate" = "train", term = 1) =>
    c.say(link, { type: "lease-request", job, purpose, term });
  /** Commits the steps up to `to`, and asks for more. */
  const trainTo = (to: number) => {
    for (let step = c.coordinator.status(0).jobs[0]!.step + 1; step <= to; step++) commit(c, a.link, job, step);
    ask(a.link);
  };
  /** A worker takes every share there is; each prediction is off by `error`. */
  const evaluateAll = (link: number, error = 1) => {
    for (;;) {
      const before = c.tellings(link).length;
      ask(link, "evaluate");
      const answer = c.tellings(link).splice(before, 1)[0]!;
      if (answer.type !== "lease") return;
      const { lease, from, to } = answer;
      c.say(link, { type: "evaluated", job, lease, metrics: metricsOf(to - from, error) });
    }
  };
  return { c, a, b, client, job, ask, trainTo, evaluateAll };
}

describe("validation", () => {
  it("leases steps up to the next validation, and goes on when it is done", () => {
    const { c, a, b, client, job, ask, trainTo, evaluateAll } = validated({ validate: { everySteps: 7 } });
    ask(a.link);
    expect(c.told(a.link, "lease")).toMatchObject({ from: 1, to: 8 });
    trainTo(7);
    for (const { link } of [a, b])
      expect(c.told(link, "evaluate")).toEqual({ type: "evaluate", job, term: 1, step: 7 });
    ask(a.link); // a repeat
    expect(c.types(a.link)).not.toContain("lease");
    evaluateAll(b.link);
    expect(c.told(a.link, "lease")).toMatchObject({ purpose: "train", from: 8, to: 15 });
    expect(c.status(client)).toMatchObject({
      phase: "training",
      metrics: null,
      validation: { step: 7, epoch: 0, metrics: { mse: 1 } },
    });
    expect(c.types(b.link)).not.toContain("evaluate");
  });

  it("takes no share of an evaluation before", () => {
    const { c, a, b, client, job, ask, trainTo, evaluateAll } = validated({ validate: { everySteps: 7 } });
    trainTo(7);
    ask(b.link, "evaluate");
    const stuck = c.told(b.link, "lease");
    c.now += LIMITS.leftOutFirstMs + 1;
    evaluateAll(a.link);
    trainTo(14);
    ask(b.link, "evaluate");
    expect(c.told(b.link, "lease").lease).toBeGreaterThan(stuck.lease);
    c.say(b.link, { type: "evaluated", job, lease: stuck.lease, metrics: metricsOf(stuck.to, 5) });
    expect(c.status(client)).toMatchObject({ evaluated: 0, validation: { step: 7, metrics: { mse: 1 } } });
  });

  it("after each epoch, or every so many, is not held after the last step twice", () => {
    const { c, a, client, job, trainTo, evaluateAll } = validated({ epochs: 3, validate: { everyEpochs: 2 } });
    trainTo(0);
    expect(c.told(a.link, "lease")).toMatchObject({ from: 1, to: 21 });
    trainTo(20);
    evaluateAll(a.link, 2);
    expect(c.told(a.link, "lease")).toMatchObject({ from: 21, to: 31 });
    for (let step = 21; step <= 30; step++) commit(c, a.link, job, step);
    c.say(a.link, { type: "trained", job, term: 1, step: 30 });
    evaluateAll(a.link, 3);
    const told = c.tellings(client).filter((control) => control.type === "job-status");
    const validations = told.flatMap(({ status }) => status.news?.validations ?? []);
    expect(validations).toMatchObject([
      { step: 20, epoch: 1, metrics: { mse: 4 } },
      { step: 30, epoch: 2, metrics: { mse: 9 } },
    ]);
    expect(c.status(client)).toMatchObject({ phase: "done", metrics: { mse: 9 } });
    expect(c.status(client).message).toBeUndefined();
  });

  it("is not passed by a leader that asks again, since it has not heard the answer", () => {
    const { c, a, ask, trainTo } = validated({ validate: { everySteps: 7 } });
    for (let times = 0; times < 3; times++) {
      ask(a.link);
      expect(c.told(a.link, "lease")).toMatchObject({ from: 1, to: 8 });
    }
    trainTo(7);
    expect(c.told(a.link, "evaluate").step).toBe(7);
  });

  it("does not end training where the leader asks again for the last lease", () => {
    const { c, a, ask } = validated({ validate: "end" }, { ...DATA, trainRows: 10 });
    for (let times = 0; times < 3; times++) {
      ask(a.link);
      expect(c.told(a.link, "lease")).toMatchObject({ from: 1, to: 11 });
    }
    expect(c.types(a.link)).not.toContain("no-lease");
  });

  it("without held-out rows does not hold training up", () => {
    const { c, a, ask } = validated({ validate: { everySteps: 7 } }, { ...DATA, trainRows: 100, testRows: 0 });
    ask(a.link);
    expect(c.told(a.link, "lease")).toMatchObject({ from: 1, to: 65 });
  });

  it("goes on when a worker is lost, and with it the leader that waits", () => {
    const { c, a, b, client, job, ask, trainTo, evaluateAll } = validated({ validate: { everySteps: 7 } });
    trainTo(7);
    c.told(a.link, "evaluate");
    ask(a.link, "evaluate");
    const lost = c.told(a.link, "lease");
    c.close(a.link);
    expect(c.told(b.link, "evaluate").step).toBe(7);
    evaluateAll(b.link);
    expect(c.coordinator.status(0).jobs[0]).toMatchObject({ evaluated: 40_000, validation: { step: 7 } });
    expect(lost.to - lost.from).toBe(16_384);
    expect(c.types(b.link)).not.toContain("lease");
    c.say(b.link, { type: "lease-request", job, purpose: "train", term: 2 });
    expect(c.told(b.link, "lease")).toMatchObject({ term: 2, from: 8, to: 15 });
    expect(c.status(client).phase).toBe("training");
  });

  it("takes in a worker that joins meanwhile", () => {
    const { c, job, trainTo } = validated({ validate: { everySteps: 7 } });
    trainTo(7);
    const late = c.worker("late");
    c.ready(late.link, job, { ...DATA, trainRows: 100 });
    expect(c.told(late.link, "term").term).toBe(2);
    expect(c.told(late.link, "evaluate")).toMatchObject({ term: 2, step: 7 });
  });

  it("is not counted as training time", () => {
    const { c, b, client, trainTo, evaluateAll } = validated({ validate: { everySteps: 7 } });
    c.now += 1000;
    trainTo(7);
    c.now += 5000;
    expect(c.coordinator.status(c.now).jobs[0]!.trainSeconds).toBe(1);
    evaluateAll(b.link);
    c.now += 500;
    expect(c.coordinator.status(c.now).jobs[0]!.trainSeconds).toBe(1.5);
    expect(c.status(client).phase).toBe("training");
  });
});

describe("early stopping", () => {
  const earlyStopping = { monitor: "val_mse", patience: 1, minDelta: 0, mode: "min" } as const;

  it("ends training after a validation that is no better, which is then the last one", () => {
    const { c, a, client, job, trainTo, evaluateAll } = validated({ validate: "epoch", earlyStopping });
    trainTo(10);
    evaluateAll(a.link, 2);
    trainTo(20);
    evaluateAll(a.link, 2);
    expect(c.tellings(a.link).filter((control) => control.type === "no-lease")).toMatchObject([
      { purpose: "train", reason: "done" },
    ]);
    c.say(a.link, { type: "trained", job, term: 1, step: 20 });
    expect(c.status(client)).toMatchObject({
      phase: "done",
      step: 20,
      steps: 100,
      metrics: { mse: 4 },
      message: "stopped early after step 20: val_mse is 4.0000, no better than 4.0000 after step 10",
    });
  });

  it("by the training loss is decided at the end of an epoch, without held-out rows", () => {
    const { c, a, b, job, trainTo, client } = validated(
      { earlyStopping: { ...earlyStopping, monitor: "loss" } },
      { ...DATA, trainRows: 100, testRows: 0 },
    );
    trainTo(0);
    expect(c.told(a.link, "lease")).toMatchObject({ from: 1, to: 11 });
    trainTo(10);
    expect(c.told(a.link, "lease")).toMatchObject({ from: 11, to: 21 });
    trainTo(20);
    expect(c.told(a.link, "no-lease")).toMatchObject({ reason: "done" });
    c.close(a.link); // before it could say so
    c.say(b.link, { type: "lease-request", job, purpose: "train", term: 2 });
    expect(c.told(b.link, "no-lease")).toMatchObject({ reason: "done", term: 2 });
    c.say(b.link, { type: "trained", job, term: 2, step: 20 });
    expect(c.status(client).message).toContain("stopped early after step 20: loss is 0.50000");
  });
});

describe("a job that its client ends", () => {
  it("leases no more steps, is evaluated and done, with the reason", () => {
    const { c, a, client, job, ask, evaluateAll } = validated({});
    ask(a.link);
    c.told(a.link, "lease");
    commit(c, a.link, job, 1);
    c.say(client, { type: "finish-job", job, reason: "enough" });
    expect(c.told(a.link, "no-lease")).toEqual({ type: "no-lease", job, purpose: "train", term: 1, reason: "done" });
    commit(c, a.link, job, 2); // it was pushed already
    c.say(a.link, { type: "trained", job, term: 1, step: 2 });
    evaluateAll(a.link);
    expect(c.status(client)).toMatchObject({ phase: "done", step: 2, message: "enough", metrics: { mse: 1 } });
  });

  it("during a validation is done when that is", () => {
    const { c, a, client, job, trainTo, evaluateAll } = validated({ validate: "epoch" });
    trainTo(10);
    c.say(client, { type: "finish-job", job, reason: "enough" });
    expect(c.told(a.link, "no-lease").reason).toBe("done");
    c.say(a.link, { type: "trained", job, term: 1, step: 10 });
    expect(c.status(client).phase).toBe("evaluating");
    evaluateAll(a.link, 2);
    expect(c.status(client)).toMatchObject({ phase: "done", step: 10, metrics: { mse: 4 } });
  });
});

describe("news", () => {
  it("tell a watcher every step and epoch once, gathered for a moment", () => {
    const { c, a, client, job } = validated({ epochs: 2 });
    c.forget();
    for (let step = 1; step <= 12; step++) {
      c.say(a.link, {
        type: "progress",
        job,
        term: 1,
        commits: [{ step, attempt: 1, samples: 10, lossSum: 10 * step }],
      });
    }
    c.tick(LIMITS.newsEveryMs);
    const told = c.tellings(client).map((control) => (control as ControlOf<"job-status">).status.news!);
    expect(told.length).toBeLessThan(6);
    expect(told.flatMap(({ steps }) => steps)).toEqual(
      Array.from({ length: 12 }, (_, i) => ({ step: i + 1, loss: i + 1, samples: 10 })),
    );
    expect(told.flatMap(({ epochs }) => epochs)).toEqual([{ epoch: 0, step: 10, loss: 5.5, samples: 100 }]);
    c.tick(1000);
    expect(c.tellings(client).length).toBe(told.length);
  });

  it("tell one who comes late the whole story", () => {
    const { c, a, job } = validated({ epochs: 2 });
    for (let step = 1; step <= 5; step++) commit(c, a.link, job, step);
    const late = c.link();
    c.say(late, { type: "watch", job });
    expect(c.told(late, "job-status").status.news!.steps).toHaveLength(5);
  });

  it("of bad rows come at once, and too many of them fail the job", () => {
    const { c, b, client, job } = validated({});
    c.say(b.link, {
      type: "bad-rows",
      job,
      scope: "data",
      count: 2,
      first: ["x.csv:7: no label", "x.csv:8: no label"],
    });
    expect(c.status(client)).toMatchObject({ phase: "failed", badRows: { count: 2 } });
    expect(c.status(client).message).toContain("badRowsMax allows 0: x.csv:7: no label; x.csv:8: no label");
  });
});
