/**
 * Adagrad (Duchi et al., JMLR 2011), as in TensorFlow.js, where epsilon is under the root:
 *
 *     n += g²;   w -= lr · g / √(n + epsilon)
 *
 * State per weight: n, which starts at `initialAccumulator`.
 */
import type { Optimizer } from "./optimizer.ts";
import type { SpecOf } from "./optimizer-check.ts";

export function adagradOptimizer(spec: SpecOf<"adagrad">): Optimizer {
  const f32 = Math.fround;
  const epsilon = f32(spec.epsilon);
  const { initialAccumulator } = spec;

  return {
    stateWidth: (dim) => dim,
    initState(rows, at, dim) {
      rows.fill(initialAccumulator, at + dim, at + 2 * dim);
    },
    update(rows, at, dim, grads, gradAt, _, learningRate) {
      const c = -learningRate;
      const eps = epsilon;
      const squaresAt = at + dim;
      for (let i = 0; i < dim; i++) {
        const g = grads[gradAt + i]!;
        const n = f32(rows[squaresAt + i]! + f32(g * g));
        rows[squaresAt + i] = n;
        rows[at + i] = f32(c * f32(g / f32(Math.sqrt(f32(n + eps))))) + rows[at + i]!;
      }
    },
  };
}
