/** Stochastic gradient descent, as in TensorFlow.js: `w -= lr · g`. No state. */
import type { Optimizer } from "./optimizer.ts";

export function sgdOptimizer(): Optimizer {
  const f32 = Math.fround;

  return {
    stateWidth: () => 0,
    initState: () => {},
    update(rows, at, dim, grads, gradAt, _, learningRate) {
      const c = -learningRate;
      for (let i = 0; i < dim; i++) {
        rows[at + i] = f32(c * grads[gradAt + i]!) + rows[at + i]!;
      }
    },
  };
}
