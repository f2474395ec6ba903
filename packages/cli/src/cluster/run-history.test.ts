import type { JobStatus } from "@volary/core/wire";
import { expect, test } from "vitest";
import { RunHistory } from "./run-history.ts";

test("RunHistory tells epochs as tfjs does, and leaves out what was not validated", () => {
  const history = new RunHistory();
  const epoch = (n: number) => ({ epoch: n, step: 10 * (n + 1), loss: 1 / (n + 1), samples: 100 });
  const validation = (step: number, auc: number) => ({ step, epoch: 0, metrics: { loss: 1 - auc, auc } });
  history.take({
    news: {
      steps: [{ step: 1, loss: 2, samples: 10 }],
      epochs: [epoch(0), epoch(1)],
      validations: [validation(5, 0.5)],
    },
  } as unknown as JobStatus);
  history.take({} as JobStatus);
  history.take({
    news: { steps: [], epochs: [epoch(2)], validations: [validation(20, 0.75), validation(30, 0.875)] },
  } as unknown as JobStatus);
  expect(history.byEpoch).toEqual({
    epoch: [0, 1, 2],
    history: { loss: [1, 1 / 2, 1 / 3], val_loss: [0.25, 0.125], val_auc: [0.75, 0.875] },
  });
  expect(history.validations.map(({ step }) => step)).toEqual([5, 20, 30]);
  expect(history.steps).toHaveLength(1);
});
