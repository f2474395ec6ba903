/** How far values in fewer bytes are from the exact sum: 4 ranks, values of a normal distribution, relative L2. */
import { expect, test } from "vitest";
import type { AllReduce, ReduceForm } from "./all-reduce.ts";
import { RingAllReduce } from "./ring.ts";
import { exactSum, gaussians, relativeError, runRound } from "./test-ranks.ts";
import { TopKAllReduce } from "./top-k.ts";

const RANKS = 4;
const FLOATS = 4096;
const ROUNDS = 50;
const NOISE = gaussians(1009 * RANKS * ROUNDS + FLOATS, 1);

function rankOf(form: ReduceForm, o: { rank: number; data: Float32Array; residual?: Float32Array }): AllReduce {
  return typeof form === "object"
    ? new TopKAllReduce({ ...o, size: RANKS, share: form.topK })
    : new RingAllReduce({ ...o, size: RANKS, dtype: form });
}

/** The error of one round, and of the sum of all rounds, each rank bringing a mean of its own and noise. */
function errorsOf(form: ReduceForm, losses: "kept" | "dropped"): { one: number; all: number } {
  let residuals = losses === "kept" ? Array.from({ length: RANKS }, () => new Float32Array(FLOATS)) : undefined;
  const means = Array.from({ length: RANKS }, (_, rank) => gaussians(FLOATS, 1000 + rank));
  const exact = new Float64Array(FLOATS);
  const reached = new Float64Array(FLOATS);
  let one = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const inputs = means.map((mean, rank) => {
      const from = 1009 * (RANKS * round + rank);
      return mean.map((x, i) => x + NOISE[from + i]!);
    });
    const sum = exactSum(inputs);
    const ranks = inputs.map((data, rank) =>
      rankOf(form, { rank, data, ...(residuals ? { residual: residuals[rank]! } : {}) }),
    );
    runRound(ranks);
    residuals &&= ranks.map(({ residual }) => residual!.slice());
    if (round === 0) one = relativeError(inputs[0]!, sum);
    for (let i = 0; i < FLOATS; i++) {
      exact[i]! += sum[i]!;
      reached[i]! += inputs[0]![i]!;
    }
  }
  return { one, all: relativeError(reached, exact) };
}

/** Errors as measured, rounded up. */
test.each([
  { name: "bfloat16", form: "bfloat16", one: 0.003, all: 0.0006, allFedBack: 0.0001 },
  { name: "int8", form: "int8", one: 0.01, all: 0.002, allFedBack: 0.0003 },
  { name: "a tenth of the values", form: { topK: 0.1 }, one: 0.76, all: 0.62, allFedBack: 0.08 },
  { name: "a hundredth of the values", form: { topK: 0.01 }, one: 0.96, all: 0.93, allFedBack: 0.56 },
] as const)(
  "$name: a round errs by $one, 50 by $all, and with feedback by $allFedBack",
  ({ form, one, all, allFedBack }) => {
    const dropped = errorsOf(form, "dropped");
    expect(dropped.one).toBeLessThan(one);
    expect(dropped.all).toBeLessThan(all);
    expect(errorsOf(form, "kept").all).toBeLessThan(allFedBack);
    // Bounds that say little would hide that a form has become worse, or that nothing is kept.
    expect(dropped.one).toBeGreaterThan(0.8 * one);
    expect(dropped.all).toBeGreaterThan(1.5 * allFedBack);
  },
);
