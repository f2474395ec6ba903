/** Which numbers a job's loss and metrics take for labels, so that the data can be checked for them, row by row. */
import type { LabelDemand, LabelNumbers } from "../data/fields/label-demand.ts";
import { checkLabels } from "./label-shape.ts";
import type { JobManifest, LossSpec, MetricName } from "./manifest.ts";

/** A probability or a share of one: soft labels are fine. */
const PROBABILITY: LabelNumbers = { kind: "between", min: 0, max: 1 };
const ZERO_OR_ONE: LabelNumbers = { kind: "one-of", values: [0, 1] };

/**
 * @param labelWidth floats of a label
 * @throws {TypeError} labels of this width do not fit the job
 */
export function labelDemandsOf(
  manifest: Pick<JobManifest, "compile" | "model" | "data">,
  labelWidth: number,
): LabelDemand[] {
  checkLabels(manifest, labelWidth);
  const { outputs } = manifest.model;
  const { loss, metrics } = manifest.compile;
  const demands: LabelDemand[] = [];
  const ofLoss = numbersOfLoss(loss, outputs);
  if (ofLoss !== undefined) demands.push({ wantedBy: `loss "${loss as string}"`, rows: "all", numbers: ofLoss });
  if (labelWidth === outputs) {
    const metric = metrics.find(needsZeroOrOne);
    if (metric !== undefined) demands.push({ wantedBy: `metric "${metric}"`, rows: "test", numbers: ZERO_OR_ONE });
  } else if (labelWidth === 1 && ofLoss?.kind !== "class") {
    demands.push({
      wantedBy: `a model of ${outputs} outputs`,
      rows: "test",
      numbers: { kind: "class", count: outputs },
    });
  }
  return demands;
}

function numbersOfLoss(loss: LossSpec, outputs: number): LabelNumbers | undefined {
  switch (loss) {
    case "binaryCrossentropy":
      return PROBABILITY;
    case "sparseCategoricalCrossentropy":
      return { kind: "class", count: outputs };
    case "hinge":
      return { kind: "one-of", values: [-1, 0, 1] };
    case "poisson":
      return { kind: "between", min: 0, max: Infinity };
    default:
      return undefined;
  }
}

function needsZeroOrOne(metric: MetricName): boolean {
  return metric === "auc" || metric === "exactAuc" || metric === "logloss";
}
