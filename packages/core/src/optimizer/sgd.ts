/** Stochastic gradient descent, as in TensorFlow.js: `w -= lr · g`. No state. */
import type { Optimizer } from "./optimizer.ts";
import type { SpecOf } from "./optimizer-check.ts";

export function sgdOptimizer(spec: SpecOf<"sgd">): Optimizer {
  const f32 = Math.fround;
  const minusRate = f32(-spec.learningRate);

  return {
    stateWidth: () => 0,
    initState: () => {},
    update(rows, at, dim, grads, gradAt) {
      const c = minusRate;
      for (let i = 0; i < dim; i++) {
        rows[at + i] = f32(c * grads[gradAt + i]!) + rows[at + i]!;
      }
    },
  };
}
