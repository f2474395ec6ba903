/** What volunteers send that is not what their samples give. */
import type { GradientModel, StepGradients } from "@volary/core/training";

export type Lie = "not finite" | "too long" | "giant" | "tenfold" | "flipped";

/** Those that any check of an update must notice. */
export const PLAIN_LIES = ["not finite", "too long", "giant"] as const satisfies readonly Lie[];
/** And those that only shows who computes the same again. */
export const SMOOTH_LIES = ["tenfold", "flipped"] as const satisfies readonly Lie[];

/** The same model, which lies about a step whenever it is asked to. */
export function lyingModel(model: GradientModel, lies: () => Lie | undefined): GradientModel {
  return {
    ...model,
    step: async (at) => {
      const lie = lies();
      const right = await model.step(at);
      return lie === undefined ? right : told(right, lie);
    },
  };
}

function told(right: StepGradients, lie: Lie): StepGradients {
  switch (lie) {
    case "not finite":
      return { ...right, denseGrads: right.denseGrads.with(0, Number.NaN) };
    case "too long":
      return { ...right, denseGrads: Float32Array.of(...right.denseGrads, 1, 1, 1) };
    case "giant":
      return times(right, 1e6);
    case "tenfold":
      return times(right, 10);
    case "flipped":
      return times(right, -1);
    default:
      return lie satisfies never;
  }
}

function times({ rowGrads, denseGrads, lossSum }: StepGradients, factor: number): StepGradients {
  return {
    rowGrads: rowGrads.map((value) => factor * value),
    denseGrads: denseGrads.map((value) => factor * value),
    lossSum,
  };
}
