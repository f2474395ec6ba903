/**
 * @file What `scripts/gpu-check.mjs` runs: each device's gradients against plain JavaScript's, and the time of DLRM's
 * step on each and in PyTorch. Ends with one JSON object on stdout.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import path from "node:path";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { DEVICES, PARITY_MAX, probe, STANDARD_JOBS, standardJob, type DeviceReport } from "@volary/node-worker";
import { nodeChild } from "../processes/child.ts";
import { machine } from "../report/machine.ts";
import { dlrm } from "./dlrm.ts";
import type { DlrmRequest, DlrmRun } from "./dlrm-steps.ts";

const { values: options } = parseArgs({
  options: {
    samples: { type: "string", default: "4096,32768" },
    steps: { type: "string", default: "20" },
    devices: { type: "string", default: "cuda,webgpu,tensorflow,wasm" },
    python: { type: "string", default: "python3" },
    out: { type: "string" },
  },
});
const sizes = options.samples.split(",").map(Number);
const steps = Number(options.steps);
const wanted = DEVICES.map(({ name }) => name).filter((name) => options.devices.split(",").includes(name));

const jobs = [await dlrm(), ...(await Promise.all(STANDARD_JOBS.map(standardJob)))];
const devices = await probe(
  wanted,
  jobs.map((job) => ({ ...job, samples: 256 })),
);
for (const report of devices) console.error(lineOf(report));

interface Row extends Partial<DlrmRun> {
  what: string;
  samples: number;
  /** Why there is no figure. */
  absent?: string;
}
const rows: Row[] = [];
for (const samples of sizes) {
  for (const { device, found, detail, refused } of devices) {
    const why = found ? refused : detail;
    rows.push(
      why === undefined
        ? { what: device, samples, ...(await timed({ device, samples, steps })) }
        : { what: device, samples, absent: why },
    );
  }
  rows.push({ what: "pytorch", samples, ...(await pytorch(samples)) });
}
for (const { what, samples, description, stepMs, p10, p90, absent } of rows) {
  const figure = stepMs === undefined ? absent : `${ms(stepMs)} (${ms(p10!)} – ${ms(p90!)}), ${description}`;
  console.error(`DLRM, ${samples} samples, ${what}: ${figure}`);
}
const result = { name: "gpu-check", date: new Date().toISOString(), devices, dlrm: rows, machine: machine() };
if (options.out !== undefined) await writeFile(options.out, `${JSON.stringify(result, null, 2)}\n`);
console.log(JSON.stringify(result));
const wrong = devices.filter(({ refused }) => refused !== undefined);
if (wrong.length > 0) process.exitCode = 1;

async function timed(request: DlrmRequest): Promise<DlrmRun | { absent: string }> {
  const file = path.join(import.meta.dirname, "dlrm-steps.ts");
  const child = nodeChild({ name: `the process of ${request.device}`, file, args: [JSON.stringify(request)] });
  try {
    return await child.nextObject<DlrmRun>();
  } catch (error) {
    return { absent: String(error) };
  } finally {
    await child.stop();
  }
}

/** The same step in PyTorch, eager, on its GPU or else the CPU. */
async function pytorch(samples: number): Promise<DlrmRun | { absent: string }> {
  const script = path.join(import.meta.dirname, "../../../scripts/gpu-check.py");
  const child = spawn(options.python, [script, String(samples), String(steps)], { stdio: ["ignore", "pipe", "pipe"] });
  const closed = once(child, "close").catch((error: unknown) => [String(error)]);
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)]);
  const [code] = (await closed) as [number | string | null];
  if (code === 0) return JSON.parse(stdout) as DlrmRun;
  return { absent: stderr.trim().split("\n").at(-1) || String(code) };
}

function lineOf({ device, found, detail, parity, refused }: DeviceReport): string {
  if (!found) return `${device} is absent: ${detail}`;
  if (parity === null) return `${device} (${detail}): ${refused}`;
  return `${device} (${detail}): gradients differ by ${parity.toExponential(1)}, at most ${PARITY_MAX.toExponential()} is taken`;
}

function ms(milliseconds: number): string {
  return `${milliseconds.toFixed(1)} ms`;
}
