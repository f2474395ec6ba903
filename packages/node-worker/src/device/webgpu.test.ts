/** WebGPU keeps its promises where a Vulkan driver was named, were it one that computes on the processor. */
import * as tf from "@tensorflow/tfjs";
import { TrainingModel } from "@volary/core/model";
import { afterAll, describe, expect, test, vi } from "vitest";
import { parityOf } from "../probe/parity.ts";
import { STANDARD_JOBS, standardJob } from "../probe/standard-jobs.ts";
import { trialInput, trialWeights } from "../probe/trial-job.ts";
import { openDevice, type OpenDevice } from "./devices.ts";
import type { DeviceName } from "./device.ts";

const absent = process.env["VOLARY_ABSENT"]?.split(",") ?? [];
const TIMEOUT_MS = 300_000;
const SAMPLES = 16;

describe.skipIf(absent.includes("webgpu"))("on WebGPU [needs webgpu]", () => {
  let device: OpenDevice | undefined;
  afterAll(() => device?.close());

  async function stepOn(name: DeviceName, job: (typeof STANDARD_JOBS)[number]) {
    const opened = await openDevice(name);
    if (name === "webgpu") device = opened;
    const prepared = { ...(await standardJob(job)), samples: SAMPLES };
    const plain = await TrainingModel.create(prepared);
    const model = opened.throughModel(plain);
    model.setDense(trialWeights(plain.variables));
    const gradients = await model.step(trialInput(prepared, SAMPLES));
    model.dispose();
    return { ...gradients, variables: plain.variables };
  }

  test.each(STANDARD_JOBS)("a worker's first step waits for no shader: %s", { timeout: TIMEOUT_MS }, async (job) => {
    const wanted = await stepOn("cpu", job);
    await openDevice("webgpu");
    const { device: gpu } = tf.backend() as unknown as {
      device: Record<"createComputePipeline" | "createComputePipelineAsync", () => unknown>;
    };
    const [waiting, compiling] = [vi.spyOn(gpu, "createComputePipeline"), vi.spyOn(gpu, "createComputePipelineAsync")];
    expect(parityOf(await stepOn("webgpu", job), wanted).difference).toBeLessThan(1e-5);
    expect(waiting).not.toHaveBeenCalled();
    expect(compiling).toHaveBeenCalled();
    vi.restoreAllMocks();
  });

  test("it computes the same when it is opened again, after it was closed, too", { timeout: TIMEOUT_MS }, async () => {
    const first = await stepOn("webgpu", STANDARD_JOBS[1]);
    expect(await stepOn("webgpu", STANDARD_JOBS[1])).toEqual(first);
    await openDevice("cpu");
    device?.close();
    expect(await stepOn("webgpu", STANDARD_JOBS[1])).toEqual(first);
  });
});
