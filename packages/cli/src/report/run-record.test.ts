import type { JobStatus } from "@volary/core/wire";
import { expect, test } from "vitest";
import { RunRecord } from "./run-record.ts";
import type { ScalarEvent } from "./tensorboard-events.ts";
import { clusterStatus, jobStatus } from "../testing/job-status.ts";

function recordAt(nowMs = 1_000_000) {
  const clock = { nowMs };
  const events: ScalarEvent[] = [];
  const record = new RunRecord({ now: () => clock.nowMs, onScalars: (event) => events.push(event) });
  return { clock, events, record };
}

const news = (o: Partial<NonNullable<JobStatus["news"]>>) => ({ steps: [], epochs: [], validations: [], ...o });

test("a record without news has no curve", () => {
  const { record, events } = recordAt();
  expect([record.job, record.loss.points, record.validations, record.workers, events]).toEqual([
    undefined,
    [],
    [],
    [],
    [],
  ]);
});

test("news that come twice count once", () => {
  const { record, events } = recordAt();
  const status = jobStatus(2, {
    trainSeconds: 0,
    validation: { step: 2, epoch: 0, metrics: { auc: 0.75 } },
    news: news({
      steps: [
        { step: 1, loss: 0.5, samples: 10 },
        { step: 2, loss: 0.25, samples: 10 },
      ],
      epochs: [{ epoch: 0, step: 2, loss: 0.375, samples: 20 }],
      validations: [{ step: 2, epoch: 0, metrics: { auc: 0.75 } }],
    }),
  });
  for (let i = 0; i < 3; i++) record.onStatus(status);
  expect(record.loss.points.map(({ step, mean }) => [step, mean])).toEqual([
    [1, 0.5],
    [2, 0.25],
  ]);
  expect(record.validations).toEqual([{ step: 2, metrics: { auc: 0.75 }, atMs: 1_000_000 }]);
  expect(events.map(({ step, scalars }) => [step, scalars])).toEqual([
    [1, { loss: 0.5 }],
    [2, { loss: 0.25 }],
    [2, { epoch_loss: 0.375 }],
    [2, { val_auc: 0.75 }],
  ]);
});

test("a step of nothing but bad rows is in no mean", () => {
  const { record } = recordAt();
  record.onStatus(jobStatus(1, { news: news({ steps: [{ step: 1, loss: 0, samples: 0 }] }) }));
  expect(record.loss.points).toEqual([]);
});

test("the last metrics are the last validation, unless they were told before", () => {
  const { record } = recordAt();
  record.onStatus(jobStatus(5, { validation: { step: 5, epoch: 0, metrics: { auc: 0.7 } } }));
  record.onStatus(jobStatus(9, { phase: "done", metrics: { auc: 0.8 } }));
  record.onStatus(jobStatus(9, { phase: "done", metrics: { auc: 0.8 } }));
  expect(record.validations.map(({ step, metrics }) => [step, metrics])).toEqual([
    [5, { auc: 0.7 }],
    [9, { auc: 0.8 }],
  ]);
});

test("the speed is that of training, whatever the pauses between", () => {
  const { clock, record } = recordAt();
  for (let step = 1; step <= 6; step++) {
    record.onStatus(jobStatus(step));
    clock.nowMs += 500;
  }
  clock.nowMs += 60_000;
  record.onStatus(jobStatus(6, { phase: "evaluating" }));
  for (let step = 7; step <= 9; step++) record.onStatus(jobStatus(step));
  record.onStatus(jobStatus(9, { phase: "evaluating" }));
  expect(record.speed.points.map(({ step, mean }) => [step, mean])).toEqual([
    [2, 20],
    [4, 20],
    [6, 20],
    [8, 20],
    [9, 20],
  ]);
});

test("a run begins with the first word on its job, not with the cluster's start", () => {
  const { clock, record } = recordAt(5_000);
  clock.nowMs = 20_000;
  record.onStatus(jobStatus(0));
  clock.nowMs = 30_000;
  record.onStatus(jobStatus(1));
  expect(record.startedMs).toBe(20_000);
});

test("phases last from one status to the next that names another", () => {
  const { clock, record } = recordAt();
  for (const [phase, ms] of [
    ["waiting", 100],
    ["training", 200],
    ["evaluating", 30],
    ["training", 50],
    ["done", 0],
  ] as const) {
    record.onStatus(jobStatus(1, { phase }));
    clock.nowMs += ms;
  }
  expect([...record.phaseMs]).toEqual([
    ["waiting", 100],
    ["training", 250],
    ["evaluating", 30],
  ]);
});

test("workers of the job are kept with the time they were seen, also when they are gone", () => {
  const { clock, record } = recordAt(0);
  record.onStatus(jobStatus(1));
  record.onCluster(
    clusterStatus([
      { name: "a", job: 1 },
      { name: "b", job: 1 },
      { name: "other", job: 2 },
    ]),
  );
  clock.nowMs = 2_000;
  record.onCluster(clusterStatus([{ name: "a", job: 1 }]));
  record.onCluster(clusterStatus([{ name: "a", job: null }]));
  expect(record.workers.map(({ name, fromMs, untilMs }) => [name, fromMs, untilMs])).toEqual([
    ["a", 0, 2_000],
    ["b", 0, 0],
  ]);
  expect(record.cluster?.workers).toHaveLength(1);
});

test("timings are those told last", () => {
  const { record } = recordAt();
  record.onStatus({ ...jobStatus(1), timings: [{ part: "pull", milliseconds: 3 }] });
  record.onStatus(jobStatus(2));
  expect(record.timings).toEqual([{ part: "pull", milliseconds: 3 }]);
});
