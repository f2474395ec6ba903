/**
 * @file Which devices train here, do they compute the same, how fast is a worker's step, and do they leave anything behind?
 *
 * What the figures mean and what --control breaks: benches/README.md.
 */
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { parseArgs } from "node:util";
import { DEVICES, parityOf, type DeviceName, type TrialGradients } from "@volary/node-worker";
import type { StepsRequest, StepsRun } from "./devices/steps.ts";
import { Child } from "./processes/child.ts";
import { atLeast, atMost, report, type Check } from "./report/report.ts";
import { ratios } from "./report/statistics.ts";

/** The demo's batch of 4096, over two workers. */
const SAMPLES = 2048;

interface Setting {
  devices: readonly DeviceName[];
  samples: number;
  steps: number;
  rounds: number;
  /** Each device's many steps may take so long. */
  secondsMax: number;
  folder: string;
  mode: "measure" | "control";
}

type Runs = Map<DeviceName, StepsRun>;

/** Of every device that works here; of the others it is said why not. */
async function runAll(o: Setting): Promise<Runs> {
  const runs: Runs = new Map();
  for (const device of o.devices) {
    try {
      const run = await stepsOn(device, o);
      runs.set(device, run);
      console.error(
        `${device} (${run.description}): ${run.stepMs.toFixed(1)} ms a step of ${o.samples}; ${run.steps} steps left ` +
          `${run.tensorsLeft} tensors and ${run.bytesLeft} bytes, memory × ${run.memoryRatio.toFixed(3)}`,
      );
    } catch (error) {
      console.error(`${device} is absent: ${reasonOf(error)}`);
    }
  }
  return runs;
}

function stepsOn(device: DeviceName, o: Setting, few = false): Promise<StepsRun> {
  // In a control every device but the reference computes with other weights, and leaves a tensor behind each step.
  const fault = o.mode === "control" && device !== "cpu" ? "wrong-and-leaking" : undefined;
  const { samples, folder, steps, secondsMax } = o;
  const timedSteps = device === "cpu" ? 3 : 15;
  return runSteps({ device, samples, timedSteps, steps: few ? 1 : steps, secondsMax, folder, fault });
}

/** @throws {Error} the process ended; its last words say why */
async function runSteps(request: StepsRequest): Promise<StepsRun> {
  const file = path.join(import.meta.dirname, "devices", "steps.ts");
  // V8's room for young objects would double at some step, which looks like a leak.
  const flags = [...process.execArgv, "--min-semi-space-size=16", "--max-semi-space-size=16"];
  const child = new Child({
    name: `the process of ${request.device}`,
    program: process.execPath,
    args: [...flags, file, JSON.stringify(request)],
  });
  try {
    return await child.nextObject<StepsRun>();
  } finally {
    await child.stop();
  }
}

/** Of an error that quotes the stack of another process. */
function reasonOf(error: unknown): string {
  const lines = String(error).split("\n");
  const thrown = lines.find((line) => line.startsWith("DeviceError: ")) ?? lines[0]!;
  return thrown.replace("DeviceError: ", "");
}

/** The largest difference of a device's gradients from the plain JavaScript backend's. */
async function parityMaxOf(runs: Runs): Promise<number> {
  const reference = runs.get("cpu");
  if (!reference) throw new Error("the cpu backend did not run, and is what the others are compared with");
  let max = 0;
  for (const [device, { gradients }] of runs) {
    if (device === "cpu") continue;
    for (const [i, got] of gradients.entries()) {
      const { difference, where } = parityOf(await gradientsOf(got), await gradientsOf(reference.gradients[i]!));
      console.error(`${device}, job ${i + 1}: gradients differ by ${difference.toExponential(1)}, most in ${where}`);
      max = Math.max(max, difference);
    }
  }
  return max;
}

async function gradientsOf({ file, rowFloats, ...rest }: StepsRun["gradients"][number]): Promise<TrialGradients> {
  const all = new Float32Array(new Uint8Array(await readFile(file)).buffer);
  return { ...rest, rowGrads: all.subarray(0, rowFloats), denseGrads: all.subarray(rowFloats) };
}

/** tfjs's time on wasm over that on TensorFlow's library, in turns. In a control both are wasm. */
async function tensorflowVsWasm(o: Setting): Promise<number> {
  const times = { wasm: [] as number[], tensorflow: [] as number[] };
  for (let round = 0; round < o.rounds; round++) {
    for (const side of ["wasm", "tensorflow"] as const) {
      const device = o.mode === "control" ? "wasm" : side;
      times[side].push((await stepsOn(device, o, true)).stepMs);
    }
  }
  return ratios(times.wasm, times.tensorflow).median;
}

async function measure(o: Setting): Promise<{ metrics: Record<string, number>; checks: Check[] }> {
  const runs = await runAll(o);
  const parityMax = await parityMaxOf(runs);
  const metrics: Record<string, number> = { parityMax };
  const checks = [atMost("parityMax", parityMax, 1e-5)];
  for (const [device, run] of runs) {
    metrics[`${device}StepMs`] = run.stepMs;
    metrics[`${device}Steps`] = run.steps;
    metrics[`${device}TensorsLeft`] = run.tensorsLeft;
    metrics[`${device}BytesLeft`] = run.bytesLeft;
    metrics[`${device}MemoryRatio`] = run.memoryRatio;
    // The reference is left as it is in a control.
    if (device === "cpu" && o.mode === "control") continue;
    checks.push(atMost(`${device}TensorsLeft`, run.tensorsLeft, 0), atMost(`${device}BytesLeft`, run.bytesLeft, 0));
    if (o.mode === "measure") checks.push(atMost(`${device}MemoryRatio`, run.memoryRatio, 1.05));
  }
  if (runs.has("tensorflow") && runs.has("wasm")) {
    metrics["tensorflowVsWasm"] = await tensorflowVsWasm(o);
    checks.push(atLeast("tensorflowVsWasm", metrics["tensorflowVsWasm"], 2));
  }
  return { metrics, checks };
}

const ALL = DEVICES.map(({ name }) => name);
const { values: options } = parseArgs({
  options: {
    json: { type: "boolean", default: false },
    control: { type: "boolean", default: false },
    devices: { type: "string", default: ALL.join(",") },
    samples: { type: "string", default: String(SAMPLES) },
    steps: { type: "string", default: "1000" },
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "120" },
  },
});
const wanted = options.devices.split(",");
const mode = options.control ? "control" : "measure";
const folder = await mkdtemp(path.join(tmpdir(), "volary-devices-"));
try {
  const { metrics, checks } = await measure({
    devices: ALL.filter((name) => name === "cpu" || wanted.includes(name)),
    samples: Number(options.samples),
    steps: Number(options.steps),
    rounds: Number(options.rounds),
    secondsMax: Number(options.seconds),
    folder,
    mode,
  });
  report({ name: "devices", metrics, checks, mode, output: options.json ? "json" : "text" });
} finally {
  await rm(folder, { recursive: true, force: true });
}
