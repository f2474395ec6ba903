/**
 * Which device computes a job's steps right, and how fast: a step of the job on each, in processes of their own, with
 * gradients compared to those of the plain JavaScript backend.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { LIMITS } from "@volary/core/limits";
import type { DeviceName } from "../device/device.ts";
import { parityOf, type Parity, type TrialGradients } from "./parity.ts";
import type { TrialJob } from "./trial-job.ts";
import type { TrialRequest, TrialResult, TrialStep } from "./trial.ts";

/** What is known of one device after its trial. */
export interface DeviceReport {
  device: DeviceName;
  /** It computes here, whether right or not. */
  found: boolean;
  /** What computes, with its version; or why nothing does, and what mends it. */
  detail: string;
  /** The largest difference of a gradient from the plain JavaScript backend's, over the largest of its tensor. */
  parity: number | null;
  /** Why its gradients cannot be used; undefined where they can. */
  refused?: string;
  /** Median time of a training step of the first job. */
  stepMs: number | null;
}

/** A device whose gradients differ by more computes something else; fewer bits than float32 show at 5e-4. */
export const PARITY_MAX = 1e-3;

const REFERENCE: DeviceName = "cpu";

/**
 * Tries devices one after the other.
 *
 * What happens when a trial's process dies: its device is reported as not found, with the process's last words.
 *
 * @param jobs the first is timed; gradients of all are compared
 * @returns a report for each of `devices`, in order
 */
export async function probe(devices: readonly DeviceName[], jobs: readonly TrialJob[]): Promise<DeviceReport[]> {
  const folder = await mkdtemp(path.join(tmpdir(), "volary-probe-"));
  try {
    const reference = await trial({ device: REFERENCE, jobs, folder });
    const reports: DeviceReport[] = [];
    for (const device of devices) {
      const result = device === REFERENCE ? reference : await trial({ device, jobs, folder });
      reports.push(await reportOf(device, result, reference));
    }
    return reports;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The fastest device whose gradients are right. */
export function fastestOf(reports: readonly DeviceReport[]): DeviceReport | undefined {
  return reports
    .filter(({ stepMs, refused }) => stepMs !== null && refused === undefined)
    .toSorted((a, b) => a.stepMs! - b.stepMs!)[0];
}

async function reportOf(device: DeviceName, result: TrialResult, reference: TrialResult): Promise<DeviceReport> {
  const { found, description: detail, stepMs } = result;
  if (!found) return { device, found, detail, parity: null, stepMs: null };
  const worst: Parity = { difference: 0, where: "nothing" };
  for (const [i, step] of result.steps.entries()) {
    if ("failure" in step) return { device, found, detail, parity: null, stepMs: null, refused: step.failure };
    const wanted = reference.steps[i];
    if (!wanted || "failure" in wanted) continue;
    const parity = parityOf(await gradientsOf(step), await gradientsOf(wanted));
    if (parity.difference > worst.difference) Object.assign(worst, parity);
  }
  const report: DeviceReport = { device, found, detail, parity: worst.difference, stepMs };
  if (worst.difference <= PARITY_MAX) return report;
  const refused =
    `its gradients differ from plain JavaScript's by ${worst.difference.toExponential(1)}, most in ${worst.where}; ` +
    `at most ${PARITY_MAX.toExponential()} is taken`;
  return { ...report, refused };
}

async function gradientsOf(step: Exclude<TrialStep, { failure: string }>): Promise<TrialGradients> {
  const bytes = await readFile(step.file);
  const all = new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const { rowFloats, lossSum, variables } = step;
  return { rowGrads: all.subarray(0, rowFloats), denseGrads: all.subarray(rowFloats), lossSum, variables };
}

async function trial(request: TrialRequest): Promise<TrialResult> {
  const extension = path.extname(import.meta.url);
  const flags = extension === ".ts" ? ["--conditions=volary-source"] : [];
  const program = fileURLToPath(new URL(`trial${extension}`, import.meta.url));
  const child = spawn(process.execPath, [...flags, program], {
    stdio: ["pipe", "pipe", "pipe"],
    timeout: LIMITS.deviceTrialMs,
    killSignal: "SIGKILL",
  });
  const ended = once(child, "close").catch((error: unknown) => [String(error)]) as Promise<[unknown, unknown?]>;
  // A process that cannot start, or dies at once, says so by ending.
  child.stdin.on("error", () => {});
  child.stdin.end(JSON.stringify(request));
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code, signal] = await ended;
  const last = stdout.trimEnd().split("\n").at(-1) ?? "";
  if (code === 0 && last.startsWith("{")) return JSON.parse(last) as TrialResult;
  const words = stderr.trim().split("\n").at(-1) ?? "";
  const description = `the process that tried it ended (${String(signal ?? code)}): ${words || "it said nothing"}`;
  return { found: false, description, steps: [], stepMs: null };
}
