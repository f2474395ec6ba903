/**
 * What do honest volunteers bring, and what do they exchange for it? One worker trains the demo's job with none, one and
 * two of them, each a process of its own on this machine, so that they help as far as it has idle cores.
 */
import { writeFile } from "node:fs/promises";
import path from "node:path";
import type { JobDefinition } from "@volary/core";
import { file } from "@volary/core/data";
import { manifestOf } from "@volary/core/model";
import { startWorker } from "@volary/node-worker";
import { Cluster, loadJobFile } from "volary";
import { writeFlights } from "../parity/flights.ts";
import { nodeChild, type Child } from "../processes/child.ts";
import { startCluster } from "../processes/cluster.ts";
import { DEMO_FOLDER } from "../traffic/demo-job.ts";
import type { LeafProcessRequest, LeafProcessResult } from "./leaf-process.ts";

const LEAVES_MAX = 2;
/** Of a coordinator that has had no other. */
const FIRST_JOB = 1;

export interface HelpOptions {
  folder: string;
  flights: number;
  batchSize: number;
  mode: "measure" | "control";
}

export interface Help {
  samplesPerSecondAlone: number;
  /** Next to none. */
  speedupOne: number;
  speedupTwo: number;
  /** Of the samples, by two volunteers. */
  helpedShare: number;
  /** Of a volunteer's frames, over the samples that it helped with. */
  bytesPerSample: number;
}

interface Run {
  samplesPerSecond: number;
  samples: number;
  results: LeafProcessResult[];
}

export async function measureHelp(o: HelpOptions): Promise<Help> {
  const job = await jobOf(o);
  const isControl = o.mode === "control";
  const runs: Run[] = [];
  // In a control no volunteer is taken, so one run speaks for all.
  for (let leaves = isControl ? LEAVES_MAX : 0; leaves <= LEAVES_MAX; leaves++)
    runs.push(await trainWith(job, { folder: o.folder, leaves, leavesMax: isControl ? 0 : LEAVES_MAX }));
  const [alone, one = alone, two = alone] = runs as [Run, Run?, Run?];
  const sumOf = (of: (result: LeafProcessResult) => number): number =>
    two.results.reduce((sum, result) => sum + of(result), 0);
  const helped = sumOf(({ samples }) => samples);
  return {
    samplesPerSecondAlone: alone.samplesPerSecond,
    speedupOne: one.samplesPerSecond / alone.samplesPerSecond,
    speedupTwo: two.samplesPerSecond / alone.samplesPerSecond,
    helpedShare: helped / two.samples,
    bytesPerSample: helped === 0 ? 0 : sumOf(({ bytes }) => bytes) / helped,
  };
}

async function trainWith(
  job: JobDefinition,
  { folder, leaves, leavesMax }: { folder: string; leaves: number; leavesMax: number },
): Promise<Run> {
  const { manifest } = await manifestOf(job, { workersMin: 1 });
  const manifestFile = path.join(folder, "manifest.json");
  await writeFile(manifestFile, JSON.stringify(manifest));
  const processes = await startCluster({ ps: 1 });
  const children: Child[] = [];
  try {
    const worker = await startWorker({
      coordinator: processes.address,
      name: "worker",
      device: "wasm",
      baseDirs: [DEMO_FOLDER],
      volunteers: { leavesMax, audit: 0 },
    });
    const client = await Cluster.connect(processes.address);
    try {
      for (let volunteer = 1; volunteer <= leaves; volunteer++)
        children.push(await startLeaf({ worker: worker.address, volunteer, job: FIRST_JOB, file: manifestFile }));
      const run = await client.train(job);
      const { samples, trainSeconds } = run.status;
      run.close();
      const results = leavesMax === 0 ? [] : await Promise.all(children.map((child) => resultOf(child)));
      return { samplesPerSecond: samples / trainSeconds, samples, results };
    } finally {
      await client.stop();
      await worker.stop();
    }
  } finally {
    for (const child of children) await child.killed();
    await processes.stop();
  }
}

async function startLeaf(request: LeafProcessRequest): Promise<Child> {
  const file = path.join(import.meta.dirname, `leaf-process${path.extname(import.meta.filename)}`);
  const child = nodeChild({ name: `volunteer-${request.volunteer}`, file, args: [JSON.stringify(request)] });
  await child.nextObject<{ ready: true }>();
  return child;
}

const resultOf = async (child: Child): Promise<LeafProcessResult> =>
  (await child.nextObject<{ result: LeafProcessResult }>()).result;

async function jobOf({ folder, flights, batchSize }: HelpOptions): Promise<JobDefinition> {
  const demo = await loadJobFile(path.join(DEMO_FOLDER, "job.ts"));
  const { test: _, ...data } = demo.data;
  const few = await writeFlights(folder, { steps: Math.floor(flights / batchSize), batchSize });
  return { ...demo, data: { ...data, files: [file(few)] }, fit: { ...demo.fit, batchSize } };
}
