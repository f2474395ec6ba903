/** A step whose result is not finite: nothing of it may be pushed, and its author wants to know which fields it saw. */
import { fieldStatistics, type Batch, type FieldStatistics } from "../../data/index.ts";
import { ClusterError } from "../../errors.ts";
import type { JobManifest } from "../../job/index.ts";
import { allFinite } from "../../table/index.ts";
import type { StepGradients } from "./gradient-model.ts";
import type { StepPlan } from "./plan.ts";

/**
 * @param o.of what the result is that of: nothing of that is applied
 * @throws {ClusterError} NAN_LOSS: what is not finite, at which step, and statistics of the batch's fields
 */
export function refuseNonFinite(
  result: StepGradients,
  o: { manifest: JobManifest; step: number; plan: StepPlan; batch: Batch; of: "step" | "batch" },
): void {
  const what = faultOf(result);
  if (what === undefined) return;
  const { manifest, step, plan, batch, of } = o;
  const epoch = plan.epochOf(step) + 1;
  throw new ClusterError(
    "NAN_LOSS",
    `${what} at step ${step} (epoch ${epoch}) of job "${manifest.name}"; nothing of this ${of} was applied. ` +
      `Lower the learning rates, or clean the data. Fields of the batch: ${fieldStatistics(batch).map(describe).join("; ")}`,
  );
}

function faultOf({ lossSum, rowGrads, denseGrads }: StepGradients): string | undefined {
  if (!Number.isFinite(lossSum)) return `the loss is ${lossSum}`;
  if (!allFinite(rowGrads, 0, rowGrads.length)) return "a gradient of the embedding rows is not finite";
  return allFinite(denseGrads, 0, denseGrads.length) ? undefined : "a gradient of the dense weights is not finite";
}

function describe(s: FieldStatistics): string {
  if (s.as === "keys") return `${s.field}: ${s.distinctKeys} distinct keys`;
  const nans = s.nans > 0 ? `, ${s.nans} NaN` : "";
  return `${s.field}: ${s.min} … ${s.max}, mean ${s.mean}${nans}`;
}
