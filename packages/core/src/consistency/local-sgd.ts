/** Local SGD: each worker trains dense weights of its own, which are averaged now and then. */
import { atOnce } from "./asp.ts";
import type { Consistency, ConsistencySpec, DenseRoundsSpec, OuterSpec } from "./mode.ts";

/** How often and in which form workers average their dense weights. */
export interface LocalSgdOptions {
  /** Steps of a worker between two rounds, on average; or the time between them, after which the coordinator calls one. */
  every: number | { seconds: number };
  /** `average()` by default. */
  outer?: OuterSpec;
  /** In which form the differences travel that a round averages: "float32" by default. */
  compression?: "float32" | "bfloat16" | "int8";
}

/**
 * Local SGD, for slow links: rows are pulled and pushed at every step, as in `asp()`; dense weights are trained by each
 * worker for itself, and their changes averaged round by round.
 *
 * @see Stich, "Local SGD Converges Fast and Communicates Little", ICLR 2019; Douillard et al., "DiLoCo",
 *   arXiv:2311.08105
 */
export function localSgd({ every, outer = average(), compression }: LocalSgdOptions): ConsistencySpec {
  return { mode: "localSgd", every, outer, ...(compression === undefined ? {} : { compression }) };
}

/** After a round all go on with the mean of their weights. */
export function average(): OuterSpec {
  return { kind: "average" };
}

/**
 * The mean change of a round is a gradient for SGD with Nesterov's momentum, as in DiLoCo.
 *
 * @param learningRate of the outer step; 0.7 in the paper
 * @param momentum 0.9 in the paper
 */
export function nesterov(learningRate: number, momentum: number): OuterSpec {
  return { kind: "nesterov", learningRate, momentum };
}

export function localSgdMode(rounds: DenseRoundsSpec): Consistency {
  return { ...atOnce, dense: "rounds", rounds, onLate: "wait" };
}
