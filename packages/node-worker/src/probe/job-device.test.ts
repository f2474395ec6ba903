import { openModel } from "@volary/core/model";
import { Plugins } from "@volary/core/plugin";
import * as tf from "@tensorflow/tfjs";
import { expect, test } from "vitest";
import { openJobDevice } from "./job-device.ts";
import { STANDARD_JOBS, standardJob } from "./standard-jobs.ts";
import { trialInput } from "./trial-job.ts";

test("a device that was asked for computes every job, whatever would be faster", async () => {
  const said: string[] = [];
  const device = await openJobDevice("cpu", (message) => said.push(message));
  for (const name of STANDARD_JOBS) {
    const job = await standardJob(name);
    await device.useFor(job);
    const model = await openModel(job, Plugins.none);
    const { rowGrads } = await model.step(trialInput({ ...job, samples: 2 }, 2));
    model.dispose();
    expect(rowGrads.every(Number.isFinite)).toBe(true);
  }
  expect([device.name, tf.getBackend(), said]).toEqual(["cpu", "cpu", []]);
  device.close();
});
