/**
 * Momentum (Polyak 1964) and Nesterov's form of it, as in TensorFlow.js:
 *
 *     v = m · v + g;   w -= lr · v   or, with nesterov,   w -= lr · (g + m · v)
 *
 * State per weight: v.
 */
import type { Optimizer } from "./optimizer.ts";
import type { SpecOf } from "./optimizer-check.ts";

export function momentumOptimizer(spec: SpecOf<"momentum">): Optimizer {
  const f32 = Math.fround;
  const share = f32(spec.momentum);
  const { nesterov } = spec;

  return {
    stateWidth: (dim) => dim,
    initState(rows, at, dim) {
      rows.fill(0, at + dim, at + 2 * dim);
    },
    update(rows, at, dim, grads, gradAt, _, learningRate) {
      const c = -learningRate;
      const m = share;
      const velocityAt = at + dim;
      for (let i = 0; i < dim; i++) {
        const g = grads[gradAt + i]!;
        const v = f32(f32(m * rows[velocityAt + i]!) + g);
        const direction = nesterov ? f32(g + f32(v * m)) : v;
        rows[velocityAt + i] = v;
        rows[at + i] = f32(c * direction) + rows[at + i]!;
      }
    },
  };
}
