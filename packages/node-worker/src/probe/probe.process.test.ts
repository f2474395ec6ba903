import { expect, test } from "vitest";
import { fastestOf, probe, type DeviceReport } from "./probe.ts";
import { STANDARD_JOBS, standardJob } from "./standard-jobs.ts";
import type { TrialJob } from "./trial-job.ts";

async function trialJob(name: (typeof STANDARD_JOBS)[number]): Promise<TrialJob> {
  return { ...(await standardJob(name)), samples: 64 };
}

test("probe() times devices and compares their gradients with plain JavaScript's", async () => {
  const jobs = await Promise.all(STANDARD_JOBS.map(trialJob));
  const reports = await probe(["wasm", "cpu"], jobs);
  expect(reports).toMatchObject([
    { device: "wasm", found: true, parity: expect.toSatisfy((by: number) => by > 0 && by <= 1e-5) },
    { device: "cpu", found: true, parity: 0 },
  ]);
  for (const { stepMs, refused } of reports) {
    expect(stepMs).toBeGreaterThan(0);
    expect(refused).toBeUndefined();
  }
});

test("a job that a device cannot compute is refused there, with the reason", async () => {
  const job = await trialJob(STANDARD_JOBS[1]);
  const topology = JSON.parse(JSON.stringify(job.model.topology).replaceAll("DepthwiseConv2D", "NoSuchLayer"));
  const [report] = await probe(["wasm"], [{ ...job, model: { ...job.model, topology } }]);
  expect(report).toMatchObject({ device: "wasm", found: true, refused: expect.stringContaining("NoSuchLayer") });
  expect(fastestOf([report!])).toBeUndefined();
});

test("fastestOf() takes the fastest whose gradients are right", () => {
  const report = (device: DeviceReport["device"], stepMs: number | null, refused?: string): DeviceReport => ({
    device,
    found: stepMs !== null,
    detail: "",
    parity: 0,
    stepMs,
    ...(refused === undefined ? {} : { refused }),
  });
  const reports = [report("cuda", null), report("webgpu", 1, "differs"), report("tensorflow", 5), report("wasm", 9)];
  expect(fastestOf(reports)?.device).toBe("tensorflow");
});
