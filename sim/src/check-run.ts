/** The promises that every simulated run must have kept. Each fault found is one sentence. */
import type { ExportedRows } from "@volary/core/client";
import { consistencyOf } from "@volary/core/consistency";
import type { JobManifest } from "@volary/core/job";
import { batchesPerStep, stepPlan, type StepPlan } from "@volary/core/training";
import type { BatchMessage } from "./batch-messages.ts";
import { checkAtOnce } from "./check-at-once.ts";
import { faultsOfCommits, faultsOfHistory, pausesOf, type Known } from "./check-history.ts";
import { closedSteps, type ClosedStep } from "./closed-steps.ts";
import { stepsOfBatches, stepsOfTerms } from "./replayed-steps.ts";
import { replay, type OracleResult } from "./serial-oracle.ts";
import { toyDataset } from "./toy-job.ts";
import type { FinishedJob } from "./training-run.ts";

export interface RunToCheck {
  manifest: JobManifest;
  finished: FinishedJob;
  /** Of a job whose batches the coordinator gives out. */
  messages?: readonly BatchMessage[];
  /** Did its client end training early? Then it may have ended after any step. */
  wasFinished?: boolean;
  /**
   * By how much weights may be off. None where only workers compute; what volunteers send of a row is divided among its
   * samples, which rounds.
   */
  tolerance?: number;
}

export interface RunFaults {
  /** Of the steps that were committed, and of what was told of them. */
  steps: string[];
  /** Of the rows and the dense weights. */
  rows: string[];
}

export async function checkRun({
  manifest,
  finished,
  messages = [],
  wasFinished = false,
  tolerance = 0,
}: RunToCheck): Promise<RunFaults> {
  const { status } = finished;
  if (status.phase !== "done")
    return { steps: [`the job is ${status.phase}: ${status.message ?? "no reason given"}`], rows: [] };
  const plan = stepPlan({ manifest, trainRows: toyDataset().trainRows });
  const pauses = pausesOf(manifest, plan);
  const told = (oracle: Known): string[] => [
    ...faultsOfCommits({ manifest, finished, plan, wasFinished, oracle }),
    ...faultsOfHistory({ finished, plan, oracle, pauses }),
  ];
  if (consistencyOf(manifest.fit.consistency).gradients === "at-once") {
    const { known, rows } = await checkAtOnce({ manifest, finished, messages, pauses, tolerance });
    return { steps: told(known), rows };
  }
  const oracle = await oracleOf({ manifest, finished, messages, plan, pauses });
  return { steps: told(oracle), rows: faultsOfRows({ manifest, finished, oracle, tolerance }) };
}

/** Of a job that is trained in steps, whoever leads them. */
async function oracleOf(o: {
  manifest: JobManifest;
  finished: FinishedJob;
  messages: readonly BatchMessage[];
  plan: StepPlan;
  pauses: readonly number[];
}): Promise<OracleResult> {
  const { manifest, finished, messages, plan, pauses } = o;
  const { commits, map } = finished;
  const pausesAndEnd = [...pauses, commits.length];
  if (consistencyOf(manifest.fit.consistency).work === "steps") {
    const steps = stepsOfTerms({ manifest, plan }, finished);
    return replay({ manifest, steps, map, evaluateAfter: new Set(pausesAndEnd) });
  }
  const closed = closedSteps(messages).steps;
  const taken = new Map(pauses.map((step) => [step, stepsUntil(closed, step * batchesPerStep(manifest))]));
  taken.set(commits.length, closed.length);
  const evaluateAfter = new Set(taken.values());
  const steps = stepsOfBatches({ manifest, plan }, closed);
  const oracle = await replay({ manifest, steps, map, evaluateAfter });
  return { ...oracle, mse: new Map([...taken].map(([planned, step]) => [planned, oracle.mse.get(step)!])) };
}

/** How many steps it took to train all batches below `batches`, and no others; −1 where no number did. */
function stepsUntil(closed: readonly ClosedStep[], batches: number): number {
  let trained = 0;
  for (const [i, step] of closed.entries()) {
    if (step.batches.some((batch) => batch >= batches)) return -1;
    trained += step.batches.length;
    if (trained === batches) return i + 1;
  }
  return -1;
}

/** Where two runs of a job left other bits. */
export function faultsOfComparison(a: FinishedJob, b: FinishedJob): string[] {
  const faults = sameBits(a.dense, b.dense) ? [] : ["the dense weights are not those of an undisturbed run"];
  for (const [name, rows] of a.tables) {
    const [mine, others] = [rows, b.tables.get(name)!].map(byKey);
    const odd = [...new Set([...mine!.keys(), ...others!.keys()])].find(
      (key) => !sameBits(mine!.get(key) ?? new Float32Array(0), others!.get(key) ?? new Float32Array(0)),
    );
    if (odd !== undefined) faults.push(`row ${odd} of table ${name} is not that of an undisturbed run`);
  }
  return faults;
}

function byKey({ keys, values }: ExportedRows): Map<bigint, Float32Array> {
  const dim = values.length / keys.length;
  return new Map(Array.from(keys, (key, i) => [key, values.subarray(i * dim, (i + 1) * dim)]));
}

function faultsOfRows(o: {
  manifest: JobManifest;
  finished: FinishedJob;
  oracle: OracleResult;
  tolerance: number;
}): string[] {
  const { manifest, oracle, tolerance } = o;
  const { tables, dense } = o.finished;
  const faults: string[] = [];
  for (const [name, rows] of oracle.tables) {
    const found = tables.get(name)!;
    const dim = manifest.tables.find((t) => t.name === name)!.dim;
    if (found.keys.length !== rows.size)
      faults.push(`table ${name} has ${found.keys.length} rows, the oracle ${rows.size}`);
    for (const [i, key] of found.keys.entries()) {
      const mine = found.values.subarray(i * dim, (i + 1) * dim);
      const expected = rows.get(key);
      if (expected && areSame(mine, expected, tolerance)) continue;
      faults.push(
        `row ${key} of table ${name} is [${mine.join(", ")}], the oracle has ${expected ? `[${expected.join(", ")}]` : "none"}`,
      );
      break;
    }
  }
  if (!areSame(dense, oracle.dense, tolerance))
    faults.push(`dense weights are [${dense.join(", ")}], the oracle has [${oracle.dense.join(", ")}]`);
  return faults;
}

/** @param tolerance 0 asks for the same bits */
function areSame(a: Float32Array, b: Float32Array, tolerance: number): boolean {
  if (tolerance === 0) return sameBits(a, b);
  return a.length === b.length && a.every((value, i) => Math.abs(value - b[i]!) <= tolerance);
}

function sameBits(a: Float32Array, b: Float32Array): boolean {
  const [x, y] = [a, b].map((f) => new Uint32Array(f.buffer, f.byteOffset, f.length)) as [Uint32Array, Uint32Array];
  return x.length === y.length && x.every((bits, i) => bits === y[i]);
}
