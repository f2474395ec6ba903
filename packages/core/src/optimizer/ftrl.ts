/**
 * FTRL-proximal per coordinate (McMahan et al., "Ad click prediction: a view from the trenches", KDD 2013,
 * algorithm 1), with alpha = `learningRate`:
 *
 *     σ = (√(n + g²) − √n) / alpha;   z += g − σ · w;   n += g²
 *     w = 0 if |z| ≤ l1, else −(z − sign(z) · l1) / ((beta + √n) / alpha + l2)
 *
 * State per weight: all z, then all n. The paper starts at w = z = 0. A row that starts elsewhere gets the z whose
 * weight is the one it has, so its initial values are kept, not forgotten at the first update.
 */
import type { Optimizer } from "./optimizer.ts";
import type { SpecOf } from "./optimizer-check.ts";

export function ftrlOptimizer(spec: SpecOf<"ftrl">): Optimizer {
  const f32 = Math.fround;
  const alpha = f32(spec.learningRate);
  const beta = f32(spec.beta);
  const l1 = f32(spec.l1);
  const l2 = f32(spec.l2);

  return {
    stateWidth: (dim) => 2 * dim,
    initState(rows, at, dim) {
      const scale = f32(f32(beta / alpha) + l2);
      for (let i = 0; i < dim; i++) {
        const w = rows[at + i]!;
        rows[at + dim + i] = w === 0 ? 0 : -f32(f32(w * scale) + Math.sign(w) * l1);
      }
      rows.fill(0, at + 2 * dim, at + 3 * dim);
    },
    update(rows, at, dim, grads, gradAt) {
      const zAt = at + dim;
      const nAt = zAt + dim;
      for (let i = 0; i < dim; i++) {
        const g = grads[gradAt + i]!;
        const n = rows[nAt + i]!;
        const nextN = f32(n + f32(g * g));
        const root = f32(Math.sqrt(nextN));
        const sigma = f32(f32(root - f32(Math.sqrt(n))) / alpha);
        const z = f32(f32(rows[zAt + i]! + g) - f32(sigma * rows[at + i]!));
        rows[zAt + i] = z;
        rows[nAt + i] = nextN;
        const scale = f32(f32(f32(beta + root) / alpha) + l2);
        if (scale === 0) continue; // beta = l2 = 0 and no gradient yet: nothing to learn from
        const shrunk = z > l1 ? f32(z - l1) : z < -l1 ? f32(z + l1) : 0;
        rows[at + i] = shrunk === 0 ? 0 : -f32(shrunk / scale);
      }
    },
  };
}
