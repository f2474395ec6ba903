/** The promises that every simulated run must have kept. Each fault found is one sentence. */
import type { ExportedRows } from "@volary/core/client";
import type { JobManifest } from "@volary/core/job";
import { stepPlan, type StepPlan } from "@volary/core/training";
import { replay, type OracleResult } from "./serial-oracle.ts";
import { toyDataset } from "./toy-job.ts";
import type { FinishedJob } from "./training-run.ts";

export interface RunToCheck {
  manifest: JobManifest;
  finished: FinishedJob;
  /** Did its client end training early? Then it may have ended after any step. */
  wasFinished?: boolean;
}

export interface RunFaults {
  /** Of the steps that were committed, and of what was told of them. */
  steps: string[];
  /** Of the rows and the dense weights. */
  rows: string[];
}

export async function checkRun({ manifest, finished, wasFinished = false }: RunToCheck): Promise<RunFaults> {
  const { status, commits } = finished;
  if (status.phase !== "done")
    return { steps: [`the job is ${status.phase}: ${status.message ?? "no reason given"}`], rows: [] };
  const plan = stepPlan({ manifest, trainRows: toyDataset().trainRows });
  const pauses = pausesOf(manifest, plan);
  const evaluateAfter = new Set([...pauses, commits.length]);
  const oracle = await replay({ manifest, evaluateAfter, ...finished });
  return {
    steps: [
      ...faultsOfCommits({ manifest, finished, plan, wasFinished, oracle }),
      ...faultsOfHistory({ finished, plan, oracle, pauses }),
    ],
    rows: faultsOfRows({ manifest, finished, oracle }),
  };
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

/** Steps after which the held-out rows are evaluated, beside the last one. */
function pausesOf({ fit: { validate } }: JobManifest, { steps, stepsPerEpoch }: StepPlan): number[] {
  if (validate === "end") return [];
  const every =
    validate === "epoch"
      ? stepsPerEpoch
      : "everySteps" in validate
        ? validate.everySteps
        : validate.everyEpochs * stepsPerEpoch;
  return Array.from({ length: Math.floor((steps - 1) / every) }, (_, i) => (i + 1) * every);
}

function faultsOfCommits(o: {
  manifest: JobManifest;
  finished: FinishedJob;
  plan: StepPlan;
  wasFinished: boolean;
  oracle: OracleResult;
}): string[] {
  const { manifest, finished, plan, wasFinished, oracle } = o;
  const { commits, status } = finished;
  const faults: string[] = [];
  const last = lastStepOf({ manifest, plan, finished });
  if (commits.some(({ step }, i) => step !== i + 1)) faults.push("the committed steps do not count up by one");
  if (wasFinished ? commits.length > last : commits.length !== last)
    faults.push(`${commits.length} steps were committed, training should have ended after ${last}`);
  if (commits.length < plan.steps && status.message === undefined)
    faults.push("training ended early, and the status does not say why");
  if (commits.some(({ attempt }, i) => i > 0 && attempt < commits[i - 1]!.attempt))
    faults.push("attempts go backwards");
  oracle.visits.forEach((visits, epoch) => {
    const isWhole = commits.length >= (epoch + 1) * plan.stepsPerEpoch;
    const odd = visits.findIndex((n) => (isWhole ? n !== 1 : n > 1));
    if (odd >= 0) faults.push(`row ${odd} was in ${visits[odd]} committed steps of epoch ${epoch}`);
  });
  return faults;
}

/** The step after which training ends by itself: early stopping told in other words than the coordinator's. */
function lastStepOf(o: { manifest: JobManifest; plan: StepPlan; finished: FinishedJob }): number {
  const { earlyStopping } = o.manifest.fit;
  const { steps } = o.plan;
  if (earlyStopping === undefined) return steps;
  const { history } = o.finished;
  const { monitor, patience, minDelta, mode } = earlyStopping;
  const seen =
    monitor === "loss"
      ? history.epochs.map(({ step, loss }) => ({ step, value: loss }))
      : history.validations.map(({ step, metrics }) => ({ step, value: metrics[monitor]! }));
  const sign = mode === "max" ? 1 : -1;
  let best = 0;
  for (let i = 1; i < seen.length; i++) {
    if (sign * (seen[i]!.value - seen[best]!.value) > minDelta) best = i;
    else if (i - best >= patience) return seen[i]!.step;
  }
  return steps;
}

function faultsOfRows(o: { manifest: JobManifest; finished: FinishedJob; oracle: OracleResult }): string[] {
  const { manifest, oracle } = o;
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
      if (expected && sameBits(mine, expected)) continue;
      faults.push(
        `row ${key} of table ${name} is [${mine.join(", ")}], the oracle has ${expected ? `[${expected.join(", ")}]` : "none"}`,
      );
      break;
    }
  }
  if (!sameBits(dense, oracle.dense))
    faults.push(`dense weights are [${dense.join(", ")}], the oracle has [${oracle.dense.join(", ")}]`);
  return faults;
}

function faultsOfHistory(o: {
  finished: FinishedJob;
  plan: StepPlan;
  oracle: OracleResult;
  pauses: readonly number[];
}): string[] {
  const { status, commits, history } = o.finished;
  const { lossSums, mse } = o.oracle;
  const faults: string[] = [];
  if (status.evaluated !== status.testRows)
    faults.push(`${status.evaluated} of ${status.testRows} test rows were evaluated`);
  const validated = [...new Set([...o.pauses.filter((step) => step < commits.length), commits.length])];
  const found = history.validations.map(({ step }) => step);
  if (found.join() !== validated.join())
    faults.push(`validations were after steps ${found.join()}, not ${validated.join()}`);
  for (const { step, metrics } of history.validations) {
    if (!isNear(metrics["mse"], mse.get(step)))
      faults.push(`the error after step ${step} is ${metrics["mse"]}, the oracle has ${mse.get(step)}`);
  }
  if (status.metrics?.["mse"] !== history.validations.at(-1)?.metrics["mse"])
    faults.push("the metrics of the job are not those of its last evaluation");
  if (history.steps.some(({ step, loss, samples }, i) => step !== i + 1 || !isNear(loss * samples, lossSums[i])))
    faults.push("the losses of the steps are not the oracle's");
  if (history.steps.length !== commits.length)
    faults.push(`${history.steps.length} steps were told, ${commits.length} committed`);
  let from = 0;
  for (const { epoch, step, loss, samples } of history.epochs) {
    const sum = lossSums.slice(from, step).reduce((total, each) => total + each, 0);
    if (epoch !== o.plan.epochOf(step) || !isNear(loss * samples, sum))
      faults.push(`epoch ${epoch} has loss ${loss}, the oracle ${sum / samples}`);
    from = step;
  }
  if (from !== commits.length) faults.push(`the last epoch ended after step ${from}, the job after ${commits.length}`);
  return faults;
}

/** Sums in another order differ in the last bits of a float32. */
function isNear(a: number | undefined, b: number | undefined): boolean {
  return a !== undefined && b !== undefined && Math.abs(a - b) <= 1e-5 * Math.max(Math.abs(a), Math.abs(b));
}

function sameBits(a: Float32Array, b: Float32Array): boolean {
  const [x, y] = [a, b].map((f) => new Uint32Array(f.buffer, f.byteOffset, f.length)) as [Uint32Array, Uint32Array];
  return x.length === y.length && x.every((bits, i) => bits === y[i]);
}
