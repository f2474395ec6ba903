/** Times DLRM's step on one device: a program of its own, which prints the median in milliseconds. */
import { TrainingModel } from "@volary/core/model";
import { openDevice, trialInput, trialWeights, type DeviceName } from "@volary/node-worker";
import { spreadOf } from "../report/statistics.ts";
import { dlrm } from "./dlrm.ts";

export interface DlrmRequest {
  device: DeviceName;
  samples: number;
  steps: number;
}

export interface DlrmRun {
  description: string;
  /** Of a step, from rows in this process's memory to gradients there. */
  stepMs: number;
  p10: number;
  p90: number;
}

const { device, samples, steps } = JSON.parse(process.argv[2]!) as DlrmRequest;
const { description } = await openDevice(device);
const job = { ...(await dlrm()), samples };
const model = await TrainingModel.create(job);
model.setDense(trialWeights(model.variables));
const input = trialInput(job, samples);
const times: number[] = [];
const warmUp = Math.ceil(steps / 5);
for (let i = 0; i < warmUp + steps; i++) {
  const began = performance.now();
  await model.step(input);
  if (i >= warmUp) times.push(performance.now() - began);
}
const { median: stepMs, p10, p90 } = spreadOf(times);
const run: DlrmRun = { description, stepMs, p10, p90 };
process.stdout.write(`${JSON.stringify(run)}\n`, () => process.exit(0));
