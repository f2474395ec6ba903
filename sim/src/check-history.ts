/** Whether what was told of a job — its steps, losses and validations — is what must have been. */
import type { JobManifest } from "@volary/core/job";
import type { StepPlan } from "@volary/core/training";
import type { OracleResult } from "./serial-oracle.ts";
import type { FinishedJob } from "./training-run.ts";

/** What the oracle knows; losses are undefined where they depend on the order that batches came in. */
export type Known = Pick<OracleResult, "visits" | "mse"> & { lossSums: OracleResult["lossSums"] | undefined };

/** Steps after which the held-out rows are evaluated, beside the last one. */
export function pausesOf({ fit: { validate } }: JobManifest, { steps, stepsPerEpoch }: StepPlan): number[] {
  if (validate === "end") return [];
  const every =
    validate === "epoch"
      ? stepsPerEpoch
      : "everySteps" in validate
        ? validate.everySteps
        : validate.everyEpochs * stepsPerEpoch;
  return Array.from({ length: Math.floor((steps - 1) / every) }, (_, i) => (i + 1) * every);
}

export function faultsOfCommits(o: {
  manifest: JobManifest;
  finished: FinishedJob;
  plan: StepPlan;
  wasFinished: boolean;
  oracle: Known;
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

export function faultsOfHistory(o: {
  finished: FinishedJob;
  plan: StepPlan;
  oracle: Known;
  pauses: readonly number[];
}): string[] {
  const { status, commits, history } = o.finished;
  const { lossSums, mse } = o.oracle;
  const faults: string[] = [];
  if (status.evaluated !== status.testRows)
    faults.push(`${status.evaluated} of ${status.testRows} test rows were evaluated`);
  const validated = [...new Set([...o.pauses.filter((step) => step < commits.length), commits.length])];
  // Where training ends within a step, after a validation, there is another one.
  const validations = history.validations.filter(({ step }, i) => step !== history.validations[i + 1]?.step);
  const found = validations.map(({ step }) => step);
  if (found.join() !== validated.join())
    faults.push(`validations were after steps ${found.join()}, not ${validated.join()}`);
  for (const { step, metrics } of validations) {
    if (mse.has(step) && mse.get(step) === undefined) continue;
    if (!isNear(metrics["mse"], mse.get(step)))
      faults.push(`the error after step ${step} is ${metrics["mse"]}, the oracle has ${mse.get(step)}`);
  }
  if (status.metrics?.["mse"] !== history.validations.at(-1)?.metrics["mse"])
    faults.push("the metrics of the job are not those of its last evaluation");
  const isLoss = (sum: number, from: number, to: number) =>
    lossSums === undefined ||
    isNear(
      sum,
      lossSums.slice(from, to).reduce((total, each) => total + each, 0),
    );
  if (history.steps.some(({ step, loss, samples }, i) => step !== i + 1 || !isLoss(loss * samples, i, i + 1)))
    faults.push("the losses of the steps are not the oracle's");
  if (history.steps.length !== commits.length)
    faults.push(`${history.steps.length} steps were told, ${commits.length} committed`);
  let from = 0;
  for (const { epoch, step, loss, samples } of history.epochs) {
    if (epoch !== o.plan.epochOf(step) || !isLoss(loss * samples, from, step))
      faults.push(`epoch ${epoch} has loss ${loss} over ${samples} samples, the oracle another one`);
    from = step;
  }
  if (from !== commits.length) faults.push(`the last epoch ended after step ${from}, the job after ${commits.length}`);
  return faults;
}

/** Sums in another order differ in the last bits of a float32. */
function isNear(a: number | undefined, b: number | undefined): boolean {
  return a !== undefined && b !== undefined && Math.abs(a - b) <= 1e-5 * Math.max(Math.abs(a), Math.abs(b));
}
