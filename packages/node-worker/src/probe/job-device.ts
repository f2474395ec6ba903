/** The device of a worker: the one asked for, or for each job the one that was measured to be fastest. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { cpus, hostname } from "node:os";
import path from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { JobManifest } from "@volary/core/job";
import type { GradientModel } from "@volary/core/training";
import { cacheFolder } from "../device/library/cache-folder.ts";
import type { DeviceName } from "../device/device.ts";
import { DEVICES, openDevice, type OpenDevice } from "../device/devices.ts";
import { fastestOf, probe, type DeviceReport } from "./probe.ts";
import { remembered } from "./remembered.ts";
import { STANDARD_JOBS, standardJob } from "./standard-jobs.ts";
import type { TrialJob } from "./trial-job.ts";

export interface JobDevice {
  readonly name: DeviceName;
  readonly description: string;
  /** What a job's model goes through on the device that is in use. */
  throughModel(model: GradientModel): GradientModel;
  /** Has the device compute that is fastest for the job. No tensor of another job may be in use. */
  useFor(job: JobManifest): Promise<void>;
  close(): void;
}

/**
 * Opens the device asked for; or else the one that is fastest for a usual job, until there is a job to measure.
 *
 * @throws {DeviceError} the device asked for does not work here
 */
export async function openJobDevice(wanted: DeviceName | undefined, log: (m: string) => void): Promise<JobDevice> {
  let device: OpenDevice = await openDevice(wanted ?? (await fastestFor(undefined)));
  return {
    get name() {
      return device.name;
    },
    get description() {
      return device.description;
    },
    throughModel: (model) => device.throughModel(model),
    useFor: async (job) => {
      if (wanted !== undefined) return;
      const name = await fastestFor(job);
      if (name === device.name) return;
      const next = await openDevice(name).catch(async (error: unknown) => {
        // A process can load one of TensorFlow's libraries, not both.
        log(`job ${job.name} stays on ${device.name}: ${String(error)}; start the worker with --device ${name}`);
        return openDevice(device.name);
      });
      log(`job ${job.name} is computed on ${next.name} (${next.description})`);
      if (next.name !== device.name) device.close();
      device = next;
    },
    close: () => device.close(),
  };
}

/** Needs nothing installed and no hardware: where there is nothing else, there is nothing to measure. */
const EVERYWHERE: DeviceName = "wasm";

/** @param job a usual one, unless given */
async function fastestFor(job: JobManifest | undefined): Promise<DeviceName> {
  const candidates = DEVICES.filter((device) => device.missing?.() === undefined).map(({ name }) => name);
  if (candidates.every((name) => name === "wasm" || name === "cpu")) return EVERYWHERE;
  const trial = job && trialOf(job);
  const fastest = trial && fastestOf(await probeRemembered(candidates, [trial]));
  return (fastest ?? fastestOf(await probeUsual({})))?.device ?? EVERYWHERE;
}

/** A training function is in a file that only the worker has loaded: its device is that of a usual job. */
function trialOf({ model, compile: { loss }, fit, workersMin }: JobManifest): TrialJob | undefined {
  if (typeof loss !== "string" || model.topology === undefined) return undefined;
  const { classWeight, batchSize } = fit;
  return { model, compile: { loss }, fit: { classWeight }, samples: Math.ceil(batchSize / workersMin) };
}

/**
 * Tries every device with usual jobs, or recalls what came of it on this machine.
 *
 * @returns a report for each device, in order of preference
 */
export async function probeUsual({ fresh }: { fresh?: boolean | undefined }): Promise<DeviceReport[]> {
  const candidates = DEVICES.filter((device) => device.missing?.() === undefined).map(({ name }) => name);
  const jobs: TrialJob[] = [];
  for (const name of STANDARD_JOBS) jobs.push(trialOf(await standardJob(name))!);
  const reports = await probeRemembered(candidates, jobs, fresh);
  return DEVICES.map((device) => {
    const absent = { device: device.name, found: false, parity: null, stepMs: null };
    return reports.find((report) => report.device === device.name) ?? { ...absent, detail: device.missing?.() ?? "" };
  });
}

function probeRemembered(
  candidates: readonly DeviceName[],
  jobs: readonly TrialJob[],
  fresh?: boolean,
): Promise<DeviceReport[]> {
  const folder = path.join(cacheFolder(), "probes");
  const about = { machine: machineState(), candidates, jobs };
  return remembered({ folder, about, fresh, wait: (ms) => delay(ms) }, () => probe(candidates, jobs));
}

/** What changes when the machine or the software does. */
function machineState(): object {
  const read = (file: string): string => (existsSync(file) ? readFileSync(file, "utf8") : "");
  const installed = path.join(cacheFolder(), "tensorflow");
  return {
    host: hostname(),
    cpu: cpus()[0]?.model,
    node: process.version,
    nvidia: read("/proc/driver/nvidia/version"),
    vulkan: process.env["VK_DRIVER_FILES"] ?? process.env["VK_ICD_FILENAMES"],
    gpus: process.env["CUDA_VISIBLE_DEVICES"],
    // As a process that has opened cuda has it.
    tf32: process.env["NVIDIA_TF32_OVERRIDE"] ?? "0",
    tensorflow: existsSync(installed) ? readdirSync(installed) : [],
  };
}
