/**
 * How small the loss of samples can be: no bound on gradients keeps a volunteer from saying that it is less than nothing,
 * which is all that it would take to make a job look better than it is.
 */
import type { JobManifest } from "../../job/index.ts";
import type { StepInput } from "../job/gradient-model.ts";

/** A device may make so much less than 0 of a sample's loss of 0: differences of logarithms in float32, and coarser ones. */
const ROUNDING = 1e-4;

/** The least that Σ weight · loss of some samples can be, as a device computes it; −∞ where there is no such number. */
export type LeastLoss = (of: Pick<StepInput, "samples" | "label" | "weight">) => number;

export function leastLossOf({ compile: { loss }, fit, model: { topology } }: JobManifest): LeastLoss {
  const mayReward = REWARDS.test(JSON.stringify(topology ?? {}));
  const rounding = ROUNDING * Math.max(1, ...Object.values(fit.classWeight ?? {}));
  return ({ samples, label, weight }) => {
    if (mayReward || !isFromZero(loss, label)) return -Infinity;
    return -rounding * (weight?.reduce((sum, each) => sum + each, 0) ?? samples);
  };
}

/** A regularizer that makes a loss smaller, the larger the weights are. */
const REWARDS = /"l[12]":-/u;

/** Labels of the others are checked where they are read. */
function isFromZero(loss: JobManifest["compile"]["loss"], label: Float32Array): boolean {
  if (typeof loss !== "string" || loss === "poisson") return false;
  return loss !== "categoricalCrossentropy" || label.every((value) => value >= 0);
}
