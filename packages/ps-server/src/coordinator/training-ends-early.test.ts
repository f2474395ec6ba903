/** Jobs whose batches the coordinator gives out, and that end before their last step. */
import { describe, expect, it } from "vitest";
import { asp, bsp, localSgd } from "@volary/core/consistency";
import { finish, started } from "./test-batched-training.ts";

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
