import * as tf from "@tensorflow/tfjs";
import type { JobNews, JobStatus } from "@volary/core/wire";
import { describe, expect, test } from "vitest";
import { CallbackDriver, type TrainingCallbacks } from "./callbacks.ts";

const NONE: JobNews = { steps: [], epochs: [], validations: [] };
const statusOf = (news: Partial<JobNews>) => ({ news: { ...NONE, ...news } }) as JobStatus;
const step = (n: number) => ({ step: n, loss: n / 10, samples: 4 });
const epoch = (n: number, last: number) => ({ epoch: n, step: last, loss: n + 0.5, samples: 8 });

/** What is called, in words. */
function recorder() {
  const calls: string[] = [];
  const callbacks: TrainingCallbacks = {
    onTrainBegin: () => calls.push("train"),
    onTrainEnd: () => calls.push("over"),
    onEpochBegin: (n) => calls.push(`epoch ${n}`),
    onEpochEnd: (n, logs) => calls.push(`end ${n} ${JSON.stringify(logs)}`),
    onBatchBegin: (n) => calls.push(`batch ${n}`),
    onBatchEnd: (n, logs) => calls.push(`${n} ${JSON.stringify(logs)}`),
  };
  return { calls, callbacks };
}

function driver(
  callbacks: TrainingCallbacks,
  { model }: { model?: { stopTraining: boolean } } = {},
): { driver: CallbackDriver; stops: string[]; errors: unknown[] } {
  const stops: string[] = [];
  const errors: unknown[] = [];
  return {
    driver: new CallbackDriver({
      callbacks: [callbacks],
      model,
      params: {},
      onStop: (reason) => stops.push(reason),
      onError: (error) => errors.push(error),
    }),
    stops,
    errors,
  };
}

describe("CallbackDriver", () => {
  test("takes a Sequential model that was never compiled, and stops when its stopTraining says so", async () => {
    const model = tf.sequential({ layers: [tf.layers.dense({ units: 1, inputShape: [1] })] });
    const { driver: told, stops, errors } = driver({ onBatchEnd: () => void (model.stopTraining = true) }, { model });
    told.take(statusOf({ steps: [step(1)] }));
    await told.end();
    expect({ stops, errors }).toEqual({ stops: ["stopped by a callback"], errors: [] });
    model.dispose();
  });

  test("calls in tfjs's order, however the news are cut", async () => {
    const news: Partial<JobNews>[] = [
      { steps: [step(1), step(2)], epochs: [epoch(0, 2)] },
      { validations: [{ step: 2, epoch: 0, metrics: { auc: 0.7 } }] },
      { steps: [step(3), step(4)], epochs: [epoch(1, 4)] },
      { validations: [{ step: 4, epoch: 1, metrics: { auc: 0.8 } }] },
    ];
    const all = {
      steps: [1, 2, 3, 4].map(step),
      epochs: [epoch(0, 2), epoch(1, 4)],
      validations: news.flatMap(({ validations = [] }) => validations),
    };
    const expected = [
      "train",
      "epoch 0",
      "batch 0",
      '0 {"batch":0,"size":4,"loss":0.1}',
      "batch 1",
      '1 {"batch":1,"size":4,"loss":0.2}',
      'end 0 {"loss":0.5,"val_auc":0.7}',
      "epoch 1",
      "batch 0",
      '0 {"batch":0,"size":4,"loss":0.3}',
      "batch 1",
      '1 {"batch":1,"size":4,"loss":0.4}',
      'end 1 {"loss":1.5,"val_auc":0.8}',
      "over",
    ];
    for (const pieces of [news, [all]]) {
      const { calls, callbacks } = recorder();
      const { driver: told } = driver(callbacks);
      for (const piece of pieces) told.take(statusOf(piece));
      await told.end();
      expect(calls).toEqual(expected);
    }
  });

  test("an epoch without a validation ends when the next step comes, or the job", async () => {
    const calls: string[] = [];
    const { driver: told } = driver({
      onEpochBegin: (n) => calls.push(`epoch ${n}`),
      onEpochEnd: (n, logs) => calls.push(`end ${n} ${JSON.stringify(logs)}`),
    });
    told.take(statusOf({ steps: [step(1)], epochs: [epoch(0, 1)] }));
    told.take(statusOf({ steps: [step(2)], epochs: [epoch(1, 2)] }));
    await told.end();
    expect(calls).toEqual(["epoch 0", 'end 0 {"loss":0.5}', "epoch 1", 'end 1 {"loss":1.5}']);
  });

  test("waits for a callback before it calls the next", async () => {
    const calls: string[] = [];
    const { driver: told } = driver({
      onBatchEnd: async (batch) => {
        calls.push(`begin ${batch}`);
        await Promise.resolve();
        calls.push(`end ${batch}`);
      },
    });
    told.take(statusOf({ steps: [step(1), step(2)] }));
    await told.end();
    expect(calls).toEqual(["begin 0", "end 0", "begin 1", "end 1"]);
  });

  test("ends training once, when a callback says so either way", async () => {
    const model = { stopTraining: true };
    const bySetting = driver({ onBatchEnd: () => void (model.stopTraining = true) }, { model });
    expect(model.stopTraining).toBe(false);
    const byReturning = driver({ onBatchEnd: () => ({ stopTraining: true }) });
    for (const { driver: told, stops } of [bySetting, byReturning]) {
      told.take(statusOf({ steps: [step(1), step(2)] }));
      await told.end();
      expect(stops).toEqual(["stopped by a callback"]);
    }
  });

  test("tells of a callback that throws, and calls no other", async () => {
    const calls: number[] = [];
    const { driver: told, errors } = driver({
      onBatchEnd: (batch) => {
        calls.push(batch);
        throw new Error("no more");
      },
    });
    told.take(statusOf({ steps: [step(1), step(2)] }));
    told.take(statusOf({ steps: [step(3)] }));
    await told.end();
    expect(calls).toEqual([0]);
    expect(errors).toEqual([new Error("no more")]);
  });
});
